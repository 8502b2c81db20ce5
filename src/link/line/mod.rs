//! A line: many calls at once on one WebSocket, each a channel of its own. A line outlives its
//! connection: after a break the client connects anew, and both ends send again what the other had
//! not received. Whatever was ready when a message is sent shares its envelope and so its signature.
//!
//! No channel holds up another: its answers are sent only as far as the client has room for them
//! (credit), and the client takes everything off its socket at once.

pub mod core;
pub mod carry;
mod channel;
pub mod calls;
mod answer;
pub mod serve;
#[cfg(test)]
pub(crate) mod tests;

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::sync::{Notify, Semaphore};

use crate::wire::{
    limits::MAX_SOCKET_MESSAGE,
    v1::{Frame, frame::What},
};

use self::core::{Core, Wrong};

/// The bytes of answers that may be on their way on a channel, or wait to be taken off. An answer
/// that is larger goes alone.
pub const WINDOW: usize = 256 << 10;
/// The bytes of a stream of requests that may be on their way on a channel, or wait to be taken off.
/// They come in pieces of half of it at the most, so that there is room for one whenever less than
/// half was taken off without being told.
const REQUESTS: usize = 32 << 10;
/// The largest request, in bytes; of a stream, the first. Answers that are larger come in parts.
pub const MAX_MESSAGE: usize = MAX_SOCKET_MESSAGE - (16 << 10);
/// Such a part, in bytes.
const PART: usize = 128 << 10;
/// What the daemon holds for a client that takes nothing off, in bytes, on all channels of a line
/// together; each may go over it by one part.
const ROOM: usize = 4 << 20;
/// The most channels at once on one line.
pub const CHANNELS: usize = 1024;

/// One end of a line; `C` is what that end keeps of a channel.
#[derive(Debug)]
pub struct Line<C> {
    state: Mutex<State<C>>,
    wake: Notify,
    /// Told whenever something has arrived.
    room: Notify,
}

/// What an end knows.
#[derive(Debug)]
pub struct State<C> {
    /// What is on its way.
    pub core: Core,
    /// The open channels.
    pub channels: HashMap<u64, C>,
    /// The last channel that was opened.
    pub last: u64,
}

impl<C> Default for Line<C> {
    fn default() -> Self {
        Self { state: Mutex::default(), wake: Notify::new(), room: Notify::new() }
    }
}

impl<C> Default for State<C> {
    fn default() -> Self {
        Self { core: Core::default(), channels: HashMap::new(), last: 0 }
    }
}

impl<C> Line<C> {
    /// What it knows, for a moment.
    pub fn state(&self) -> MutexGuard<'_, State<C>> {
        // Whole between any two statements that hold the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a frame to whoever carries the line.
    pub fn push(&self, channel: u64, what: What) {
        self.state().core.push(Frame { channel, what: Some(what) });
        self.wake.notify_one();
    }

    /// The same, if the channel is open still; it may be one of a line that was lost.
    pub fn push_open(&self, channel: u64, what: What) {
        let mut state = self.state();
        if state.channels.contains_key(&channel) {
            state.core.push(Frame { channel, what: Some(what) });
        }
        drop(state);
        self.wake.notify_one();
    }

    fn next(&self, acknowledge: bool) -> Option<Bytes> {
        self.state().core.next(acknowledge)
    }
}

/// Takes note that the other end has made so much more room, in bytes, on a channel that is open, in
/// a window of that size.
fn credit(room: Option<&Semaphore>, more: u64, window: usize) -> Result<(), Wrong> {
    let more = usize::try_from(more).map_err(|_| Wrong::Channel)?;
    let Some(room) = room else { return Ok(()) };
    if more > window || room.available_permits() + more > 2 * window {
        return Err(Wrong::Channel);
    }
    room.add_permits(more);
    Ok(())
}

/// The share of a window that a message of that size takes.
fn share(size: usize) -> usize {
    size.clamp(1, WINDOW)
}
