//! The kinds of workload: what is different about each. One more is one file, and its line in [`ALL`].

mod daemon_set;
mod deployment;
mod stateful_set;

use serde_json::Value;

/// Every pod is of the template that the object has, and was ready.
pub(crate) const COMPLETE: &str = "complete";
/// The platform has given up on it; old pods may serve still.
pub(crate) const STUCK: &str = "stuck";
/// Neither.
pub(crate) const UNDER_WAY: &str = "under way";

/// All are of this version of the API.
pub(crate) const API: &str = "apps/v1";

/// Pods by how far they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    /// That are asked for.
    pub(crate) wanted: i64,
    /// Of the newest template.
    pub(crate) updated: i64,
    /// That are ready.
    pub(crate) ready: i64,
    /// That have been ready for as long as is asked for.
    pub(crate) available: i64,
}

/// One kind of workload.
pub(crate) trait Kind: Send + Sync {
    /// As the API calls it.
    fn name(&self) -> &'static str;

    fn counts(&self, object: &Value) -> Counts;

    /// How far it is, when the platform has seen what is asked for: one of the words above.
    fn seen_rollout(&self, object: &Value, counts: Counts) -> &'static str;

    /// Whether somebody says how many pods there shall be.
    fn is_scalable(&self) -> bool {
        true
    }

    /// Whether the platform itself says when it has taken too long.
    fn has_deadline(&self) -> bool {
        false
    }

    /// Whether a pod that does not get ready stays as it is, whatever the template says by now.
    fn keeps_stuck_pods(&self) -> bool {
        false
    }

    /// The kind of the objects that keep its earlier templates.
    fn revisions(&self) -> &'static str {
        "ControllerRevision"
    }

    /// The number of such an object.
    fn number(&self, revision: &Value) -> Option<i64> {
        revision["revision"].as_i64()
    }

    /// The part of it that is the template of pods.
    fn template<'a>(&self, revision: &'a Value) -> &'a Value {
        &revision["data"]["spec"]["template"]
    }

    /// The label by which pods are known to be of one template.
    fn label(&self) -> &'static str {
        "controller-revision-hash"
    }

    /// The value of that label on pods of the newest template; none: the platform has not made up its mind.
    fn newest(&self, object: &Value, revisions: &[Value]) -> Option<String>;
}

static ALL: [&dyn Kind; 3] = [
    &deployment::Deployment,
    &stateful_set::StatefulSet,
    &daemon_set::DaemonSet,
];

/// The kind of an object; none: it is no workload.
pub(crate) fn of(object: &Value) -> Option<&'static dyn Kind> {
    let is_it = |kind: &&&dyn Kind| object["kind"] == kind.name() && object["apiVersion"] == API;
    ALL.iter().find(is_it).copied()
}

/// The kind that people call so.
pub(crate) fn named(word: &str) -> Option<&'static dyn Kind> {
    let is_it = |kind: &&&dyn Kind| kind.name().eq_ignore_ascii_case(word);
    ALL.iter().find(is_it).copied()
}

/// What the keys of its resources begin with: `deployment.apps/`.
pub(crate) fn prefix(kind: &dyn Kind) -> String {
    format!("{}.apps/", kind.name().to_lowercase())
}

/// The kind of a resource; none: it is no workload.
pub(crate) fn of_key(key: &str) -> Option<&'static dyn Kind> {
    let is_it = |kind: &&&dyn Kind| key.starts_with(&prefix(**kind));
    ALL.iter().find(is_it).copied()
}

/// Whether the platform has seen what is asked for.
pub(crate) fn is_seen(object: &Value) -> bool {
    let seen = object["status"]["observedGeneration"].as_i64();
    seen.unwrap_or(0) >= object["metadata"]["generation"].as_i64().unwrap_or(0)
}

/// How far it is.
pub(crate) fn rollout(kind: &dyn Kind, object: &Value) -> &'static str {
    match is_seen(object) {
        true => kind.seen_rollout(object, kind.counts(object)),
        false => UNDER_WAY,
    }
}

fn number(status: &Value, name: &str) -> i64 {
    status[name].as_i64().unwrap_or(0)
}
