//! Deployments: pods of a template are counted by a ReplicaSet each, and conditions say how it goes.

use super::{COMPLETE, Counts, Kind, STUCK, UNDER_WAY, number};
use crate::pods::{condition, text};
use serde_json::Value;

pub(super) struct Deployment;

/// Where the platform keeps the number of a template.
const REVISION: &str = "deployment.kubernetes.io/revision";

impl Kind for Deployment {
    fn name(&self) -> &'static str {
        "Deployment"
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
        let progress = condition(status, "Progressing").map(|it| text(&it["reason"]));
        let is_whole =
            counts.updated == counts.wanted && number(status, "replicas") == counts.wanted;
        match progress.as_deref() {
            Some("ProgressDeadlineExceeded") => STUCK,
            Some("NewReplicaSetAvailable") if is_whole => COMPLETE,
            // Nothing of it is to run, and nothing does.
            _ if is_whole && counts.wanted == 0 => COMPLETE,
            _ => UNDER_WAY,
        }
    }

    fn has_deadline(&self) -> bool {
        true
    }

    fn revisions(&self) -> &'static str {
        "ReplicaSet"
    }

    fn number(&self, revision: &Value) -> Option<i64> {
        let number = revision["metadata"]["annotations"][REVISION].as_str()?;
        number.parse().ok()
    }

    fn template<'a>(&self, revision: &'a Value) -> &'a Value {
        &revision["spec"]["template"]
    }

    fn label(&self) -> &'static str {
        "pod-template-hash"
    }

    fn newest(&self, object: &Value, revisions: &[Value]) -> Option<String> {
        let current = self.number(object);
        let it = revisions.iter().find(|it| self.number(it) == current)?;
        let hash = it["metadata"]["labels"][self.label()].as_str()?;
        Some(hash.to_owned())
    }
}
