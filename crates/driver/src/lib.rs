//! What a driver is: the [`Driver`], [`Router`] and [`Artifacts`] traits and their errors.
//!
//! Everything a third party needs to write a driver, and no more. A driver has no access to the store or the
//! engine: it observes, plans purely, applies one step at a time, and says honestly what may have happened.
#![warn(missing_docs)]

#[cfg(feature = "conformance")]
pub mod conformance;
mod context;
mod driver;
mod error;
mod ports;
mod remark;
mod there;

pub use context::{Context, Material, Progress};
pub use driver::{
    Applied, Availability, Capabilities, Capacity, Driver, Old, Restorability, Revision, Settled,
    Split, Stage,
};
pub use error::Error;
pub use ports::{Artifacts, Moved, Route, RouteState, Router, Upstream};
pub use remark::{Refusal, Remark};
pub use there::{is_there, is_untouched};
