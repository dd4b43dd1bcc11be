//! Admin API types and client of belay proxy.
//!
//! The proxy is told routes, groups, upstreams and weights, and nothing else: this crate must not
//! learn what a group stands for. The wire is HTTP/1.1 with JSON bodies over a Unix socket
//! (`admin.sock` in the proxy's directory); every operation is a `POST` to [`path`]'s addresses.

mod change;
#[cfg(feature = "client")]
mod client;
pub mod path;
mod refusal;
mod socket;
mod stats;
mod status;
mod table;

pub use change::{Applied, Confirm, DeleteRoute, Drain, Drained, Expect, PutRoute};
#[cfg(feature = "client")]
pub use client::{Client, Error};
pub use refusal::{Code, Refusal};
pub use socket::SocketPath;
pub use stats::{
    Cursor, Errors, GroupStats, LATENCY_BOUNDS_MS, LATENCY_BUCKETS, RouteStats, Second, Stats,
    StatsRequest, Times, UpstreamStats,
};
pub use status::{ListenerStatus, Status};
pub use table::{FORMAT, Group, HealthCheck, Route, SplitBy, Table, Upstream, WEIGHT_SUM};
