//! How children become members: one way or the other.

use super::{generational::Generational, steady::Steady};

/// A search's population, and what it waits for.
#[derive(Debug, Clone)]
pub(super) enum State {
    Generational(Generational),
    Steady(Steady),
}
