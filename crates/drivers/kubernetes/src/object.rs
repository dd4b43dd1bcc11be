//! One object, as a resource of a state.

use crate::compare::flatten;
use crate::digests::Digests;
use crate::write::MANAGER;
use crate::{defaults, kinds, owners, ownership};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use belay_model::state::{Health, Resource};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The key of an object's resource in a target whose namespace is `home`.
pub(crate) fn key(object: &Value, home: &str) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kind = text(&object["kind"]).to_lowercase();
    let kind = match text(&object["apiVersion"]).split_once('/') {
        Some((group, _)) => format!("{kind}.{group}"),
        None => kind,
    };
    let name = text(&object["metadata"]["name"]);
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) if namespace != home => format!("{kind}/{namespace}/{name}"),
        _ => format!("{kind}/{name}"),
    }
}

/// What an object shall be, as it is written.
pub(crate) fn written(object: &Value, digests: &Digests) -> Resource {
    let mut spec = content(object, digests);
    defaults::strip(&mut spec);
    if kinds::of(object).is_some() {
        spec["rollout"] = json!(kinds::COMPLETE);
    }
    let mut facts = named(object);
    facts["belongs"] = json!(true);
    Resource {
        spec,
        facts,
        health: Health::Unknown,
    }
}

/// What an object is. `belongs`: it is there because of the target, and goes with it.
pub(crate) fn live(object: &Value, digests: &Digests, belongs: bool) -> Resource {
    let all = content(object, digests);
    let metadata = &object["metadata"];
    let managed = metadata["managedFields"].as_array();
    let managed = managed.map(Vec::as_slice).unwrap_or_default();
    // What was made before there was ownership has none: all of it counts.
    let mut spec = match managed {
        [] => all.clone(),
        managed => ownership::part(&all, &said(object, managed)),
    };
    defaults::strip(&mut spec);
    let meant = flatten(&spec);
    let mut filled: BTreeMap<String, Value> = flatten(&all);
    filled.retain(|path, _| !meant.contains_key(path));
    let mut facts = named(object);
    facts["uid"] = metadata["uid"].clone();
    facts["resource_version"] = metadata["resourceVersion"].clone();
    facts["belongs"] = json!(belongs);
    facts["managers"] = json!(ownership::managers(managed));
    facts["scaled"] = json!(ownership::is_scaled(managed));
    facts["filled_in"] = json!(filled);
    let rare = [
        (owners::CLAIMS, owners::claims(object)),
        (DELETED, metadata["deletionTimestamp"].clone()),
        (FINALIZERS, metadata["finalizers"].clone()),
    ];
    for (name, value) in rare.into_iter().filter(|(_, value)| !value.is_null()) {
        facts[name] = value;
    }
    let diaries = ownership::diaries(&all, managed, MANAGER);
    if !diaries.is_empty() {
        facts[DIARIES] = json!(diaries);
    }
    Resource {
        spec,
        facts,
        health: Health::Unknown,
    }
}

/// What anybody said of it. Who has written `stringData` has said `data`: it is where the server puts it.
fn said(object: &Value, managed: &[Value]) -> Value {
    let mut said = ownership::said(managed);
    if object["kind"] == "Secret" && !said["f:stringData"].is_null() {
        let plain = said["f:stringData"].take();
        match said["f:data"].is_null() {
            true => said["f:data"] = plain,
            false => ownership::merge(&mut said["f:data"], &plain),
        }
    }
    said
}

/// An object as it is there, whoever said what of it.
pub(crate) fn bare(object: &Value) -> Resource {
    Resource {
        spec: json!({ "spec": object["spec"] }),
        facts: json!({}),
        health: Health::Unknown,
    }
}

/// What one needs beside the spec to make it again.
fn named(object: &Value) -> Value {
    let metadata = &object["metadata"];
    json!({
        "apiVersion": object["apiVersion"], "kind": object["kind"],
        "name": metadata["name"], "namespace": metadata["namespace"],
    })
}

/// Whether what a resource says of a field counts: of what is somebody else's only what is moved there does.
pub(crate) fn is_meant(resource: &Resource, path: &str) -> bool {
    let Some(only) = resource.facts[ONLY].as_str() else {
        return true;
    };
    let rest = path.strip_prefix(only);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Takes over what is meant of somebody else's object, and leaves the rest of it.
pub(crate) fn move_only(spec: &mut Value, wanted: &Value, named: &Value) {
    let Some(only) = named[ONLY].as_str() else {
        return;
    };
    let (mut place, mut value) = (spec, wanted);
    for name in only.split('.') {
        place = &mut place[name];
        value = &value[name];
    }
    *place = value.clone();
}

/// The fact that says since when an object is being deleted.
pub(crate) const DELETED: &str = "deleted";
/// The fact that names what an object waits for before it goes.
pub(crate) const FINALIZERS: &str = "finalizers";

/// The fact that names the field that is all that is meant of an object.
pub(crate) const ONLY: &str = "only";

/// The object that a resource stands for, as it is sent. Values of secrets are digests still.
pub(crate) fn made(resource: &Resource) -> Value {
    let mut object = resource.spec.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("rollout");
    }
    let facts = &resource.facts;
    object["apiVersion"] = facts["apiVersion"].clone();
    object["kind"] = facts["kind"].clone();
    object["metadata"]["name"] = facts["name"].clone();
    if facts["namespace"].is_string() {
        object["metadata"]["namespace"] = facts["namespace"].clone();
    }
    object
}

