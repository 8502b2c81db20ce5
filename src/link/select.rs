//! Which transport carries a call: the line (WebSocket) what somebody waits for, HTTP/2 the rest,
//! and the other one where the first is down, too slow, or can't take the message (S-M3).

use std::time::Duration;

use crate::wire::access::Class;

use super::line::MAX_MESSAGE;

/// What is called interactive has to be answered within this time.
pub const INTERACTIVE: Duration = Duration::from_millis(50);

/// What the caller of a method needs, where that is not what all its callers need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// What belongs to that class.
    Class(Class),
    /// An answer in time, of about that many bytes.
    Within {
        /// The time.
        deadline: Duration,
        /// The size of the larger one of request and answer.
        size: usize,
    },
}

/// A way to the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// The WebSocket.
    Line,
    /// gRPC over HTTP/2.
    Http2,
}

impl Way {
    /// Its name, in metrics and in `status`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Line => "websocket",
            Self::Http2 => "http2",
        }
    }
}

/// What was seen of a way lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// Whether it works, as far as anybody knows.
    pub up: bool,
    /// How long it takes to answer a small call, if one was made.
    pub latency: Option<Duration>,
}

/// The ways to try, the best first. `size` is that of the request, in bytes.
#[must_use]
pub fn choose(need: Need, size: usize, line: Measured, http2: Measured) -> Vec<Way> {
    let (class, size) = match need {
        Need::Class(class) => (class, size),
        Need::Within { deadline, size: about } if deadline < INTERACTIVE => {
            (Class::Interactive, size.max(about))
        }
        Need::Within { size: about, .. } => (Class::Batch, size.max(about)),
    };
    if size > MAX_MESSAGE {
        return vec![Way::Http2];
    }
    let slow = |way: Measured, other: Measured| {
        let (Some(own), Some(other)) = (way.latency, other.latency) else { return false };
        class == Class::Interactive && own > INTERACTIVE && other < own
    };
    let (first, second, own, other) = match class {
        Class::Interactive => (Way::Line, Way::Http2, line, http2),
        Class::Batch => (Way::Http2, Way::Line, http2, line),
    };
    if other.up && (!own.up || slow(own, other)) {
        return vec![second, first];
    }
    vec![first, second]
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn up(ms: u64) -> Measured {
        Measured { up: true, latency: Some(Duration::from_millis(ms)) }
    }
    const NEW: Measured = Measured { up: true, latency: None };
    const DOWN: Measured = Measured { up: false, latency: Some(Duration::from_millis(1)) };
    const WAITS: Need = Need::Class(Class::Interactive);
    const LATER: Need = Need::Class(Class::Batch);

    const fn within(ms: u64, size: usize) -> Need {
        Need::Within { deadline: Duration::from_millis(ms), size }
    }

    #[test]
    fn the_need_picks_and_what_is_down_or_slow_is_tried_last() {
        let (line, http2) = ([Way::Line, Way::Http2], [Way::Http2, Way::Line]);
        let only: [Way; 1] = [Way::Http2];
        #[rustfmt::skip]
        let table: [(Need, usize, Measured, Measured, &[Way]); 20] = [
            (WAITS, 200, NEW, NEW, &line),
            (WAITS, 200, up(1), up(1), &line),
            (LATER, 200, NEW, NEW, &http2),
            (LATER, 200, up(1), up(1), &http2),
            (within(49, 200), 10, NEW, NEW, &line),
            (within(50, 200), 10, NEW, NEW, &http2),
            (within(5_000, 200), 10, NEW, NEW, &http2),
            // One is down.
            (WAITS, 200, DOWN, up(1), &http2),
            (WAITS, 200, DOWN, NEW, &http2),
            (LATER, 200, up(1), DOWN, &line),
            // Both are: in the usual order.
            (WAITS, 200, DOWN, DOWN, &line),
            (LATER, 200, DOWN, DOWN, &http2),
            // The line is over what it is for, and HTTP/2 is not as slow.
            (WAITS, 200, up(51), up(40), &http2),
            (WAITS, 200, up(51), up(60), &line),
            (WAITS, 200, up(51), NEW, &line),
            (WAITS, 200, up(51), DOWN, &line),
            (WAITS, 200, up(49), up(1), &line),
            // Work that takes its time is no reason to leave HTTP/2.
            (LATER, 200, up(1), up(900), &http2),
            // Too large for the line.
            (WAITS, MAX_MESSAGE + 1, up(1), DOWN, &only),
            (within(10, 2 << 20), 10, up(1), up(1), &only),
        ];
        for (need, size, line, http2, ways) in table {
            assert_eq!(choose(need, size, line, http2), ways, "{need:?} {size} {line:?} {http2:?}");
        }
    }
}
