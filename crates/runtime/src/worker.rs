//! The worker process.

use crate::{Belay, Error};

/// Why a worker left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Another one is at work on this store.
    AlreadyRunning,
    /// Nothing is open and nothing will be due.
    Idle,
}

/// Works on a store until nothing is open for `idle_ms` (3000 is usual).
///
/// # Errors
/// The store cannot be used.
pub async fn run_worker(_belay: &Belay, _idle_ms: u64) -> Result<Left, Error> {
    unimplemented!()
}
