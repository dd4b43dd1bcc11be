//! What others have put into an object and a release does not have. Server-side apply never removes it, forced or not: it
//! belongs to them. Who goes back takes it from them first, in a request that changes nothing but whose it is, and what is
//! applied then lacks it.

use crate::compare::{flatten, musts};
use crate::digests::Digests;
use crate::object;
use crate::ownership::{is_application, merge, part};
use belay_model::state::Resource;
use serde_json::{Map, Value, json};

/// Fields that matter, are not wanted, and belong to others: by path, with who says so. `now`: what is there, as in states.
pub(crate) fn foreign(
    key: &str,
    wanted: &Resource,
    live: &Value,
    now: &Resource,
    digests: &Digests,
    ours: impl Fn(&Value) -> bool,
) -> Vec<String> {
    let added = musts(key, wanted, now)
        .into_iter()
        .filter(|(_, (want, have))| want.is_null() && !have.is_null());
    let content = object::content(live, digests);
    let managed = live["metadata"]["managedFields"].as_array();
    let others: Vec<(&str, Value)> = managed
        .into_iter()
        .flatten()
        .filter(|entry| !ours(entry) && entry["subresource"].is_null())
        .map(|entry| {
            let said = part(&content, &entry["fieldsV1"]);
            (entry["manager"].as_str().unwrap_or("?"), said)
        })
        .collect();
    let whose = |path: &String| {
        let said = others
            .iter()
            .filter(|(_, said)| flatten(said).contains_key(path));
        let names: Vec<&str> = said.map(|(name, _)| *name).collect();
        (!names.is_empty()).then(|| format!("{path}: of {}", names.join(", ")))
    };
    added.filter_map(|(path, _)| whose(&path)).collect()
}

/// The change that makes all of it a manager's, but for labels and annotations of the object itself, and what a subresource set.
pub(crate) fn of(live: &Value, manager: &str) -> Value {
    let is_ours = |entry: &Value| is_application(entry, manager);
    let managed = live["metadata"]["managedFields"].as_array();
    let mut managed = managed.cloned().unwrap_or_default();
    let mut taken = json!({});
    for entry in &mut managed {
        if is_ours(entry) || !entry["subresource"].is_null() {
            continue;
        }
        let Some(fields) = entry["fieldsV1"].as_object_mut() else {
            continue;
        };
        let all = std::mem::take(fields);
        let (kept, theirs): (Map<_, _>, Map<_, _>) =
            all.into_iter().partition(|(name, _)| name == "f:metadata");
        *fields = kept;
        merge(&mut taken, &Value::Object(theirs));
    }
    managed.retain(|entry| entry["fieldsV1"] != json!({}));
    match managed.iter_mut().find(|entry| is_ours(entry)) {
        Some(ours) => merge(&mut ours["fieldsV1"], &taken),
        None => managed.push(json!({
            "manager": manager, "operation": "Apply", "apiVersion": live["apiVersion"],
            "fieldsType": "FieldsV1", "fieldsV1": taken,
        })),
    }
    let version = &live["metadata"]["resourceVersion"];
    json!({ "metadata": { "managedFields": managed, "resourceVersion": version } })
}
