//! What drivers may use of the outside: a router where the platform has none of its own, and artifacts by digest.

use crate::error::Error;
use async_trait::async_trait;
use belay_model::id::ArtifactDigest;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

/// One place a router sends requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Its name, stable over restarts.
    pub id: String,
    /// Where it listens.
    pub address: SocketAddr,
}

/// One route: a listener and groups with weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Per group: its share in per mille and its upstreams. Shares add up to 1000, or are all zero.
    pub groups: BTreeMap<String, (u32, Vec<Upstream>)>,
    /// Whose route it is: store, deployment and epoch (I10).
    pub mark: String,
}

/// A route as the router has it.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteState {
    /// It.
    pub route: Route,
    /// Number of the table it was read from: what a change names as its precondition.
    pub number: u64,
    /// Per group: requests in flight now.
    pub in_flight: BTreeMap<String, u64>,
}

/// What a change of a route did.
#[derive(Clone, Debug, PartialEq)]
pub struct Moved {
    /// Number of the table that is live now.
    pub number: u64,
    /// When it became live, Unix microseconds.
    pub switched_us: i64,
}

/// The traffic side, where the platform has none of its own.
#[async_trait]
pub trait Router: Send + Sync {
    /// The route of that name; absent: there is none.
    async fn observe(&self, name: &str) -> Result<Option<RouteState>, Error>;
    /// Replaces a route whole, atomically. `seen` is what the caller believes is there; if it is not, the answer is
    /// an error of class `Conflict` and nothing was changed. Changes of other routes in between do not matter.
    async fn set(&self, name: &str, seen: Option<&Route>, want: &Route) -> Result<Moved, Error>;
    /// Removes a route; no route is no error.
    async fn remove(&self, name: &str) -> Result<(), Error>;
    /// Waits until nothing is in flight in a group, at most `deadline_ms`; answers what still is.
    async fn drain(&self, name: &str, group: &str, deadline_ms: u64) -> Result<u64, Error>;
    /// Times of a group's traffic, Unix microseconds: `first_started`, `last_started`, `first_error`; absent: never.
    async fn times(&self, name: &str, group: &str) -> Result<BTreeMap<String, i64>, Error>;
}

/// Artifacts by digest.
#[async_trait]
pub trait Artifacts: Send + Sync {
    /// A local directory that holds the artifact, verified against its digest; it may be read, never written.
    async fn directory(&self, digest: &ArtifactDigest) -> Result<PathBuf, Error>;
}
