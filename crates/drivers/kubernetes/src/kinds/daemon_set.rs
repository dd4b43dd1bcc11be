//! DaemonSets: a pod on each node that takes one.

use super::{COMPLETE, Counts, Kind, UNDER_WAY, number};
use serde_json::Value;

pub(super) struct DaemonSet;

impl Kind for DaemonSet {
    fn name(&self) -> &'static str {
        "DaemonSet"
    }

    fn counts(&self, object: &Value) -> Counts {
        let status = &object["status"];
        Counts {
            wanted: number(status, "desiredNumberScheduled"),
            updated: number(status, "updatedNumberScheduled"),
            ready: number(status, "numberReady"),
            available: number(status, "numberAvailable"),
        }
    }

    fn seen_rollout(&self, _: &Value, counts: Counts) -> &'static str {
        match counts.updated >= counts.wanted && counts.available >= counts.wanted {
            true => COMPLETE,
            false => UNDER_WAY,
        }
    }

    fn is_scalable(&self) -> bool {
        false
    }

    fn newest(&self, _: &Value, revisions: &[Value]) -> Option<String> {
        let newest = revisions.iter().max_by_key(|it| self.number(it))?;
        let hash = newest["metadata"]["labels"][self.label()].as_str()?;
        Some(hash.to_owned())
    }
}
