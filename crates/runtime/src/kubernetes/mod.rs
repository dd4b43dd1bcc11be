//! From what people write for Kubernetes to what its driver is given.

mod addresses;
mod allowed;
mod charts;
mod cluster;
mod driver;
mod error;
mod groups;
mod helm;
mod logs;
mod manifests;
mod probes;
mod rights;
mod running;
mod targets;

pub(crate) use addresses::OnKubernetes;
pub(crate) use allowed::Allowed;
pub(crate) use cluster::{Cluster, cluster};
pub(crate) use driver::Late;
pub use error::Error;
pub(crate) use groups::groups;
pub(crate) use helm::{Clear, clear, written as written_release};
pub use probes::unprobed;
pub use rights::{Takes, takes, takes_of_back, takes_of_look, takes_of_strategy};
pub(crate) use targets::{settings, written};
