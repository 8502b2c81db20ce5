//! How children become members: one way or the other.

use super::{generational::Generational, steady::Steady};

/// A search's population, and what it waits for.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "an engine has one, and asks it all the time")]
pub(super) enum State {
    Generational(Generational),
    Steady(Steady),
}
