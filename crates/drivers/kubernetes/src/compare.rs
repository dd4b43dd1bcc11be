//! What keeps one state from being another. Pure.

use crate::{capacity, kinds, object, owners, traffic};
use belay_model::state::{Difference, DifferenceEntry, Resource, State, Weight};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// An entry for what matters and one for what does not, by resource; in each, the fields that differ by their paths.
pub(crate) fn diff(want: &State, have: &State) -> Difference {
    let keys: BTreeSet<&String> = want.resources.keys().chain(have.resources.keys()).collect();
    // Who else decides is told of, and never compared.
    let is_owner = |key: &&String| {
        let mut both = [want, have].into_iter();
        both.any(|it| it.resources.get(*key).is_some_and(owners::is_one))
    };
    let keys = keys.into_iter().filter(|key| !is_owner(key));
    let entries = keys.flat_map(|key| {
        match (want.resources.get(key), have.resources.get(key)) {
            (Some(it), Some(there)) => {
                let mut fields = fields(key, it, there, have);
                if traffic::is_spare(want, key) {
                    let weights = fields.iter_mut().map(|it| &mut it.weight);
                    weights.for_each(|it| *it = Weight::Informational);
                }
                fields
            }
            (Some(it), None) => {
                // A group that was only kept warm: that it is gone matters to nobody.
                let weight = match is_autoscaler(key) || traffic::is_spare(want, key) {
                    true => Weight::Informational,
                    false => Weight::Must,
                };
                vec![entry(weight, key, it.spec.clone(), Value::Null)]
            }
            (None, Some(have)) => {
                // What others put beside it goes when they want it to. What pods were given harms nobody when no pod is given
                // it any more, and who goes back may need it.
                let weight = match have.facts["belongs"] == true && !is_given(key) {
                    true => Weight::Must,
                    false => Weight::Informational,
                };
                vec![entry(weight, key, Value::Null, have.spec.clone())]
            }
            (None, None) => Vec::new(),
        }
    });
    Difference(entries.collect())
}

/// The fields of one resource that keep it from being what is wanted, by path: what is wanted, and what is there. How far it
/// is rolled out and how many pods it has is left out: others may move both at any moment.
pub(crate) fn musts(
    key: &str,
    want: &Resource,
    have: &Resource,
) -> BTreeMap<String, (Value, Value)> {
    let mut musts = BTreeMap::new();
    for entry in fields(key, want, have, &State::default()) {
        let (Value::Object(want), Value::Object(mut have)) = (entry.want, entry.have) else {
            continue;
        };
        if entry.weight == Weight::Must {
            musts.extend(want.into_iter().map(|(path, want)| {
                let have = have.remove(&path).unwrap_or_default();
                (path, (want, have))
            }));
        }
    }
    musts.retain(|path, _| path != "rollout" && path != "spec.replicas");
    musts
}

/// `there` is the resource of `have` with that key.
fn fields(key: &str, want: &Resource, there: &Resource, have: &State) -> Vec<DifferenceEntry> {
    let (state, have) = (have, there);
    let (wanted, meant) = (flatten(&want.spec), flatten(&have.spec));
    let mut paths: BTreeSet<&String> = wanted.keys().chain(meant.keys()).collect();
    paths.retain(|path| object::is_meant(want, path));
    let mut by_weight =
        [Weight::Must, Weight::Informational].map(|it| (it, Map::new(), Map::new()));
    for path in paths {
        // What one says and the server fills in for the other is the same.
        let filled = |side: &Resource| side.facts["filled_in"].get(path.as_str()).cloned();
        let one = wanted.get(path).cloned().or_else(|| filled(want));
        let other = meant.get(path).cloned().or_else(|| filled(have));
        if one == other || is_same_quantity(path, one.as_ref(), other.as_ref()) {
            continue;
        }
        // One side says nothing in it: what the other says in it is compared by itself.
        if one.is_none() && has_more(&wanted, path) || other.is_none() && has_more(&meant, path) {
            continue;
        }
        // A state that was captured on the way says nothing about how far to be, and one of a release in trouble not that it
        // shall be in trouble.
        let is_on_the_way = path == "rollout" && one != Some(Value::from(kinds::COMPLETE));
        let is_in_trouble = path == "status" && is_release(key) && one != Some("deployed".into());
        if is_on_the_way || is_in_trouble || is_any(path, want, have) {
            continue;
        }
        let is_of_others = object::is_of_others(want, path) && object::is_of_others(have, path);
        let weight = match is_of_others {
            true => Weight::Informational,
            false => weight(key, path, one.as_ref(), other.as_ref(), state),
        };
        let (_, want, have) = &mut by_weight[usize::from(weight == Weight::Informational)];
        want.insert(path.clone(), one.unwrap_or_default());
        have.insert(path.clone(), other.unwrap_or_default());
    }
    let different = by_weight
        .into_iter()
        .filter(|(_, want, _)| !want.is_empty());
    let entries = different
        .map(|(weight, want, have)| entry(weight, key, Value::Object(want), Value::Object(have)));
    entries.collect()
}

