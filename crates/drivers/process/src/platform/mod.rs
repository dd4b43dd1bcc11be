//! The driver: groups of supervised instances, and a route in front of them.
//!
//! Normalised state of a target: one resource `group/NAME` per group (spec: record and number of instances, and `traffic:
//! false` where it takes none) and, where one takes traffic, one `route` (spec: address and weights, zero weights left out). Pids, ports and table numbers are facts: a group that
//! was started again on other ports is the same group.

mod effects;
mod instance;
mod plan;
mod ports;
mod process;
mod shape;

pub use process::{Options, Process};
