//! From what people write for Kubernetes to what its driver is given.

mod cluster;
mod driver;
mod error;
mod logs;
mod manifests;
mod targets;

pub(crate) use cluster::{Cluster, cluster};
pub(crate) use driver::Late;
pub use error::Error;
pub(crate) use targets::{settings, written};
