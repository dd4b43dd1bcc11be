//! Patches that take out what is there and not wanted: server-side apply leaves it to whoever has put it there.

use serde_json::{Map, Value, json};

/// A strategic merge patch that takes out what is there and not wanted; none: there is nothing of the kind. `list`: the name of
/// the field.
pub(super) fn strategic(list: &str, want: &Value, have: &Value) -> Option<Value> {
    match (want, have) {
        (Value::Object(want), Value::Object(have)) => {
            let fields = have.iter().filter_map(|(name, have)| {
                let patch = match want.get(name) {
                    Some(want) => strategic(name, want, have)?,
                    None => Value::Null,
                };
                Some((name.clone(), patch))
            });
            let fields: Map<String, Value> = fields.collect();
            (!fields.is_empty()).then_some(Value::Object(fields))
        }
        (Value::Array(want), Value::Array(have)) => {
            let key = keys(list)?;
            let items = have.iter().filter_map(|have| {
                let is_it = |want: &&Value| want[key] == have[key];
                let mut patch = match want.iter().find(is_it) {
                    Some(want) => strategic("", want, have)?,
                    None => json!({ "$patch": "delete" }),
                };
                patch[key] = have[key].clone();
                Some(patch)
            });
            let items: Vec<Value> = items.collect();
            (!items.is_empty()).then_some(Value::Array(items))
        }
        _ => None,
    }
}

/// The same as a plain merge patch, which is all that the server takes for kinds that are not its own: lists are set whole.
pub(super) fn plain(want: &Value, have: &Value) -> Option<Value> {
    match (want, have) {
        (Value::Object(want), Value::Object(have)) => {
            let fields = have.iter().filter_map(|(name, have)| {
                let patch = match want.get(name) {
                    Some(want) => plain(want, have)?,
                    None => Value::Null,
                };
                Some((name.clone(), patch))
            });
            let fields: Map<String, Value> = fields.collect();
            (!fields.is_empty()).then_some(Value::Object(fields))
        }
        (Value::Array(items), Value::Array(have)) => {
            let is_meant = |have: &Value| items.iter().any(|want| is_part(want, have));
            (!have.iter().all(is_meant)).then(|| want.clone())
        }
        _ => None,
    }
}

/// Whether all of one is in the other.
fn is_part(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => one
            .iter()
            .all(|(name, it)| other.get(name).is_some_and(|other| is_part(it, other))),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| is_part(one, other))
        }
        (one, other) => one == other,
    }
}

/// What the API merges the items of a list by; none: it is one thing, and set whole.
fn keys(list: &str) -> Option<&'static str> {
    match list {
        "containers" | "initContainers" | "volumes" | "env" | "imagePullSecrets" => Some("name"),
        "volumeMounts" => Some("mountPath"),
        "volumeDevices" => Some("devicePath"),
        "hostAliases" => Some("ip"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_added_is_taken_out_by_its_key() {
        let container = |more: Value| {
            let mut container = json!({ "name": "app", "image": "app:1" });
            container["env"] = more;
            json!({ "containers": [container] })
        };
        let env = |names: &[&str]| -> Value {
            names
                .iter()
                .map(|it| json!({ "name": it, "value": "x" }))
                .collect()
        };
        assert_eq!(
            strategic("", &container(env(&["A"])), &container(env(&["A", "B"]))),
            Some(
                json!({ "containers": [{ "name": "app", "env": [{ "$patch": "delete", "name": "B" }] }] })
            ),
        );
        assert_eq!(
            strategic("", &container(env(&["A"])), &container(env(&["A"]))),
            None
        );
        let one = json!({ "a": { "b": 1 }, "args": ["x"] });
        let other = json!({ "a": { "b": 2, "c": 3 }, "args": ["y"], "d": 4 });
        assert_eq!(
            strategic("", &one, &other),
            Some(json!({ "a": { "c": null }, "d": null }))
        );
    }

    #[test]
    fn of_other_kinds_lists_are_set_whole() {
        let rule = |name: &str| json!({ "backendRefs": [{ "name": name }] });
        let filled = json!({ "backendRefs": [{ "name": "api", "weight": 1 }] });
        let want = json!({ "spec": { "rules": [rule("api")] } });
        let have =
            |rules: Value, more: Value| json!({ "spec": { "rules": rules, "hostnames": more } });
        assert_eq!(
            plain(&want, &have(json!([filled]), Value::Null)),
            Some(json!({ "spec": { "hostnames": null } }))
        );
        let more = have(json!([filled, rule("theirs")]), json!(["shop.example"]));
        assert_eq!(
            plain(&want, &more),
            Some(json!({ "spec": { "hostnames": null, "rules": [rule("api")] } }))
        );
        assert_eq!(plain(&want, &want), None);
    }
}
