//! Where pods are in objects, and what they refer to.

use serde_json::Value;

/// What a workload is: the kinds that a release runs in, and that are rolled out. All are of `apps/v1`.
const WORKLOADS: [&str; 3] = ["Deployment", "StatefulSet", "DaemonSet"];

pub(super) fn is_workload(object: &Value) -> bool {
    let kind = object["kind"].as_str().unwrap_or_default();
    group(object) == "apps" && WORKLOADS.contains(&kind)
}

/// How people name it: `deployment/api`.
pub(super) fn title(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kind = text(&object["kind"]).to_lowercase();
    format!("{kind}/{}", text(&object["metadata"]["name"]))
}

/// Of its API; empty for the core.
pub(super) fn group(object: &Value) -> &str {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    version.split_once('/').map_or("", |(group, _)| group)
}

/// What pods of an object are made from; none: it makes none.
pub(super) fn spec_mut(object: &mut Value) -> Option<&mut Value> {
    let kind = object["kind"].as_str().unwrap_or_default();
    let path = match (group(object), kind) {
        ("", "Pod") => "/spec",
        ("", "ReplicationController") | ("apps", _) | ("batch", "Job") => "/spec/template/spec",
        ("batch", "CronJob") => "/spec/jobTemplate/spec/template/spec",
        _ => return None,
    };
    object.pointer_mut(path).filter(|spec| spec.is_object())
}

/// Its containers, those that come before the others included.
pub(super) fn containers_mut(spec: &mut Value) -> impl Iterator<Item = &mut Value> {
    let lists = ["initContainers", "containers"];
    let fields = spec.as_object_mut().into_iter().flatten();
    fields
        .filter(move |(name, _)| lists.contains(&name.as_str()))
        .filter_map(|(_, list)| list.as_array_mut())
        .flatten()
}

/// Names of ConfigMaps and Secrets: kind, and where below an item.
type Places = [(&'static str, &'static str); 2];
const ENV: Places = [
    ("ConfigMap", "/valueFrom/configMapKeyRef/name"),
    ("Secret", "/valueFrom/secretKeyRef/name"),
];
const ENV_FROM: Places = [
    ("ConfigMap", "/configMapRef/name"),
    ("Secret", "/secretRef/name"),
];
const VOLUMES: Places = [
    ("ConfigMap", "/configMap/name"),
    ("Secret", "/secret/secretName"),
];
const PROJECTED: Places = [("ConfigMap", "/configMap/name"), ("Secret", "/secret/name")];

/// Visits every name of a ConfigMap or Secret by which its pods get what is in it. What images are pulled with is none:
/// it belongs to the cluster.
pub(super) fn references(spec: &mut Value, visit: &mut dyn FnMut(&'static str, &mut String)) {
    for container in containers_mut(spec) {
        each(container.get_mut("env"), &ENV, visit);
        each(container.get_mut("envFrom"), &ENV_FROM, visit);
    }
    each(spec.get_mut("volumes"), &VOLUMES, visit);
    for volume in items(spec.get_mut("volumes")) {
        let sources = volume.pointer_mut("/projected/sources");
        each(sources, &PROJECTED, visit);
    }
}

fn items(list: Option<&mut Value>) -> impl Iterator<Item = &mut Value> {
    list.and_then(Value::as_array_mut).into_iter().flatten()
}

fn each(
    list: Option<&mut Value>,
    places: &Places,
    visit: &mut dyn FnMut(&'static str, &mut String),
) {
    for item in items(list) {
        for (kind, place) in places {
            if let Some(Value::String(name)) = item.pointer_mut(place) {
                visit(kind, name);
            }
        }
    }
}
