//! Composition root: configuration, store, drivers, sources, router, worker.
//!
//! [`Belay`] is one store opened: it puts the ports together and offers what people ask for as methods. Each comes
//! back at once, with what was written down; a worker ([`run_worker`], started by [`Belay::ensure_worker`]) does it, and
//! [`Belay::follow`] watches. Nothing here prints, asks or reads the process's environment.
#![warn(missing_docs)]

#[allow(missing_docs)]
pub mod config;

mod accepted;
mod belay;
mod clock;
mod deploy;
mod error;
mod follow;
mod launch;
mod operations;
mod plan;
mod readiness;
mod rollback;
mod router;
mod scope;
mod status;
mod worker;

pub use accepted::Accepted;
pub use belay_driver::Restorability;
pub use belay_driver_process::supervisor::main as supervise;
pub use belay::{Belay, Options};
pub use deploy::DeployRequest;
pub use error::{Error, Exit};
pub use follow::{Follow, Line, Update};
pub use operations::{InstanceLog, Lifted, ReleaseInfo};
pub use plan::{DeployPlan, PlannedStep};
pub use readiness::Readiness;
pub use rollback::{RollbackPreview, RollbackRequest};
pub use status::{GroupStatus, ScopeStatus, Serving, TargetStatus};
pub use worker::{Left, run_worker};
