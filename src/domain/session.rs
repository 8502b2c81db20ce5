//! A user's session: the runs and agents that belong together, and its context.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::id::SessionId;

/// A user's session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Notes that its user keeps with it, by key.
    pub context: BTreeMap<String, String>,
}
