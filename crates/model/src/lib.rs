//! The words of Belay as types: ids, configuration, releases, states, plans, journal events, verdicts.
//!
//! Everything here is data and pure functions on it. No I/O, no clock, no tokio: the same types are read
//! by the engine, the drivers, the store and the command line, and old stored data must stay readable.
#![warn(missing_docs)]

pub mod back;
pub mod config;
pub mod environment;
pub mod error;
pub mod event;
pub mod id;
pub mod plan;
pub mod policy;
pub mod promotion;
pub mod release;
pub mod state;
pub mod summary;
pub mod takeover;
pub mod verdict;
