//! The routing table as people and controllers write it. Shapes only: what a table must satisfy
//! beyond its shape is judged by the proxy, so that there is one judge.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The format number this crate writes.
pub const FORMAT: u16 = 1;

/// What the weights of a route add up to: they are per mille.
pub const WEIGHT_SUM: u32 = 1000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    pub format: u16,
    /// Grows with every change, never goes backwards.
    pub number: u64,
    pub routes: BTreeMap<String, Route>,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            format: FORMAT,
            number: 0,
            routes: BTreeMap::new(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Two routes never share an address.
    pub listen: SocketAddr,
    #[serde(default)]
    pub split_by: SplitBy,
    pub groups: BTreeMap<String, Group>,
    /// Text of whoever wrote the route; the proxy keeps it and never reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

impl Route {
    /// Hexadecimal SHA-256 of the route's JSON; what [`crate::Expect::RouteHash`] compares.
    #[must_use]
    pub fn hash(&self) -> String {
        // Maps are sorted and there are no floats, so the same route gives the same text.
        let text = serde_json::to_vec(self).unwrap_or_default();
        hex::encode(Sha256::digest(text))
    }
}

/// What decides which group a request goes to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SplitBy {
    /// Every request on its own; exact over any 1000 requests in a row.
    #[default]
    Request,
    /// A visitor stays with the group it got first, for as long as that group has weight. The
    /// weights are then shares of new visitors.
    Cookie { name: String },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Per mille. The weights of a route add up to 1000, or all are 0: then it answers 503.
    pub weight: u32,
    pub upstreams: Vec<Upstream>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthCheck>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Unique in its group.
    pub id: String,
    pub address: SocketAddr,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// Asked with `GET`; a status of 200 to 399 is a success.
    pub path: String,
    pub interval_ms: u64,
    pub timeout_ms: u64,
    /// Failures in a row that make an upstream unhealthy.
    pub unhealthy_after: u32,
    /// Successes in a row that make it healthy again.
    pub healthy_after: u32,
}
