//! One deployment's course: ask `decide`, perform, append, ask again. The only place where the core meets the world.
//!
//! A value crosses a crash only through the journal: nothing kept here is needed to go on after SIGKILL.

mod admission;
mod back;
mod cause;
mod confirm;
mod foreseen;
mod hand_over;
mod hands;
mod leave;
mod perform;
mod plan;
mod rest;
mod run;
mod settle;
mod sinks;
mod verify;

pub use rest::Rest;
pub use run::{Course, DEADLINE_MS, LOOK_MS, Left};
