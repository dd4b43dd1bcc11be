//! The worker: claims scopes that have work, and runs one task for each of them while its lease lives.

mod bell;
mod guarded;
mod leased;
mod scope;
mod session;
mod term;

use crate::lease::Owner;
use crate::ports::{Ports, StoreError};
use session::Session;

/// How much a worker does at once.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Scopes at most; more wait, for it or for another worker.
    pub courses: usize,
}

impl Default for Options {
    /// As good as all: one that bakes or waits for people does so for hours, and costs some memory and nothing else.
    fn default() -> Self {
        Self { courses: 10_000 }
    }
}

/// See the module.
#[derive(Clone)]
pub struct Worker {
    ports: Ports,
    owner: Owner,
    options: Options,
}

/// Why the worker stopped.
#[derive(Debug, PartialEq)]
pub enum Stop {
    /// Nothing is open and nothing will be due.
    Idle,
}

impl Worker {
    /// A worker that does as much at once as is usual.
    pub fn new(ports: Ports, owner: impl Into<Owner>) -> Self {
        Self::with(ports, owner, Options::default())
    }

    /// A worker.
    pub fn with(ports: Ports, owner: impl Into<Owner>, options: Options) -> Self {
        let owner = owner.into();
        Self {
            ports,
            owner,
            options,
        }
    }

    /// Works until nothing is open and no clean-up is owed that workers of its host could do. Dropping it stops everything it does. Where leases
    /// end by themselves, losing them is no error: what it was at is dropped, and it claims again.
    ///
    /// # Errors
    /// The store cannot be read at all. Where there is one worker at a time, another one has come: this one has no say
    /// any more.
    pub async fn run(&self) -> Result<Stop, StoreError> {
        loop {
            // Everything that a session began ends with it.
            if let Some(stop) = Session::new(self).run().await? {
                return Ok(stop);
            }
            tracing::warn!(owner = %self.owner.name, "its leases ended; it begins anew");
        }
    }

    /// What is not needed is only disk: failing to remove it stops nobody.
    async fn collect(&self) {
        if let Err(error) = self.ports.retention.collect().await {
            tracing::warn!(%error, "what is not needed any more could not be removed");
        }
    }
}
