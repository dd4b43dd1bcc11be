//! Real servers for tests. A dev-dependency only.
//!
//! A server belongs to the process that starts it: it is stopped and its files are removed when its value is dropped,
//! and also when the process ends in any other way.
#![warn(missing_docs)]

mod address;
mod certificates;
mod go;
mod keeper;
mod kubernetes;
mod postgres;
mod registry;
mod release;

pub use address::Address;
pub use certificates::{Authority, Identity};
pub use kubernetes::{Answer, ControlPlane, Edge, Helm, Webhook};
pub use postgres::Postgres;
pub use registry::Registry;
pub use release::Version;
