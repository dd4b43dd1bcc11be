//! Kubernetes as a platform: what is there, and how it differs from what is wanted. The beginning of a driver, not one yet.
//!
//! Normalised state of a target: one resource per object, `KIND.GROUP/NAME` (`deployment.apps/api`, `configmap/api`), with the
//! namespace before the name where it is not the target's own. Its spec is what somebody meant: what the server filled in, or
//! admission put in, is a fact. A Deployment's spec says how far it is rolled out, too. A Helm release adds `release/NAME`.
#![warn(missing_docs)]

mod cluster;
mod compare;
mod contexts;
mod defaults;
mod deployment;
mod digests;
mod error;
mod helm;
mod kubernetes;
mod manifest;
mod object;
mod ownership;
pub mod render;
mod settings;

pub use contexts::contexts;
pub use kubernetes::Kubernetes;
pub use manifest::parse as parse_manifest;
pub use settings::{Settings, What};
