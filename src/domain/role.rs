//! Roles: what who calls may do.

use std::fmt;

/// What a certificate lets its holder do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Everything: run the daemon and look after its stores.
    Operator,
    /// Evolve, evaluate, export; and all that readers may.
    User,
    /// Take evaluations and hand in their results, and nothing else.
    Worker,
    /// Look on.
    Reader,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Operator, Self::User, Self::Worker, Self::Reader];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::User => "user",
            Self::Worker => "worker",
            Self::Reader => "reader",
        }
    }

    /// The role of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Whether it suffices where `needed` is asked for.
    #[must_use]
    pub fn may(self, needed: Self) -> bool {
        self == needed || self == Self::Operator || (self, needed) == (Self::User, Self::Reader)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_may_everything_and_a_worker_only_its_own() {
        let all = |role: Role| Role::ALL.map(|needed| role.may(needed));
        assert_eq!(all(Role::Operator), [true, true, true, true]);
        assert_eq!(all(Role::User), [false, true, false, true]);
        assert_eq!(all(Role::Worker), [false, false, true, false]);
        assert_eq!(all(Role::Reader), [false, false, false, true]);
        assert!(Role::ALL.iter().all(|role| Role::named(role.name()) == Some(*role)));
    }
}
