//! Identifiers: UUID version 7 (RFC 9562), one newtype per kind.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

/// A text that is no identifier of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{text}” is not {kind} id: expected a UUID like 0198c2a4-7f3e-7c11-9d2b-5a1f0e3c8d47")]
pub struct BadId {
    /// What was given.
    pub text: String,
    /// The kind of identifier wanted, with its article.
    pub kind: &'static str,
}

macro_rules! id {
    ($name:ident, $kind:literal, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// An id made at `millis` since the Unix epoch from 10 random bytes.
            #[must_use]
            pub fn new(millis: u64, random: [u8; 10]) -> Self {
                Self(Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
            }

            /// The id that has exactly these bytes.
            #[must_use]
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The 16 bytes, as stored and sent.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// When it was made, in milliseconds since the Unix epoch.
            #[must_use]
            pub fn millis(&self) -> u64 {
                let mut wide = [0; 8];
                wide[2..].copy_from_slice(&self.0.as_bytes()[..6]);
                u64::from_be_bytes(wide)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                Uuid::try_parse(text)
                    .map(Self)
                    .map_err(|_| BadId { text: text.to_owned(), kind: $kind })
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = BadId;
            fn try_from(bytes: &[u8]) -> Result<Self, BadId> {
                Uuid::from_slice(bytes)
                    .map(Self)
                    .map_err(|_| BadId { text: format!("{} bytes", bytes.len()), kind: $kind })
            }
        }
    };
}

id!(AgentId, "an agent", "One agent: an immutable individual.");
id!(RunId, "a run", "One run: the evolution of a population against a suite.");
id!(SessionId, "a session", "One session: a user's runs, agents and context.");

/// A place in a run: which agent of which generation.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Slot {
    /// The generation; 0 is the initial one.
    pub generation: u64,
    /// The place in it.
    pub index: u32,
}

impl AgentId {
    /// The id of the agent at `slot` of `run`: the same whenever it is asked for, so that
    /// work repeated after a crash is recognised. Rises with the generation, so that an
    /// index by id grows at its end; its time is the run's start plus the generation.
    #[must_use]
    pub fn in_run(run: RunId, slot: Slot) -> Self {
        let mut random = [0; 10];
        random[..4].copy_from_slice(&slot.index.to_be_bytes());
        random[4..].copy_from_slice(&run.as_bytes()[10..]);
        // Version and variant overwrite bits 0-3 of byte 0 and 0-1 of byte 2: spread the
        // index so that none of its bits is lost.
        random[0] = (slot.index >> 24) as u8 & 0x0f;
        random[2] = (slot.index >> 8) as u8 & 0x3f;
        random[3] = slot.index as u8;
        random[4] ^= (slot.index >> 14) as u8 & 0x03;
        random[5] ^= (slot.index >> 28) as u8;
        Self::new(run.millis() + slot.generation, random)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn agents_of_a_run_have_ids_of_their_own() {
        let run = RunId::new(1_700_000_000_000, [7; 10]);
        let slots = (0..40u64)
            .flat_map(|generation| (0..32u32).map(move |bit| Slot { generation, index: 1 << bit }));
        let ids: HashSet<_> = slots.map(|slot| AgentId::in_run(run, slot)).collect();
        assert_eq!(ids.len(), 40 * 32);
    }
}
