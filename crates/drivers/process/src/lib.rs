//! Local processes as a platform: supervisors, groups of instances.
//!
//! [`supervisor`] keeps one command running, and is a process of its own so that it outlives Belay.

mod error;
mod platform;
pub mod supervisor;

pub use error::Error;
pub use platform::{Options, Process};
