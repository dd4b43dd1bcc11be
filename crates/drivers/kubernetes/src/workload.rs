//! A workload as it is observed: how far it is rolled out, whether it serves, and what belongs to it.

use crate::groups;
use crate::kinds::{self, Kind, STUCK};
use crate::pods::{condition, fact, text};
use belay_model::state::{Health, Resource};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Adds to an observed object how far it got, and what its pods say.
pub(crate) fn tell(resource: &mut Resource, kind: &dyn Kind, object: &Value, pods: &[Value]) {
    let status = &object["status"];
    let counts = kind.counts(object);
    let rollout = kinds::rollout(kind, object);
    resource.spec["rollout"] = json!(rollout);
    let pods: Vec<Value> = pods.iter().map(fact).collect();
    let labels = &object["spec"]["template"]["metadata"]["labels"];
    let facts = [
        // Who asks for readiness asks for that of one release.
        ("group", labels[groups::LABEL].clone()),
        ("desired", json!(counts.wanted)),
        ("updated", json!(counts.updated)),
        ("ready", json!(counts.ready)),
        ("available", json!(counts.available)),
        ("generation", object["metadata"]["generation"].clone()),
        ("revision", json!(kind.number(object))),
    ];
    for (name, value) in facts {
        resource.facts[name] = value;
    }
    let said = |pod: &Value| {
        let why = pod["trouble"].as_str()?;
        Some(format!("{}: {why}", text(&pod["name"])))
    };
    let mut trouble: Vec<String> = pods.iter().filter_map(said).collect();
    // Pods that were not even made: a quota, or admission.
    trouble.extend(condition(status, "ReplicaFailure").map(|it| text(&it["message"])));
    resource.facts["pods"] = json!(pods);
    // Where old pods serve beside new ones that never will, it is nothing to go back to.
    let is_whole = kinds::is_seen(object) && counts.available >= counts.wanted && rollout != STUCK;
    resource.health = if is_whole {
        Health::Healthy
    } else {
        trouble.insert(
            0,
            format!("{} of {} available", counts.available, counts.wanted),
        );
        Health::Unhealthy(trouble.join("; "))
    };
}

/// The selector of a workload as a list request takes it.
pub(crate) fn selector(object: &Value) -> String {
    let selector = &object["spec"]["selector"];
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let labels = labels.map(|(name, value)| format!("{name}={}", text(value)));
    let expressions = selector["matchExpressions"]
        .as_array()
        .into_iter()
        .flatten();
    let expressions = expressions.map(|it| {
        let values = it["values"].as_array().into_iter().flatten().map(text);
        let values = values.collect::<Vec<_>>().join(",");
        let key = text(&it["key"]);
        match it["operator"].as_str() {
            Some("In") => format!("{key} in ({values})"),
            Some("NotIn") => format!("{key} notin ({values})"),
            Some("DoesNotExist") => format!("!{key}"),
            _ => key,
        }
    });
    labels.chain(expressions).collect::<Vec<_>>().join(",")
}

/// Whether an object was made for another.
pub(crate) fn is_owned_by(object: &Value, owner: &Value) -> bool {
    let mut owners = object["metadata"]["ownerReferences"]
        .as_array()
        .into_iter()
        .flatten();
    owners.any(|it| it["uid"] == owner["metadata"]["uid"])
}

/// Whether a Service sends its traffic to the pods of a workload.
pub(crate) fn is_served_by(service: &Value, workload: &Value) -> bool {
    let labels = &workload["spec"]["template"]["metadata"]["labels"];
    let selector = service["spec"]["selector"].as_object();
    selector
        .is_some_and(|it| !it.is_empty() && it.iter().all(|(name, value)| labels[name] == *value))
}

/// Whether an autoscaler sets the number of a workload's pods.
pub(crate) fn is_scaled_by(autoscaler: &Value, workload: &Value) -> bool {
    let target = &autoscaler["spec"]["scaleTargetRef"];
    target["kind"] == workload["kind"] && target["name"] == workload["metadata"]["name"]
}

/// ConfigMaps and Secrets that the pods of a template are given, as kind and name.
pub(crate) fn references(template: &Value) -> BTreeSet<(&'static str, String)> {
    let mut found = BTreeSet::new();
    refer(&template["spec"], &mut found);
    found
}

fn refer(value: &Value, found: &mut BTreeSet<(&'static str, String)>) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                let kind = match name.as_str() {
                    "configMap" | "configMapRef" | "configMapKeyRef" => Some("ConfigMap"),
                    "secret" | "secretRef" | "secretKeyRef" => Some("Secret"),
                    _ => None,
                };
                let name = inner["name"].as_str().or(inner["secretName"].as_str());
                found.extend(kind.zip(name.map(str::to_owned)));
                refer(inner, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| refer(item, found)),
        _ => {}
    }
}
