//! What a proxy counted, as traffic checks need it. The adapter to a real proxy implements [`Counters`]; this file knows
//! none.

use async_trait::async_trait;
use belay_analysis::Histogram;
use belay_model::release::Target;
use std::collections::BTreeMap;

/// What one group of instances answered in one second. Requests belong to the second in which they *started*.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// Which second, Unix seconds.
    pub second: i64,
    /// Requests that were answered, or that ended without an answer.
    pub requests: u64,
    /// Those with a status of 500 and above, or without an answer.
    pub errors: u64,
    /// How long they took.
    pub latency: Histogram,
}

/// What was counted since a cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Where the next reading goes on.
    pub cursor: String,
    /// By name of the group ([`Record::group`](belay_model::release::Record::group)). A second is complete as of now: when
    /// it has grown since the last reading (it is the present one, or a slow request of it ended) it comes again, whole.
    pub groups: BTreeMap<String, Vec<Bucket>>,
    /// When the first failed request of a group was answered, Unix microseconds; absent: none failed.
    pub first_error_us: BTreeMap<String, i64>,
}

/// Where counts come from.
#[async_trait]
pub trait Counters: Send + Sync {
    /// What was counted for a target since the cursor; without one (or with one that is not known any more): all there
    /// is, and that goes back five minutes if the proxy is that old. The error says why there are no counts, for
    /// people, as a fragment: `connection refused`. Counts that are not there are an error, never an empty reading.
    async fn read(&self, target: &Target, cursor: Option<String>) -> Result<Reading, String>;
}
