//! A user's session: the runs and agents that belong together, and its context.

use super::id::SessionId;

/// The largest context of a session, in bytes.
pub const MAX_CONTEXT: usize = 1 << 20;
/// The key in a context's map under which its text stands. It is stored so, and sent so.
pub const CONTEXT_TEXT: &str = "text";

/// A user's session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// What its user calls it.
    pub name: String,
    /// Whose it is.
    pub user: String,
    /// Whether it is closed: readable, but no new run may join it.
    pub closed: bool,
    /// When it was last used, in milliseconds since the Unix epoch.
    pub used_ms: u64,
    /// Whether its key was destroyed: nothing that it sealed can be read again.
    pub shredded: bool,
    /// What its user keeps with it; empty where that is not read, or can't be.
    pub context: String,
}
