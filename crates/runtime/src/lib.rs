//! Composition root: configuration, store, drivers, sources, router, worker.
//!
//! [`Belay`] is one store opened: it puts the ports together and offers what people ask for as methods. Each comes
//! back at once, with what was written down; a worker ([`run_worker`], started by [`Belay::ensure_worker`]) does it, and
//! [`Belay::follow`] watches. Nothing here prints, asks, or decides what a deployment does next: that is the engine.
//!
//! The executable that [`Options::exe`] names is started as `EXE worker --detached --dir DIR` ([`detach`] and
//! [`run_worker`]), `EXE proxy run --dir DIR` and `EXE supervise DIR` ([`supervise`]).
#![warn(missing_docs)]

pub mod config;

mod accepted;
mod artifacts;
mod belay;
mod clock;
mod copies;
mod counters;
#[cfg(debug_assertions)]
mod crash;
mod deploy;
mod doctor;
mod error;
mod follow;
mod freezes;
mod host;
mod kubernetes;
mod launch;
mod lock;
mod operations;
mod phases;
mod plan;
mod prepare;
mod preview;
mod promote;
mod readiness;
mod retention;
mod rollback;
#[cfg(feature = "process")]
mod router;
mod scope;
mod script;
mod secrets;
mod status;
mod targets;
pub mod uri;
mod way;
mod worker;

pub use accepted::Accepted;
pub use belay::{Belay, Options, Shared};
pub use belay_driver::{Availability, Restorability, Revision};
pub use belay_driver_kubernetes::Gitops;
pub use belay_driver_kubernetes::permissions::{Checked, Missing, Right, Subject};
pub use belay_driver_kubernetes::render::{Images, Unprobed};
pub use belay_driver_process::supervisor::main as supervise;
pub use belay_engine::goal::Skipped;
pub use belay_store::{Copied, PostgresOptions, Tables};
pub use deploy::{DeployRequest, Released};
pub use doctor::Finding;
pub use error::{Error, Exit};
pub use follow::{Follow, Line, Update};
pub use kubernetes::{Error as KubernetesError, unprobed};
pub use kubernetes::{Takes, takes, takes_of_back, takes_of_look, takes_of_strategy};
pub use launch::detach;
pub use operations::{InstanceLog, Lifted, ReleaseInfo};
pub use plan::{DeployPlan, PlannedStep};
pub use preview::{QueuedEnd, RollbackPreview};
pub use readiness::{Light, Measured, Readiness};
pub use retention::Retention;
pub use rollback::RollbackRequest;
pub use script::Script;
pub use status::{GroupStatus, ScopeStatus, Serving, TargetStatus};
pub use worker::{Left, run_worker};
