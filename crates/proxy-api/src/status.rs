//! What the proxy says about itself.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub pid: u32,
    pub version: String,
    pub number: u64,
    /// Lags behind `number` only while a change is being written, or when writing failed.
    pub persisted_number: u64,
    pub started_us: u64,
    /// The table is a fallback (see `warnings`) that no controller has confirmed yet: connections
    /// wait until one does or the grace period is over.
    pub holding: bool,
    pub listeners: Vec<ListenerStatus>,
    pub warnings: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerStatus {
    pub route: String,
    pub address: SocketAddr,
    pub bound: bool,
    /// Why not, as of the last try.
    pub error: Option<String>,
}
