//! Which role each method needs, and how soon its caller wants
//! the answer. Everything stands here; a method that doesn't is refused to all.

use crate::domain::role::Role::{self, Operator, Reader, User};

/// How soon its caller wants a method's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Below 50 ms: somebody waits.
    Interactive,
    /// When there is time; it may be large, or much work.
    Batch,
}

use Class::{Batch, Interactive};

impl Class {
    /// Its name, in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Batch => "batch",
        }
    }
}

/// The standard health service: it tells whether the daemon serves, and nothing of any user's, so
/// that it needs no envelope.
pub const HEALTH: &str = "/grpc.health.v1.Health/";

/// The methods by their path, the role that each needs, and its class.
const METHODS: [(&str, Role, Class); 34] = [
    ("/darwin.v1.Runs/Start", User, Batch),
    ("/darwin.v1.Runs/List", Reader, Interactive),
    ("/darwin.v1.Runs/Show", Reader, Interactive),
    ("/darwin.v1.Runs/Stop", User, Interactive),
    ("/darwin.v1.Runs/Watch", Reader, Interactive),
    ("/darwin.v1.Runs/Kill", User, Interactive),
    ("/darwin.v1.Runs/Rollback", User, Interactive),
    ("/darwin.v1.Runs/Resume", User, Interactive),
    ("/darwin.v1.Evaluations/Evaluate", User, Batch),
    ("/darwin.v1.Agents/Show", Reader, Interactive),
    ("/darwin.v1.Agents/Genome", Reader, Batch),
    ("/darwin.v1.Lineage/Tree", Reader, Batch),
    ("/darwin.v1.Lineage/Ancestors", Reader, Batch),
    ("/darwin.v1.Lineage/Descendants", Reader, Batch),
    ("/darwin.v1.Lineage/Verify", Reader, Batch),
    // It may give a session's key along.
    ("/darwin.v1.Lineage/Export", User, Batch),
    ("/darwin.v1.Journals/Read", Reader, Batch),
    ("/darwin.v1.Sessions/Create", User, Interactive),
    ("/darwin.v1.Sessions/List", Reader, Interactive),
    ("/darwin.v1.Sessions/Show", Reader, Interactive),
    ("/darwin.v1.Sessions/Resume", User, Interactive),
    ("/darwin.v1.Sessions/SetContext", User, Interactive),
    ("/darwin.v1.Sessions/Shred", User, Interactive),
    ("/darwin.v1.Sessions/Close", User, Interactive),
    ("/darwin.v1.Rooms/Enter", User, Interactive),
    ("/darwin.v1.Rooms/Invite", User, Interactive),
    ("/darwin.v1.Rooms/List", Reader, Interactive),
    ("/darwin.v1.Blobs/Put", User, Batch),
    ("/darwin.v1.Blobs/Get", Reader, Batch),
    ("/darwin.v1.Blobs/List", Reader, Interactive),
    ("/darwin.v1.Operations/Status", Reader, Interactive),
    ("/darwin.v1.Operations/Doctor", User, Batch),
    // It reads all that is stored, of all users.
    ("/darwin.v1.Operations/VerifyStore", Operator, Batch),
    ("/darwin.v1.Operations/Shutdown", Operator, Interactive),
];

/// The role that the method at that path needs; none if it is unknown.
#[must_use]
pub fn method(path: &str) -> Option<Role> {
    if path.starts_with(HEALTH) {
        return Some(Reader);
    }
    METHODS.iter().find(|(known, ..)| *known == path).map(|(_, role, _)| *role)
}

/// How soon callers of the method at that path want the answer; none if it is none of ours.
#[must_use]
pub fn class(path: &str) -> Option<Class> {
    METHODS.iter().find(|(known, ..)| *known == path).map(|(.., class)| *class)
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;
    use crate::wire::methods::DESCRIPTORS;

    #[test]
    fn every_method_and_no_other_has_its_role() {
        let set = FileDescriptorSet::decode(DESCRIPTORS).unwrap();
        let mut paths = Vec::new();
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    let (package, service) = (file.package(), service.name());
                    paths.push(format!("/{package}.{service}/{}", method.name()));
                }
            }
        }
        assert!(paths.len() > 20, "{paths:?}");
        for path in &paths {
            assert!(method(path).is_some(), "{path}: say in METHODS which role it needs");
        }
        for (path, ..) in METHODS {
            assert!(paths.iter().any(|known| known == path), "{path} is gone");
        }
        assert_eq!(method("/darwin.v1.Runs/Drop"), None);
    }
}
