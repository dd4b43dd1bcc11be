//! Counters as they leave the proxy. All times are wall-clock microseconds since 1970.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Upper bounds (inclusive) of the latency buckets in milliseconds: OpenTelemetry's defaults for
/// explicit-bucket histograms, without 0. The last bucket has no upper bound.
pub const LATENCY_BOUNDS_MS: [u64; LATENCY_BUCKETS - 1] = [
    5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000,
];
pub const LATENCY_BUCKETS: usize = 15;

/// Where a reader stands. Opaque: send back what the last answer had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    /// Which run of the proxy; counters do not survive a restart.
    pub boot: u64,
    pub sequence: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatsRequest {
    /// Only this route.
    #[serde(default)]
    pub route: Option<String>,
    /// Only seconds that changed since; all when absent or of another run.
    #[serde(default)]
    pub since: Option<Cursor>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    pub number: u64,
    pub now_us: u64,
    pub cursor: Cursor,
    pub routes: BTreeMap<String, RouteStats>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteStats {
    /// Requests that no group got, because all weights were 0; since the proxy started.
    pub refused: u64,
    /// Groups of the table, and for an hour those that left it.
    pub groups: BTreeMap<String, GroupStats>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupStats {
    pub in_table: bool,
    pub in_flight: u64,
    /// By id; upstreams that left the table stay as long as they have requests in flight.
    pub upstreams: BTreeMap<String, UpstreamStats>,
    pub times: Times,
    pub seconds: Vec<Second>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamStats {
    pub address: SocketAddr,
    pub in_flight: u64,
    /// By the active check; true when there is none.
    pub healthy: bool,
}

/// Since the group got in the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    pub first_started_us: Option<u64>,
    pub last_started_us: Option<u64>,
    /// When the error was seen, not when its request started.
    pub first_error_us: Option<u64>,
    pub last_error_us: Option<u64>,
}

/// One second of one group, by request start. A second may still change after it is over, when
/// its requests end: the same second then comes again, whole, and replaces the earlier one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Second {
    /// Unix time.
    pub second: u64,
    /// Requests started.
    pub requests: u64,
    pub errors: Errors,
    /// Answers of 400 to 499: the client's fault, no error.
    pub status_4xx: u64,
    /// The client left, or sent a broken body: no error.
    pub client_gone: u64,
    /// Start of the request to the answer's head, by [`LATENCY_BOUNDS_MS`].
    pub latency: [u64; LATENCY_BUCKETS],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errors {
    /// No upstream of the group took the connection.
    pub connect: u64,
    /// No answer in time.
    pub timeout: u64,
    /// Answers of 500 to 599 by the upstream.
    pub status_5xx: u64,
    /// The upstream broke off, before or within its answer.
    pub aborted: u64,
}

impl Errors {
    #[must_use]
    pub fn total(&self) -> u64 {
        self.connect + self.timeout + self.status_5xx + self.aborted
    }
}
