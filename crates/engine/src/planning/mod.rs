//! Plans. One planning function of the driver serves both ways; the engine cuts a strategy into stages, calls it
//! once per stage, and puts its own steps between. Pure.

mod back;
mod forward;
mod stages;
mod steps;

pub use back::back;
pub use forward::forward;
pub(crate) use forward::forward_beside;
pub use steps::{MAX_STEPS, MAX_STEPS_BACK};
