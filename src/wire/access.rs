//! Which role each gRPC method and each request on a WebSocket needs. Everything stands here; a
//! method that doesn't is refused to all.

use crate::domain::role::Role::{self, Operator, Reader, User};

use super::v1::stream_request::Request;

/// The methods by their path, and the role that each needs.
const METHODS: [(&str, Role); 27] = [
    ("/darwin.v1.Runs/Start", User),
    ("/darwin.v1.Runs/List", Reader),
    ("/darwin.v1.Runs/Show", Reader),
    ("/darwin.v1.Runs/Stop", User),
    ("/darwin.v1.Runs/Kill", User),
    ("/darwin.v1.Runs/Rollback", User),
    ("/darwin.v1.Runs/Resume", User),
    ("/darwin.v1.Evaluations/Evaluate", User),
    ("/darwin.v1.Agents/Show", Reader),
    ("/darwin.v1.Agents/Genome", Reader),
    ("/darwin.v1.Lineage/Tree", Reader),
    ("/darwin.v1.Lineage/Ancestors", Reader),
    ("/darwin.v1.Lineage/Descendants", Reader),
    ("/darwin.v1.Lineage/Verify", Reader),
    // It may give a session's key along.
    ("/darwin.v1.Lineage/Export", User),
    ("/darwin.v1.Journals/Read", Reader),
    ("/darwin.v1.Sessions/Create", User),
    ("/darwin.v1.Sessions/List", Reader),
    ("/darwin.v1.Sessions/Show", Reader),
    ("/darwin.v1.Sessions/Resume", User),
    ("/darwin.v1.Sessions/SetContext", User),
    ("/darwin.v1.Sessions/Shred", User),
    ("/darwin.v1.Sessions/Close", User),
    ("/darwin.v1.Operations/Status", Reader),
    ("/darwin.v1.Operations/Doctor", User),
    // It reads all that is stored, of all users.
    ("/darwin.v1.Operations/VerifyStore", Operator),
    ("/darwin.v1.Operations/Shutdown", Operator),
];

/// The role that the method at that path needs; none if it is unknown.
#[must_use]
pub fn method(path: &str) -> Option<Role> {
    METHODS.iter().find(|(known, _)| *known == path).map(|(_, role)| *role)
}

/// The role that a request on a WebSocket needs.
#[must_use]
pub fn stream(request: &Request) -> Role {
    match request {
        Request::Watch(_) => Reader,
    }
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
        for (path, _) in METHODS {
            assert!(paths.iter().any(|known| known == path), "{path} is gone");
        }
        assert_eq!(method("/darwin.v1.Runs/Drop"), None);
    }
}
