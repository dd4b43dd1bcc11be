//! What a database has to offer so that the store can be made of it. Everything else is written once, above.

use crate::change::{Answer, Change};
use crate::sql::Sql;
use async_trait::async_trait;
use belay_engine::ports::StoreError;
use belay_model::id::DeploymentId;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// See the module. Public only by name: `dyn Database` is part of [`AnyStore`](crate::AnyStore).
#[async_trait]
#[doc(hidden)]
pub trait Database: Send + Sync + 'static {
    /// A connection for one statement that reads.
    async fn read(&self) -> Result<Box<dyn Sql>, StoreError>;
    /// A transaction that reads, all of it at one moment.
    async fn snapshot(&self) -> Result<Box<dyn Sql>, StoreError>;
    /// A transaction that writes, on a connection of its own: made durable by `COMMIT`, else nothing of it is kept. Keeps
    /// all others from writing where there is one writer.
    async fn bulk(&self) -> Result<Box<dyn Sql>, StoreError>;
    /// Makes a change durable, or answers that nothing of it was kept.
    async fn change(&self, change: Change) -> Result<Answer, StoreError>;
    /// A small write, before anything is changed that the store has to know of.
    async fn require_writable(&self) -> Result<(), StoreError>;
    /// What the database itself finds wrong, one line each.
    async fn self_check(&self) -> Result<Vec<String>, StoreError>;
    /// Whether what it runs on keeps what it acknowledges.
    async fn health(&self) -> Result<Vec<Health>, StoreError>;
    /// Adds a progress line, or drops it.
    async fn add_progress(&self, id: &DeploymentId, at_us: i64, line: &str);
    /// Progress lines after a position.
    async fn progress(
        &self,
        id: &DeploymentId,
        after: i64,
    ) -> Result<Vec<(i64, i64, String)>, StoreError>;
    /// Removes progress lines older than a time; answers how many.
    async fn prune_progress(&self, before_us: i64) -> Result<u64, StoreError>;
    /// See the port.
    fn generation(&self) -> u64;
    /// See the port.
    async fn changed(&self, since: u64);
    /// How leases live; absent: there is one worker at a time.
    fn leases(&self) -> Option<Leases> {
        None
    }
    /// What was written so far.
    fn stats(&self) -> Stats;
    /// Closes all connections; requests that come later are refused.
    async fn close(&self);
}

/// How leases live where there are many workers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leases {
    /// How long without being renewed.
    pub(crate) each: Duration,
    /// Of one environment name at most.
    pub(crate) per_environment: usize,
}

/// One thing about what a database runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// What, in a word.
    pub about: &'static str,
    /// Whether it is as it should be.
    pub ok: bool,
    /// How it is, and what to do about it.
    pub text: String,
}

/// What was written since the store was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Transactions committed.
    pub commits: u64,
    /// Requests answered, refused ones included.
    pub requests: u64,
}

#[derive(Default)]
pub(crate) struct Counters {
    commits: AtomicU64,
    requests: AtomicU64,
}

impl Counters {
    pub(crate) fn answered(&self, requests: usize) {
        let requests = u64::try_from(requests).unwrap_or(u64::MAX);
        self.requests.fetch_add(requests, Ordering::Relaxed);
    }

    pub(crate) fn committed(&self) {
        self.commits.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            commits: self.commits.load(Ordering::Relaxed),
            requests: self.requests.load(Ordering::Relaxed),
        }
    }
}
