//! From what people write for Kubernetes to what its driver is given.

mod cluster;
mod driver;
mod logs;
mod manifests;
mod targets;

pub(crate) use driver::Late;
pub(crate) use targets::{settings, written};
