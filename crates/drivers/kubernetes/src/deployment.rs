//! Deployments: how far one is rolled out, whether it serves, and what belongs to it.

use belay_model::state::{Health, Resource};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Every pod is of the template that the object has, and was ready once.
pub(crate) const COMPLETE: &str = "complete";
/// The platform has given up on it; old pods may serve still.
const STUCK: &str = "stuck";
const UNDER_WAY: &str = "under way";

pub(crate) fn is_one(object: &Value) -> bool {
    object["kind"] == "Deployment" && object["apiVersion"] == "apps/v1"
}

/// Adds to an observed object how far it got, and what its pods say.
pub(crate) fn tell(resource: &mut Resource, object: &Value, pods: &[Value]) {
    let status = &object["status"];
    let wanted = object["spec"]["replicas"].as_i64().unwrap_or(1);
    let number = |name: &str| status[name].as_i64().unwrap_or(0);
    let rollout = rollout(object, wanted);
    resource.spec["rollout"] = json!(rollout);
    let pods: Vec<Value> = pods.iter().map(pod).collect();
    let metadata = &object["metadata"];
    let facts = [
        ("desired", json!(wanted)),
        ("updated", json!(number("updatedReplicas"))),
        ("ready", json!(number("readyReplicas"))),
        ("available", json!(number("availableReplicas"))),
        ("generation", metadata["generation"].clone()),
        ("observed_generation", status["observedGeneration"].clone()),
        (
            "revision",
            metadata["annotations"]["deployment.kubernetes.io/revision"].clone(),
        ),
    ];
    for (name, value) in facts {
        resource.facts[name] = value;
    }
    let mut trouble: Vec<String> = pods
        .iter()
        .filter_map(|pod| {
            let why = pod["trouble"].as_str()?;
            Some(format!(
                "{}: {why}",
                pod["name"].as_str().unwrap_or_default()
            ))
        })
        .collect();
    // Pods that were not even made: a quota, or admission.
    trouble.extend(condition(status, "ReplicaFailure").map(|it| text(&it["message"])));
    resource.facts["pods"] = json!(pods);
    let is_seen = status["observedGeneration"].as_i64() >= metadata["generation"].as_i64();
    // Where old pods serve beside new ones that never will, it is nothing to go back to.
    resource.health = if is_seen && number("availableReplicas") >= wanted && rollout != STUCK {
        Health::Healthy
    } else {
        trouble.insert(
            0,
            format!("{} of {wanted} available", number("availableReplicas")),
        );
        Health::Unhealthy(trouble.join("; "))
    };
}

fn rollout(object: &Value, wanted: i64) -> &'static str {
    let status = &object["status"];
    let number = |name: &str| status[name].as_i64().unwrap_or(0);
    let progress = condition(status, "Progressing").map(|it| text(&it["reason"]));
    let is_seen =
        number("observedGeneration") >= object["metadata"]["generation"].as_i64().unwrap_or(0);
    let is_whole = number("updatedReplicas") == wanted && number("replicas") == wanted;
    match progress.as_deref() {
        Some("ProgressDeadlineExceeded") if is_seen => STUCK,
        Some("NewReplicaSetAvailable") if is_seen && is_whole => COMPLETE,
        // Nothing of it is to run, and nothing does.
        _ if is_seen && is_whole && wanted == 0 => COMPLETE,
        _ => UNDER_WAY,
    }
}

/// What is true of a pod for the moment.
fn pod(pod: &Value) -> Value {
    let status = &pod["status"];
    let is_ready = condition(status, "Ready").is_some_and(|it| it["status"] == "True");
    let containers = status["containerStatuses"].as_array().into_iter().flatten();
    let waiting = containers.map(|container| &container["state"]["waiting"]);
    let waiting = waiting.filter(|it| !it.is_null()).map(said);
    let unschedulable = condition(status, "PodScheduled").filter(|it| it["status"] == "False");
    let trouble: Vec<String> = waiting.chain(unschedulable.map(said)).collect();
    let trouble = match trouble.as_slice() {
        _ if is_ready => Value::Null,
        [] => json!("not ready"),
        some => json!(some.join(", ")),
    };
    let metadata = &pod["metadata"];
    json!({
        "name": metadata["name"], "template": metadata["labels"]["pod-template-hash"],
        "ready": is_ready, "trouble": trouble,
    })
}

fn said(it: &Value) -> String {
    format!("{} ({})", text(&it["reason"]), text(&it["message"]))
}

fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    let mut conditions = status["conditions"].as_array()?.iter();
    conditions.find(|it| it["type"] == kind)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The selector of a Deployment as a list request takes it.
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

/// Whether a Service sends its traffic to the pods of a Deployment.
pub(crate) fn is_served_by(service: &Value, deployment: &Value) -> bool {
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    let selector = service["spec"]["selector"].as_object();
    selector
        .is_some_and(|it| !it.is_empty() && it.iter().all(|(name, value)| labels[name] == *value))
}

/// Whether an autoscaler sets the number of a Deployment's pods.
pub(crate) fn is_scaled_by(autoscaler: &Value, deployment: &Value) -> bool {
    let target = &autoscaler["spec"]["scaleTargetRef"];
    target["kind"] == "Deployment" && target["name"] == deployment["metadata"]["name"]
}

/// ConfigMaps and Secrets that the pods are given, as kind and name.
pub(crate) fn references(deployment: &Value) -> BTreeSet<(&'static str, String)> {
    let mut found = BTreeSet::new();
    refer(&deployment["spec"]["template"]["spec"], &mut found);
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
