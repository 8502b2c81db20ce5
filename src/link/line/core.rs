//! What is on its way between the two ends of a line, without I/O: everything is kept until the
//! other end has it, so that nothing is lost or comes twice when the connection is replaced.

use std::collections::VecDeque;

use bytes::Bytes;
use prost::Message as _;

use crate::wire::v1::{Frame, Frames};

/// Frames share a message up to this size, in bytes.
const BATCH: usize = 64 << 10;
/// What is kept for the other end at the most, in bytes, before nothing new is sent.
const KEPT: usize = 2 << 20;
/// Received bytes that are acknowledged at once.
const URGENT: usize = 256 << 10;

/// What the other end must not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// It is no message of a line.
    #[error("this is no message of a line")]
    Malformed,
    /// Something between was never sent, or has been dropped.
    #[error("messages of the line are missing")]
    Gap,
    /// It has seen what was never sent.
    #[error("the other end of the line has seen what was never sent")]
    Seen,
    /// A channel was used in a way that it can't be.
    #[error("a channel of the line was used against its rules")]
    Channel,
}

/// One direction out, one in.
#[derive(Debug, Default)]
pub struct Core {
    /// Not yet sent.
    out: VecDeque<Frame>,
    queued: usize,
    /// The number of the last message that was made.
    number: u64,
    /// Made, and perhaps not there yet.
    kept: VecDeque<(u64, Bytes)>,
    bytes: usize,
    /// Of these, how many have gone out on this connection.
    gone: usize,
    /// The last one that came, and the last one of which the other end was told that it came.
    seen: u64,
    told: u64,
    /// Bytes that came since.
    since: usize,
}

impl Core {
    /// Has a frame sent after all others.
    pub fn push(&mut self, frame: Frame) {
        self.queued += frame.encoded_len();
        self.out.push_back(frame);
    }

    /// The bytes that wait to be sent, or may not have arrived.
    #[must_use]
    pub fn held(&self) -> usize {
        self.queued + self.bytes
    }

    /// Begins a new line with what was not sent on the old one.
    pub fn renew(&mut self) {
        let out = std::mem::take(&mut self.out);
        *self = Self { out, queued: self.queued, ..Self::default() };
    }

    /// The next message to send, if there is one; with `acknowledge` also one that tells nothing
    /// but what came.
    pub fn next(&mut self, acknowledge: bool) -> Option<Bytes> {
        if let Some((_, message)) = self.kept.get(self.gone) {
            self.gone += 1;
            return Some(message.clone());
        }
        if !self.out.is_empty() && self.bytes < KEPT {
            return Some(self.make());
        }
        if self.told < self.seen && (acknowledge || self.since >= URGENT) {
            return Some(self.frames(0, Vec::new()));
        }
        None
    }

    fn make(&mut self) -> Bytes {
        let (mut frames, mut size) = (Vec::new(), 0);
        while let Some(frame) = self.out.front() {
            let more = frame.encoded_len();
            if !frames.is_empty() && size + more > BATCH {
                break;
            }
            size += more;
            self.queued -= more;
            frames.extend(self.out.pop_front());
        }
        self.number += 1;
        let message = self.frames(self.number, frames);
        self.bytes += message.len();
        self.kept.push_back((self.number, message.clone()));
        self.gone = self.kept.len();
        message
    }

    /// A message, which tells what came.
    pub fn frames(&mut self, number: u64, frames: Vec<Frame>) -> Bytes {
        (self.told, self.since) = (self.seen, 0);
        Frames { number, seen: self.seen, frames }.encode_to_vec().into()
    }

    /// Whether the other end does not know of all that came.
    #[must_use]
    pub fn owes(&self) -> bool {
        self.told < self.seen
    }

    /// Whether something was sent that has perhaps not arrived.
    #[must_use]
    pub fn awaits(&self) -> bool {
        !self.kept.is_empty()
    }