/// Whether there are leaves below a path.
fn has_more(leaves: &BTreeMap<String, Value>, path: &str) -> bool {
    let is_below = |it: &String| it[path.len()..].starts_with(['.', '[']);
    let from = leaves.range(path.to_owned()..);
    let mut below = from.take_while(|(it, _)| it.starts_with(path));
    below.any(|(it, _)| is_below(it))
}

fn weight(
    key: &str,
    path: &str,
    want: Option<&Value>,
    have: Option<&Value>,
    there: &State,
) -> Weight {
    let is_informational = match path {
        // More are enough, and fewer where an autoscaler says so, as long as somebody serves.
        "spec.replicas" => {
            let number = |value: Option<&Value>| value.and_then(Value::as_u64);
            let is_enough = match (number(want), number(have)) {
                (Some(want), Some(have)) => {
                    let least = capacity::bounds(there, key)
                        .map_or(want, |(least, _)| want.min(least.into()));
                    have >= least
                }
                _ => true,
            };
            let is_off = number(have) == Some(0) && number(want) != Some(0);
            want.is_none() || is_enough && !is_off
        }
        // Says when somebody restarted it, and nothing of what runs.
        _ if path.ends_with(".kubectl.kubernetes.io/restartedAt") => true,
        // A label more on the object itself changes nothing of what runs.
        _ => want.is_none() && path.starts_with("metadata."),
    };
    match is_informational || is_autoscaler(key) {
        true => Weight::Informational,
        false => Weight::Must,
    }
}

/// Whether it is what helm says of a release.
fn is_release(key: &str) -> bool {
    key.starts_with("release/")
}

/// Whether a chart says something else there each time.
fn is_any(path: &str, want: &Resource, have: &Resource) -> bool {
    let says = |it: &Resource| {
        let mut paths = it.facts["any"].as_array().into_iter().flatten();
        paths.any(|it| it == path)
    };
    says(want) || says(have)
}

/// Whether it is something that pods are given.
pub(crate) fn is_given(key: &str) -> bool {
    key.starts_with("configmap/") || key.starts_with("secret/")
}

/// Its bounds belong to whoever scales.
pub(crate) fn is_autoscaler(key: &str) -> bool {
    key.starts_with("horizontalpodautoscaler.")
}

fn entry(weight: Weight, key: &str, want: Value, have: Value) -> DifferenceEntry {
    let key = key.to_owned();
    DifferenceEntry {
        weight,
        key,
        want,
        have,
    }
}

/// Every leaf by its path, such as `spec.template.spec.containers[app].image`. Items of lists that have keys are known by
/// them, so that their order does not matter.
pub(crate) fn flatten(value: &Value) -> BTreeMap<String, Value> {
    let mut leaves = BTreeMap::new();
    descend(value, String::new(), "", &mut leaves);
    leaves
}

fn descend(value: &Value, path: String, name: &str, leaves: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, inner) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                descend(inner, format!("{path}{dot}{name}"), name, leaves);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (index, item) in items.iter().enumerate() {
                let key = item_key(name, item).unwrap_or_else(|| index.to_string());
                descend(item, format!("{path}[{key}]"), "", leaves);
            }
        }
        // Nothing in it is as good as no list; an empty object may be a choice (`emptyDir: {}`).
        Value::Array(items) if items.is_empty() => {}
        // That an item is there counts, whatever it says.
        Value::Object(_) if matches!(name, "metadata" | "data") || path.is_empty() => {}
        leaf => {
            leaves.insert(path, leaf.clone());
        }
    }
}

