//! Which streams of a connection have begun, so that none begins twice.
//!
//! A message is good for one connection only: its header names the connection's TLS exporter
//! value (RFC 9266), which both ends derive from the handshake and nobody chooses. Whatever was
//! recorded elsewhere, or before a restart of the daemon, names another one and is refused without
//! any memory of it. So the window has to last just as long as its connection, and nothing needs
//! to be stored. Within the connection every stream has a number of its own, and within a stream
//! the sequence tells messages apart.

use super::envelope::Refused;

/// How far behind the newest stream one may begin: many more calls than a connection has at
/// once, as a large request is overtaken by small ones while it is on its way.
const SPAN: u64 = 1 << 16;
const BITS: u64 = u64::BITS as u64;

/// The streams that have begun (as RFC 4303, section 3.4.3, keeps its packets): 8 KiB.
#[derive(Debug)]
pub struct Window {
    newest: u64,
    seen: Box<[u64]>,
}

impl Default for Window {
    fn default() -> Self {
        Self { newest: 0, seen: vec![0; (SPAN / BITS) as usize].into() }
    }
}

impl Window {
    /// Lets stream `number` begin.
    ///
    /// # Errors
    /// If it did before, or is so far behind that nobody knows.
    pub fn admit(&mut self, number: u64) -> Result<(), Refused> {
        if number > self.newest {
            // What lies between is not seen yet, whatever its bits meant before.
            let fresh = (number - self.newest).min(SPAN);
            for other in (number - fresh + 1)..=number {
                *self.word(other) &= !bit(other);
            }
            self.newest = number;
        } else if number == 0 || self.newest - number >= SPAN {
            return Err(Refused::Replayed);
        }
        let word = self.word(number);
        if *word & bit(number) != 0 {
            return Err(Refused::Replayed);
        }
        *word |= bit(number);
        Ok(())
    }

    fn word(&mut self, number: u64) -> &mut u64 {
        &mut self.seen[(number % SPAN / BITS) as usize]
    }
}

fn bit(number: u64) -> u64 {
    1 << (number % BITS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn streams_begin_in_any_order_once() {
        let mut window = Window::default();
        for number in [1, 3, 2, SPAN, 5, SPAN + 1, 4 * SPAN, u64::MAX] {
            assert_eq!(window.admit(number), Ok(()), "{number}");
            assert_eq!(window.admit(number), Err(Refused::Replayed), "{number}");
        }
        for old in [0, 1, 7, 4 * SPAN, u64::MAX - SPAN] {
            assert_eq!(window.admit(old), Err(Refused::Replayed), "{old}");
        }
        assert_eq!(window.admit(u64::MAX - SPAN + 1), Ok(()));
    }

    proptest! {
        #[test]
        fn it_lets_in_what_a_set_would_within_its_span(
            jumps in prop::collection::vec(prop_oneof![0_u64..100, 0_u64..200_000], 1..200),
        ) {
            let (mut window, mut seen, mut at) = (Window::default(), BTreeSet::new(), 0_u64);
            for jump in jumps {
                // Forwards, or back by some.
                let number = if jump % 3 == 0 { at.saturating_sub(jump) } else { at + jump };
                let newest = seen.last().copied().unwrap_or(0);
                let fresh = number != 0 && number + SPAN > newest && seen.insert(number);
                prop_assert_eq!(window.admit(number).is_ok(), fresh, "{}", number);
                at = at.max(number);
            }
        }
    }
}