/// What is meant by an object: no identity, no status, no secret value, no diary of clients and controllers.
pub(crate) fn content(object: &Value, digests: &Digests) -> Value {
    let mut content = object.as_object().cloned().unwrap_or_default();
    if object["kind"] == "Secret" && object["apiVersion"] == "v1" {
        hide(&mut content, digests);
    }
    for name in ["apiVersion", "kind", "status"] {
        content.remove(name);
    }
    let metadata = content.remove("metadata").unwrap_or_default();
    let mut kept = Map::new();
    for name in ["labels", "annotations"] {
        let mut pairs = metadata[name].as_object().cloned().unwrap_or_default();
        pairs.retain(|name, _| !is_diary(name));
        if !pairs.is_empty() {
            kept.insert(name.to_owned(), Value::Object(pairs));
        }
    }
    content.insert("metadata".to_owned(), Value::Object(kept));
    Value::Object(content)
}

/// What clients and controllers write down for themselves. The first holds whole objects, values of secrets among them.
fn is_diary(annotation: &str) -> bool {
    annotation == "kubectl.kubernetes.io/last-applied-configuration"
        || annotation.starts_with("deployment.kubernetes.io/")
        || annotation.starts_with("deprecated.daemonset.template.generation")
        || annotation == FENCE
}

/// The fact that names labels and annotations of the object itself that others have put there: what they write into them from
/// time to time is no change of what is meant.
pub(crate) const DIARIES: &str = "diaries";

/// Whether a field is one of those.
pub(crate) fn is_of_others(resource: &Resource, path: &str) -> bool {
    let mut paths = resource.facts[DIARIES].as_array().into_iter().flatten();
    paths.any(|it| it == path)
}

/// Leaves to others what is theirs: on both sides, what is wanted and what is there.
pub(crate) fn leave_to_others(request: &mut Value, wanted: &Resource, there: &Resource) {
    for name in ["labels", "annotations"] {
        let pairs = request["metadata"].get_mut(name);
        if let Some(pairs) = pairs.and_then(Value::as_object_mut) {
            pairs.retain(|key, _| {
                let path = format!("metadata.{name}.{key}");
                !(is_of_others(wanted, &path) && is_of_others(there, &path))
            });
        }
    }
}

/// Where we write that an older worker may not change an object any more.
pub(crate) const FENCE: &str = "belay.dev/fence";

/// An object with digests in the place of the values of a Secret.
pub(crate) fn hidden(mut object: Value, digests: &Digests) -> Value {
    if object["kind"] == "Secret"
        && object["apiVersion"] == "v1"
        && let Some(fields) = object.as_object_mut()
    {
        hide(fields, digests);
    }
    object
}

/// A Secret with digests in the place of its values; `stringData` is another way to write `data`. What is a digest already
/// stays one: it cannot be taken for a value, which is base64.
fn hide(secret: &mut Map<String, Value>, digests: &Digests) {
    let take = |secret: &mut Map<String, Value>, name| match secret.remove(name) {
        Some(Value::Object(pairs)) => pairs,
        _ => Map::new(),
    };
    let (encoded, plain) = (take(secret, "data"), take(secret, "stringData"));
    let encoded = encoded.into_iter().map(|(name, value)| {
        let value = value.as_str().unwrap_or_default().to_owned();
        if Digests::is_one(&value) {
            return (name, json!(value));
        }
        let bytes = STANDARD.decode(&value).unwrap_or(value.into_bytes());
        (name, json!(digests.of(&bytes)))
    });
    let mut data: Map<String, Value> = encoded.collect();
    data.extend(plain.into_iter().map(|(name, value)| {
        let digest = digests.of(value.as_str().unwrap_or_default().as_bytes());
        (name, json!(digest))
    }));
    secret.insert("data".to_owned(), Value::Object(data));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_wrote_plain_text_has_said_what_is_there() {
        let of = |fields: Value| {
            let entry = json!({ "manager": "helm", "operation": "Apply", "fieldsV1": fields });
            let secret = json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "shop", "managedFields": [entry] },
                "data": { "a": STANDARD.encode("x"), "b": STANDARD.encode("y") },
            });
            live(&secret, &Digests::new(&[7; 32]), true).spec["data"].clone()
        };
        let plain = of(json!({ "f:stringData": { ".": {}, "f:a": {} } }));
        assert!(plain["a"].is_string() && plain["b"].is_null(), "{plain}");
        let both = of(json!({ "f:stringData": { "f:a": {} }, "f:data": { "f:b": {} } }));
        assert_eq!(both.as_object().map(Map::len), Some(2));
    }
}
