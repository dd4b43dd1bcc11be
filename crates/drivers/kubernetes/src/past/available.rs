//! Whether an earlier version of a workload ever was available. Pure.
//!
//! The platform does not keep that. Of a version that has pods, they tell. Of a Deployment's version without pods it can be
//! proved in one case: for a while it alone had pods, and all that while the Deployment did not cease to be available. When
//! another one's pods were gone is the time of the last write to its status (`managedFields`); since when the Deployment is
//! available its condition says. Whatever else there is to say is that nobody knows: a version whose pods never got ready has
//! none any more, either, as soon as another one is asked for.

use crate::history::moment;
use crate::kinds::Kind;
use crate::pods::{self, condition, text};
use belay_driver::Availability;
use serde_json::Value;
use std::collections::BTreeSet;

const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
const EARLIER: &str = "deployment.kubernetes.io/revision-history";

/// Of one version (`it`) among all of `object`; `pods`: all that are there.
pub(crate) fn availability(
    kind: &dyn Kind,
    object: &Value,
    it: &Value,
    all: &[Value],
    pods: &[Value],
) -> Availability {
    let own: Vec<&Value> = pods.iter().filter(|pod| is_of(kind, pod, it)).collect();
    let available = it["status"]["availableReplicas"].as_i64().unwrap_or(0);
    if available > 0 {
        return Availability::Yes(format!("{available} of its pods are available"));
    }
    let ready = own.iter().filter(|pod| pods::is_ready(pod)).count();
    if ready > 0 && it["status"].is_null() {
        return Availability::Yes(format!("{ready} of its pods are ready"));
    }
    if !own.is_empty() {
        let trouble = own.iter().find_map(|pod| pods::trouble(pod));
        let why = trouble.map_or_else(String::new, |it| format!(": {}", it.text));
        let count = own.len();
        return Availability::No(format!("it has {count} pods, and none is available{why}"));
    }
    if proved(kind, object, it, all) {
        return Availability::Yes(
            "it alone had pods for a while, and the Deployment stayed available".to_owned(),
        );
    }
    Availability::Unknown(
        "it has no pods now, and the platform does not keep whether it had one that worked"
            .to_owned(),
    )
}

fn is_of(kind: &dyn Kind, pod: &Value, it: &Value) -> bool {
    let label = &pod["metadata"]["labels"][kind.label()];
    let metadata = &it["metadata"];
    !label.is_null() && (*label == metadata["labels"][kind.label()] || *label == metadata["name"])
}

/// See the module.
fn proved(kind: &dyn Kind, object: &Value, it: &Value, all: &[Value]) -> bool {
    let is_available = condition(&object["status"], "Available")
        .filter(|it| it["status"] == "True")
        .and_then(|it| moment(&it["lastTransitionTime"]));
    let (Some(available), Some(made)) = (is_available, made(it)) else {
        return false;
    };
    // What is asked for is nothing, or may be missing: then nobody is needed to be available.
    if !needs_somebody(object, it) || !all_before_are_known(kind, it, all) {
        return false;
    }
    let others = || {
        all.iter()
            .filter(|other| other["metadata"]["uid"] != it["metadata"]["uid"])
    };
    let next = others()
        .filter_map(self::made)
        .filter(|other| *other > made)
        .min();
    let Some(until) = next else { return false };
    let mut since = made.max(available);
    for before in others().filter(|other| self::made(other).is_none_or(|other| other <= made)) {
        match gone(before) {
            Some(gone) => since = since.max(gone),
            None => return false,
        }
    }
    // Times are whole seconds.
    since < until
}

fn made(it: &Value) -> Option<i64> {
    moment(&it["metadata"]["creationTimestamp"])
}

/// Since when it has no pods.
fn gone(it: &Value) -> Option<i64> {
    let has = |value: &Value| value.as_i64().unwrap_or(0) > 0;
    if has(&it["spec"]["replicas"]) || has(&it["status"]["replicas"]) {
        return None;
    }
    let managed = it["metadata"]["managedFields"].as_array()?;
    let of_status = managed
        .iter()
        .filter(|entry| entry["subresource"] == "status");
    of_status.filter_map(|entry| moment(&entry["time"])).max()
}

fn needs_somebody(object: &Value, it: &Value) -> bool {
    let desired = it["metadata"]["annotations"][DESIRED].as_str();
    let desired: i64 = desired.and_then(|it| it.parse().ok()).unwrap_or(0);
    let missing = &object["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"];
    let may_be_missing = match missing {
        Value::Number(count) => count.as_i64().unwrap_or(0),
        Value::String(share) => {
            let share: i64 = share.trim_end_matches('%').parse().unwrap_or(100);
            desired * share / 100
        }
        _ => 0,
    };
    desired > may_be_missing
}

/// One that was pruned may have had pods all the while.
fn all_before_are_known(kind: &dyn Kind, it: &Value, all: &[Value]) -> bool {
    let earlier = |it: &Value| -> Vec<i64> {
        let numbers = text(&it["metadata"]["annotations"][EARLIER]);
        numbers
            .split(',')
            .filter_map(|it| it.trim().parse().ok())
            .collect()
    };
    let numbers = |it: &Value| {
        earlier(it)
            .into_iter()
            .chain(kind.number(it))
            .collect::<Vec<_>>()
    };
    let known: BTreeSet<i64> = all.iter().flat_map(numbers).collect();
    let first = numbers(it).into_iter().min().unwrap_or(i64::MAX);
    (1..=first).all(|number| known.contains(&number))
}

#[cfg(test)]
mod tests;
