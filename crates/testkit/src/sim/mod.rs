//! The simulator: several workers over one store and simulated platforms, and everything that can go wrong between them.
//!
//! A [`Story`] is plain data: what people ask for, what the world does, and what fails, when. `chance` draws one from a
//! seed; `stage` plays it on a runtime whose time is paused, so that the same story always goes the same way; `audit`
//! looks at every event in the moment in which it is appended, and at what is left in the end. What was seen is counted
//! (`counters`), because a simulation that exercises nothing breaches nothing. A story that breaches something is made
//! smaller (`shrink`) and printed as a test (`source`).
//!
//! A new thing that people do is a variant of [`story::Deed`] and its arm in `people`; a new thing that goes wrong is one of
//! [`story::Trouble`] and its arm in `seats`; a new invariant is a check in `audit` or in [`crate::breaches`].

mod audit;
mod backwards;
mod calls;
mod capacity;
mod chance;
mod commands;
mod counters;
mod ended;
mod handed;
mod orders;
mod passed_over;
mod people;
mod planned;
mod policies;
mod promotions;
mod rates;
mod report;
mod restored;
mod seats;
mod shrink;
mod source;
mod stage;
pub mod story;
mod told;
mod turns;
mod ways;
mod wire;

pub use chance::draw;
pub use counters::Counters;
pub use report::Report;
pub use shrink::shrunk;
pub use source::as_test;
pub use stage::play;
pub use story::Story;

/// What a printed test uses: all words of a story.
pub mod words {
    pub use super::story::Deed::*;
    pub use super::story::Doubt::*;
    pub use super::story::Place;
    pub use super::story::Remedy::*;
    pub use super::story::Then::*;
    pub use super::story::Trouble::*;
    pub use super::story::Way::*;
    pub use super::story::Weather::*;
    pub use super::story::Work::{self, *};
    pub use super::story::{Act, Extra, Incident, Order, Story};
    pub use crate::Fault::*;
    pub use crate::Hints::*;
    pub use crate::Kind::*;
    pub use belay_model::back::Risk::*;
    pub use belay_model::config::BackCapacity::{self, Full, Proportional};
    pub use belay_model::config::BackPhases::*;
    pub use belay_model::config::Provisioning::*;
    pub use belay_model::config::ProvisioningOrder::*;
    pub use belay_model::config::{BackOrder, Duration, ForeignChange};
    pub use belay_model::error::Class::*;
    pub use belay_model::event::Ask::*;
    pub use belay_model::plan::Look::*;
    pub use belay_model::verdict::Outcome::*;
}
