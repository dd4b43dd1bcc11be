//! The data plane: routes, groups, weights, health, drain, counters.
//!
//! A process of its own, so that traffic flows while whoever steers it is dead or being upgraded.
//! It **knows no deployment words**: it is told a table of routes, groups, upstreams and weights
//! over a Unix socket (crate `belay-proxy-api`) and does what the table says.
//!
//! A change is made in this order: bind what is new, swap (one atomic store per route), persist
//! (temporary file, fsync, rename; the previous table is kept), acknowledge. So what is on disk
//! can only lag behind what was served, by at most one change that nobody was told had happened.
//! A change that is in force but could not be written is answered with `not_persisted`, and no
//! other change is taken until it is on disk.

mod admin;
mod body;
mod clock;
mod control;
mod counters;
mod error;
mod forward;
mod headers;
mod health;
mod inflight;
mod listener;
mod live;
mod options;
mod persist;
mod server;
mod split;
mod table;
mod upgrade;
mod upstream;

pub use error::Error;
pub use options::Options;
pub use server::{run, signalled};
