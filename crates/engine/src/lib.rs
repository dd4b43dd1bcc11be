//! The engine: a pure core (fold, decide, plan, rollback_plan) and the worker loop on its ports.
//!
//! `fold(events)` says where a deployment is, `decide` what to do next; a [`worker::Worker`] persists the intent,
//! performs it, appends the result and loops. Data is journalled, not code: recovery is the same loop.
#![warn(missing_docs)]

pub mod capacity;
pub mod course;
pub mod decide;
pub mod fold;
pub mod freeze;
pub mod goal;
pub mod half_way;
pub mod lease;
pub mod left;
pub mod mutant;
pub mod planning;
pub mod ports;
pub mod queue;
pub mod taken_back;
pub mod targets;
pub mod undone;
pub mod worker;

mod ahead;
mod cleanup;
mod conclude;
mod journal;
mod lane;
mod one_phase;
mod recent;
mod retry;
