//! StatefulSets: pods with names of their own, replaced one after the other. One that does not get ready is waited for, also
//! when the template has changed since (kubernetes/kubernetes#67250): it has to be deleted.

use super::{COMPLETE, Counts, Kind, UNDER_WAY, number};
use serde_json::Value;

pub(super) struct StatefulSet;

impl Kind for StatefulSet {
    fn name(&self) -> &'static str {
        "StatefulSet"
    }

    fn counts(&self, object: &Value) -> Counts {
        let status = &object["status"];
        Counts {
            wanted: object["spec"]["replicas"].as_i64().unwrap_or(1),
            updated: number(status, "updatedReplicas"),
            ready: number(status, "readyReplicas"),
            available: number(status, "availableReplicas"),
        }
    }

    fn seen_rollout(&self, object: &Value, counts: Counts) -> &'static str {
        let status = &object["status"];
        let is_one = status["currentRevision"] == status["updateRevision"];
        // Where nothing was ever rolled the two are one from the beginning.
        let is_whole =
            number(status, "replicas") == counts.wanted && counts.available >= counts.wanted;
        match is_one && is_whole {
            true => COMPLETE,
            false => UNDER_WAY,
        }
    }

    fn keeps_stuck_pods(&self) -> bool {
        true
    }

    fn newest(&self, object: &Value, _: &[Value]) -> Option<String> {
        let hash = object["status"]["updateRevision"].as_str()?;
        Some(hash.to_owned())
    }
}