/// As the API's own types name the keys of their lists.
fn item_key(list: &str, item: &Value) -> Option<String> {
    let text = |name: &str| match &item[name] {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    match list {
        "containers" | "initContainers" | "volumes" | "env" | "imagePullSecrets" => text("name"),
        "volumeMounts" => text("mountPath"),
        "volumeDevices" => text("devicePath"),
        "hostAliases" => text("ip"),
        "ports" => {
            let port = text("containerPort").or_else(|| text("port"))?;
            let protocol = text("protocol").unwrap_or_else(|| "TCP".to_owned());
            Some(format!("{port}/{protocol}"))
        }
        _ => None,
    }
}

/// The API server writes `0.5` as `500m`.
fn is_same_quantity(path: &str, one: Option<&Value>, other: Option<&Value>) -> bool {
    let is_quantity = [".limits.", ".requests.", ".sizeLimit"]
        .iter()
        .any(|it| path.contains(it));
    let amount = |value: Option<&Value>| value.and_then(amount);
    is_quantity && amount(one).is_some() && amount(one) == amount(other)
}

/// A quantity in thousandths.
pub(crate) fn amount(value: &Value) -> Option<i128> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let at = text
        .find(|it: char| !it.is_ascii_digit() && it != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(at);
    let factor: i128 = match suffix {
        "m" => 1,
        "" => 1000,
        "k" => 1000 * 1000,
        "M" => 1000 * 1000_i128.pow(2),
        "G" => 1000 * 1000_i128.pow(3),
        "T" => 1000 * 1000_i128.pow(4),
        "Ki" => 1000 << 10,
        "Mi" => 1000 << 20,
        "Gi" => 1000 << 30,
        "Ti" => 1000 << 40,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    digits.checked_mul(factor).map(|it| it / scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn quantities_are_compared_by_what_they_amount_to() {
        let same = |one: Value, other: Value| {
            is_same_quantity(
                "spec.containers[app].resources.limits.cpu",
                Some(&one),
                Some(&other),
            )
        };
        assert!(same(json!("0.5"), json!("500m")));
        assert!(same(json!(2), json!("2")));
        assert!(same(json!("1Gi"), json!("1024Mi")));
        assert!(!same(json!("1G"), json!("1Gi")));
        assert!(!same(json!("much"), json!("much more")));
        // Elsewhere text is text.
        assert!(!is_same_quantity(
            "data.cpu",
            Some(&json!("0.5")),
            Some(&json!("500m"))
        ));
    }

    #[test]
    fn what_says_nothing_is_there_all_the_same() {
        let resource = |rules: Value| Resource {
            spec: json!({ "rules": rules }),
            facts: json!({ "filled_in": { "rules[1].path": "/" } }),
            health: belay_model::state::Health::Unknown,
        };
        let differ = |want: Value, have: Value| {
            let musts = musts("rule/api", &resource(want), &resource(have));
            musts.into_keys().collect::<Vec<_>>()
        };
        let one = json!([{ "path": "/a" }]);
        let two = json!([{ "path": "/a" }, {}]);
        assert_eq!(differ(one, two.clone()), ["rules[1]"]);
        assert!(differ(json!([{ "path": "/a" }, { "path": "/" }]), two.clone()).is_empty());
        let other = json!([{ "path": "/a" }, { "path": "/b" }]);
        assert_eq!(differ(two, other), ["rules[1].path"]);
    }

    #[test]
    fn items_are_known_by_their_keys() {
        let pod = |names: [&str; 2]| json!({ "containers": names.map(|name| json!({ "name": name, "args": ["a"] })) });
        assert_eq!(
            flatten(&pod(["app", "proxy"])),
            flatten(&pod(["proxy", "app"]))
        );
        let ports = flatten(
            &json!({ "ports": [{ "containerPort": 80 }, { "port": 53, "protocol": "UDP" }] }),
        );
        let paths: Vec<_> = ports.keys().map(String::as_str).collect();
        assert_eq!(
            paths,
            [
                "ports[53/UDP].port",
                "ports[53/UDP].protocol",
                "ports[80/TCP].containerPort"
            ]
        );
    }
}