    /// Whether all was sent, and has arrived.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.out.is_empty() && self.kept.is_empty()
    }

    /// The frames of a message that came; none of one that came before.
    ///
    /// # Errors
    /// If the other end breaks the rules.
    pub fn take(&mut self, message: &Bytes) -> Result<Vec<Frame>, Wrong> {
        let Frames { number, seen, frames } =
            Frames::decode(message.clone()).map_err(|_| Wrong::Malformed)?;
        self.arrived(seen)?;
        if number == 0 {
            return if frames.is_empty() { Ok(frames) } else { Err(Wrong::Malformed) };
        }
        if number <= self.seen {
            return Ok(Vec::new());
        }
        if number != self.seen + 1 {
            return Err(Wrong::Gap);
        }
        self.seen = number;
        self.since += message.len();
        Ok(frames)
    }

    /// Goes on with another connection, on which the other end says that it has seen so many.
    ///
    /// # Errors
    /// If that can't be.
    pub fn resume(&mut self, seen: u64) -> Result<(), Wrong> {
        self.arrived(seen)?;
        self.gone = 0;
        // What it has not seen must be here still.
        let first = self.kept.front().map_or(self.number + 1, |(number, _)| *number);
        if first == seen + 1 { Ok(()) } else { Err(Wrong::Gap) }
    }

    fn arrived(&mut self, seen: u64) -> Result<(), Wrong> {
        if seen > self.number {
            return Err(Wrong::Seen);
        }
        while let Some((number, message)) = self.kept.front()
            && *number <= seen
        {
            self.bytes -= message.len();
            self.kept.pop_front();
            self.gone = self.gone.saturating_sub(1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::v1::frame::What;

    fn frame(n: u64, size: usize) -> Frame {
        Frame { channel: n, what: Some(What::Message(vec![7; size].into())) }
    }

    /// Steps of a line: a frame from either end, or a message on its way, or a break.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        Push(bool, usize),
        Send(bool, bool),
        Break,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (any::<bool>(), 0..100_000_usize).prop_map(|(end, size)| Step::Push(end, size)),
            6 => (any::<bool>(), any::<bool>()).prop_map(|(end, ack)| Step::Send(end, ack)),
            1 => Just(Step::Break),
        ]
    }

    proptest! {
        #[test]
        fn whatever_breaks_all_comes_once_and_in_order(
            steps in proptest::collection::vec(step(), 1..300)
        ) {
            let mut ends = [Core::default(), Core::default()];
            // On its way from each end; what is on its way when the connection breaks is lost.
            let mut way: [VecDeque<Bytes>; 2] = Default::default();
            let (mut pushed, mut came) = ([0_u64; 2], [Vec::new(), Vec::new()]);
            for step in steps.into_iter().chain([Step::Break]) {
                match step {
                    Step::Push(end, size) => {
                        let end = usize::from(end);
                        pushed[end] += 1;
                        ends[end].push(frame(pushed[end], size));
                    }
                    Step::Send(end, ack) => {
                        let end = usize::from(end);
                        way[end].extend(ends[end].next(ack));
                        if ack && let Some(message) = way[end].pop_front() {
                            came[end].extend(ends[1 - end].take(&message).unwrap());
                        }
                    }
                    Step::Break => {
                        way = Default::default();
                        let seen = [ends[1].seen, ends[0].seen];
                        for end in 0..2 {
                            ends[end].resume(seen[end]).unwrap();
                        }
                    }
                }
                prop_assert!(ends.iter().all(|end| end.bytes < KEPT + 200_000));
                prop_assert!(ends.iter().all(|end| end.held() >= end.bytes));
            }
            // Now all gets there.
            for _ in 0..1000 {
                for end in 0..2 {
                    while let Some(message) = ends[end].next(true) {
                        came[end].extend(ends[1 - end].take(&message).unwrap());
                    }
                }
            }
            for end in 0..2 {
                let channels: Vec<_> = came[end].iter().map(|frame| frame.channel).collect();
                prop_assert_eq!(channels, (1..=pushed[end]).collect::<Vec<_>>());
                prop_assert!(ends[end].is_done() && !ends[end].owes() && ends[end].held() == 0);
            }
        }

        #[test]
        fn no_bytes_are_too_odd(message in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Core::default().take(&message.into());
        }
    }

    #[test]
    fn small_frames_share_a_message_and_large_ones_do_not() {
        let mut core = Core::default();
        (1..=1000).for_each(|n| core.push(frame(n, 10)));
        let first = Frames::decode(core.next(false).unwrap()).unwrap();
        assert_eq!((first.number, first.frames.len()), (1, 1000));
        (1..=3).for_each(|n| core.push(frame(n, 40 << 10)));
        for number in 2..=4 {
            let message = Frames::decode(core.next(false).unwrap()).unwrap();
            assert_eq!((message.number, message.frames.len()), (number, 1));
        }
        assert_eq!(core.next(true), None);
    }

    #[test]
    fn nothing_new_is_sent_while_too_much_is_on_its_way() {
        let mut core = Core::default();
        (1..=100).for_each(|n| core.push(frame(n, 100 << 10)));
        let mut sent = 0;
        while core.next(false).is_some() {
            sent += 1;
        }
        assert!((20..=21).contains(&sent), "{sent}");
        let arrived = Frames { number: 0, seen: 1, frames: Vec::new() };
        core.take(&arrived.encode_to_vec().into()).unwrap();
        assert!(core.next(false).is_some());
        assert!(core.next(false).is_none());
    }

    #[test]
    fn what_can_not_be_is_refused() {
        let message =
            |number, seen, frames| Bytes::from(Frames { number, seen, frames }.encode_to_vec());
        for (bad, wrong) in [
            (message(2, 0, Vec::new()), Wrong::Gap),
            (message(1, 1, Vec::new()), Wrong::Seen),
            (message(0, 0, vec![frame(1, 1)]), Wrong::Malformed),
            (Bytes::from_static(b"\xff\xff"), Wrong::Malformed),
        ] {
            assert_eq!(Core::default().take(&bad), Err(wrong));
        }
        let mut core = Core::default();
        core.push(frame(1, 1));
        core.next(false).unwrap();
        assert_eq!(core.resume(2), Err(Wrong::Seen));
        core.resume(1).unwrap();
        assert_eq!(core.resume(0), Err(Wrong::Gap), "it was told that this has arrived");
    }
}
