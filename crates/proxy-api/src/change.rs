//! Requests that change what the proxy does, and their answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::table::Route;

/// What must be true for a change to happen.
///
/// A change to exactly what the proxy already has is answered with `changed: false` whatever was
/// expected, so a writer whose answer got lost can send the same again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Expect {
    #[default]
    Any,
    /// The table has this number: nobody changed any route.
    Number(u64),
    /// This route is as the writer knows it ([`Route::hash`]); other routes may have changed.
    RouteHash(String),
    /// There is no such route.
    RouteAbsent,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutRoute {
    pub name: String,
    pub route: Route,
    #[serde(default)]
    pub expect: Expect,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteRoute {
    pub name: String,
    #[serde(default)]
    pub expect: Expect,
}

/// The change is in force and on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    pub number: u64,
    /// False when the table already said so; then the number is the old one.
    pub changed: bool,
    /// The route as it was before.
    pub previous: Option<Route>,
    /// Wall-clock microseconds since 1970 of the swap: requests started later follow the new
    /// route. The time of the answer when nothing changed.
    pub swapped_us: u64,
}

/// Waits until nothing of the group is in flight, at most `deadline_ms`. It changes no weight:
/// take the weight away first. Groups that left the table can still be drained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drain {
    pub route: String,
    pub group: String,
    pub deadline_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drained {
    /// What is left; 0 means drained.
    pub in_flight: u64,
    /// By upstream id, only those with something left.
    pub upstreams: BTreeMap<String, u64>,
    pub waited_ms: u64,
}

/// A controller says that the table of this number may serve (see [`crate::Status::holding`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirm {
    pub number: u64,
}
