//! The engine: a pure core (fold, decide, plan, rollback_plan) and the worker loop on its ports.
#![warn(missing_docs)]

pub mod ports;
