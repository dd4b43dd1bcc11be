//! Leases: a worker's hold on a scope. While it lives, nobody else works in that scope; its epoch, which grows with every
//! claim, is checked in each transaction of the worker, so that one who does not know yet that it was replaced changes
//! nothing (I6).

use belay_model::id::Scope;

/// A worker process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Who, unlike any other that ever was: host, pid and a random part.
    pub name: String,
    /// Which host it runs on: targets that name a host are for its workers only.
    pub host: String,
}

impl From<String> for Owner {
    fn from(name: String) -> Self {
        let host = String::new();
        Self { name, host }
    }
}

impl From<&str> for Owner {
    fn from(name: &str) -> Self {
        name.to_owned().into()
    }
}

/// A hold on a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// On what.
    pub scope: Scope,
    /// Fencing number: one above that of the lease before it.
    pub epoch: u64,
}

/// What is left to do in a store for workers of a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Deployments that have not ended.
    pub open: u64,
    /// When the next clean-up is due where nothing is open, Unix milliseconds; absent: none is owed there.
    pub next_cleanup_ms: Option<i64>,
}
