//! Who said what, by `metadata.managedFields`. Fields that nobody said were filled in by the server or by admission.
//!
//! The format is that of the API server's `FieldsV1`: `f:NAME` a field, `k:{..}` an item of a list by its keys, `v:..` one of
//! a set by its value, `.` the thing itself; an empty object is all that is there.

use crate::compare::flatten;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// All that anybody said, but for status and for what the platform's own controllers write down in a spec, such as the volume that
/// a claim got. What they scale is said: on behalf of an autoscaler.
pub(crate) fn said(managed: &[Value]) -> Value {
    let mut all = json!({});
    let is_the_platforms = |entry: &Value| {
        let subresource = &entry["subresource"];
        *subresource == "status"
            || subresource.is_null() && entry["manager"] == "kube-controller-manager"
    };
    for entry in managed.iter().filter(|it| !is_the_platforms(it)) {
        merge(&mut all, &entry["fieldsV1"]);
    }
    all
}

/// Whether the number of replicas was set apart from all else: by an autoscaler, or by `kubectl scale`.
pub(crate) fn is_scaled(managed: &[Value]) -> bool {
    let scaled = |entry: &Value| {
        entry["subresource"] == "scale" && !entry["fieldsV1"]["f:spec"]["f:replicas"].is_null()
    };
    managed.iter().any(scaled)
}

/// Whether a manager has applied an object.
pub(crate) fn is_applied_by(live: &Value, manager: &str) -> bool {
    let managed = live["metadata"]["managedFields"].as_array();
    managed.is_some_and(|all| all.iter().any(|it| is_application(it, manager)))
}

/// Whether an entry is what a manager has applied.
pub(crate) fn is_application(entry: &Value, manager: &str) -> bool {
    entry["manager"] == manager && entry["operation"] == "Apply" && entry["subresource"].is_null()
}

/// Who said anything of it, and how: `belay (Apply)`.
pub(crate) fn managers(managed: &[Value]) -> Vec<String> {
    let name = |entry: &Value| {
        let text = |name: &str| entry[name].as_str().unwrap_or("?").to_owned();
        format!("{} ({})", text("manager"), text("operation"))
    };
    managed.iter().map(name).collect()
}

/// Labels and annotations of the object itself that only others than this manager have said, by their paths.
pub(crate) fn diaries(content: &Value, managed: &[Value], manager: &str) -> Vec<String> {
    let said = |is_ours: bool| {
        let entries = managed
            .iter()
            .filter(|entry| (entry["manager"] == manager) == is_ours);
        let entries: Vec<Value> = entries.cloned().collect();
        let fields = self::said(&entries)["f:metadata"].take();
        match fields.is_object() {
            true => flatten(&json!({ "metadata": part(&content["metadata"], &fields) })),
            false => BTreeMap::new(),
        }
    };
    let (ours, mut theirs) = (said(true), said(false));
    theirs.retain(|path, _| !ours.contains_key(path));
    theirs.into_keys().collect()
}

/// The part of a value that is in a set of fields.
pub(crate) fn part(value: &Value, fields: &Value) -> Value {
    let Some(named) = fields.as_object().filter(|named| !named.is_empty()) else {
        return value.clone();
    };
    match value {
        Value::Object(object) => {
            let owned = object.iter().filter_map(|(name, inner)| {
                let fields = named.get(&format!("f:{name}"))?;
                Some((name.clone(), part(inner, fields)))
            });
            Value::Object(owned.collect())
        }
        Value::Array(items) => {
            let owned = items.iter().filter_map(|item| item_part(item, named));
            Value::Array(owned.collect())
        }
        scalar => scalar.clone(),
    }
}

fn item_part(item: &Value, named: &Map<String, Value>) -> Option<Value> {
    named.iter().find_map(|(name, fields)| {
        if let Some(keys) = name.strip_prefix("k:") {
            let keys: Map<String, Value> = serde_json::from_str(keys).ok()?;
            if !keys.iter().all(|(key, value)| item.get(key) == Some(value)) {
                return None;
            }
            let mut owned = part(item, fields);
            // What it is known by belongs to it, whoever filled it in.
            owned.as_object_mut()?.extend(keys);
            Some(owned)
        } else {
            let value: Value = serde_json::from_str(name.strip_prefix("v:")?).ok()?;
            (*item == value).then_some(value)
        }
    })
}

pub(crate) fn merge(all: &mut Value, more: &Value) {
    let (Some(fields), Some(added)) = (all.as_object_mut(), more.as_object()) else {
        return;
    };
    for (name, inner) in added {
        match fields.get_mut(name) {
            // All of it is said already, or now.
            Some(known) if known == &json!({}) || inner == &json!({}) => *known = json!({}),
            Some(known) => merge(known, inner),
            None => {
                fields.insert(name.clone(), inner.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_said_is_left_out() {
        let apply = json!({ "operation": "Apply", "fieldsV1": { "f:containers": {
            "k:{\"name\":\"app\"}": { ".": {}, "f:name": {}, "f:image": {},
                "f:ports": { "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": { ".": {}, "f:containerPort": {} } } } },
            "f:selector": {}, "f:finalizers": { "v:\"mine\"": {} } } });
        let scale =
            json!({ "subresource": "scale", "fieldsV1": { "f:spec": { "f:replicas": {} } } });
        let status = json!({ "subresource": "status", "fieldsV1": { "f:revision": {} } });
        let bind = json!({ "manager": "kube-controller-manager", "operation": "Update",
            "fieldsV1": { "f:volumeName": {} } });
        let managed = [apply, scale, status, bind];
        let object = json!({
            "containers": [
                { "name": "proxy", "image": "injected:1" },
                { "name": "app", "image": "app:1", "terminationMessagePolicy": "File",
                  "ports": [{ "containerPort": 80, "protocol": "TCP", "hostPort": 1 }] },
            ],
            "selector": { "app": "api" }, "finalizers": ["theirs", "mine"], "revision": "4", "spec": { "replicas": 3 },
            "volumeName": "pv-1",
        });
        let want = json!({
            "containers": [{ "name": "app", "image": "app:1", "ports": [{ "containerPort": 80, "protocol": "TCP" }] }],
            "selector": { "app": "api" }, "finalizers": ["mine"], "spec": { "replicas": 3 },
        });
        assert_eq!(part(&object, &said(&managed)), want);
        assert!(is_scaled(&managed) && !is_scaled(&managed[..1]));
    }

    #[test]
    fn who_has_all_of_it_has_its_parts() {
        let of = |fields: Value| json!({ "fieldsV1": { "f:selector": fields } });
        let (whole, one) = (of(json!({})), of(json!({ "f:app": {} })));
        for managed in [[whole.clone(), one.clone()], [one, whole]] {
            let object = json!({ "selector": { "app": "api", "tier": "web" } });
            assert_eq!(part(&object, &said(&managed)), object);
        }
    }
}
