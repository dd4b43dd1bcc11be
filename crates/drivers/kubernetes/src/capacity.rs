//! How many pods a state asks for. Pure.

use crate::{kinds, traffic};
use belay_driver::Capacity;
use belay_model::state::{Resource, State};
use serde_json::{Value, json};
use std::cmp::Reverse;

/// Of the largest workload that has such a number and does not only stand by, and the bounds of its autoscaler. Where a share is
/// one of pods all groups of it that have traffic are at work, and count together. Pods of a DaemonSet are as many as there are
/// nodes: nobody says how many.
pub(crate) fn capacity(state: &State) -> Option<Capacity> {
    let (keys, desired) = largest(state)?;
    let bounds = keys.iter().find_map(|key| bounds(state, key));
    Some(Capacity { desired, bounds })
}

/// The same state with that many of them. Several groups keep the part of them that they have.
pub(crate) fn scaled(state: &State, instances: u32) -> State {
    let mut state = state.clone();
    let Some((keys, whole)) = largest(&state) else {
        return state;
    };
    let now = |key: &String| u64::from(state.resources.get(key).map_or(0, count));
    let part = |key: &String| now(key) * u64::from(instances) / u64::from(whole.max(1));
    let mut parts: Vec<(String, u64)> = keys.iter().map(|key| (key.clone(), part(key))).collect();
    let mut left = u64::from(instances) - parts.iter().map(|(_, part)| part).sum::<u64>();
    // What rounding leaves goes where most pods are.
    parts.sort_by_key(|(_, part)| Reverse(*part));
    for (key, part) in parts {
        if let Some(it) = state.resources.get_mut(&key) {
            it.spec["spec"]["replicas"] = json!(part + left);
            left = 0;
        }
    }
    state
}

/// How many pods a workload is asked for. What is not said is what the server filled in.
pub(crate) fn count(it: &Resource) -> u32 {
    let said = [
        &it.spec["spec"]["replicas"],
        &it.facts["filled_in"]["spec.replicas"],
    ];
    let count = said.into_iter().find_map(Value::as_u64).unwrap_or(1);
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The groups of one workload that are at work, and how many pods they are asked for; of several that are alike the first.
fn largest(state: &State) -> Option<(Vec<String>, u32)> {
    let counted = traffic::workloads(state).filter(|(key, it)| {
        let kind = kinds::of_key(key);
        kind.is_some_and(|kind| kind.is_scalable())
            && count(it) > 0
            && !traffic::is_spare(state, key)
    });
    let counted: Vec<(&String, &Resource)> = counted.collect();
    // A share by weight is one of the traffic: then each group is for all of it.
    let is_shared = |key: &str| traffic::weights(state).is_none() && traffic::serves(state, key);
    let with = |(key, it): &(&String, &Resource)| {
        let is_with = |(other, one): &&(&String, &Resource)| {
            other == key || is_shared(key) && is_shared(other) && family(one) == family(it)
        };
        let all: Vec<&(&String, &Resource)> = counted.iter().filter(is_with).collect();
        let pods = all
            .iter()
            .map(|(_, it)| count(it))
            .fold(0, u32::saturating_add);
        (
            all.iter()
                .map(|(key, _)| (*key).clone())
                .collect::<Vec<_>>(),
            pods,
        )
    };
    counted.iter().map(with).rev().max_by_key(|(_, pods)| *pods)
}

/// What a workload is called in no group.
pub(crate) fn family(it: &Resource) -> String {
    let name = it.facts["name"].as_str().unwrap_or_default();
    let group = traffic::group(it).map(|group| format!("-{group}"));
    let base = group.and_then(|group| name.strip_suffix(&group));
    base.unwrap_or(name).to_owned()
}

/// The fewest and the most pods that an autoscaler may ask for.
pub(crate) fn bounds(state: &State, key: &str) -> Option<(u32, u32)> {
    let prefix = kinds::prefix(kinds::of_key(key)?);
    let scales = |spec: &Value| {
        let target = &spec["spec"]["scaleTargetRef"];
        let name = target["name"].as_str().unwrap_or_default();
        let kind = target["kind"].as_str().unwrap_or_default().to_lowercase();
        prefix.starts_with(&format!("{kind}.")) && key == format!("{prefix}{name}")
    };
    let of = |it: &Resource| {
        let number = |name: &str| it.spec["spec"][name].as_u64();
        let number = |name: &str| number(name).and_then(|it| u32::try_from(it).ok());
        Some((number("minReplicas").unwrap_or(1), number("maxReplicas")?))
    };
    let mut scalers = state.resources.iter();
    let (_, it) = scalers
        .find(|(key, it)| key.starts_with("horizontalpodautoscaler.") && scales(&it.spec))?;
    of(it)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(resources: &[(&str, Value)]) -> State {
        let resources = resources.iter().map(|(key, spec)| {
            let spec = json!({ "spec": spec });
            let resource = Resource {
                spec,
                ..Resource::default()
            };
            ((*key).to_owned(), resource)
        });
        State {
            resources: resources.collect(),
            ..State::default()
        }
    }

    #[test]
    fn the_largest_workload_counts_and_its_own_autoscaler() {
        let scaler = |kind: &str, name: &str| json!({ "minReplicas": 2, "maxReplicas": 9, "scaleTargetRef": { "kind": kind, "name": name } });
        let check = |resources: &[(&str, Value)], expected: Option<(u32, Option<(u32, u32)>)>| {
            let found = capacity(&state(resources)).map(|it| (it.desired, it.bounds));
            assert_eq!(found, expected, "{resources:?}");
        };
        let (api, web) = ("deployment.apps/api", "deployment.apps/web");
        let count = |count: u32| json!({ "replicas": count });
        check(&[], None);
        check(&[(api, count(2)), (web, count(3))], Some((3, None)));
        check(&[(api, json!({}))], Some((1, None)));
        check(&[(api, count(0))], None);
        check(&[("daemonset.apps/agent", json!({}))], None);
        let key = "horizontalpodautoscaler.autoscaling/any";
        let own = scaler("Deployment", "api");
        check(&[(api, count(2)), (key, own)], Some((2, Some((2, 9)))));
        for other in [scaler("Deployment", "ap"), scaler("StatefulSet", "api")] {
            check(&[(api, count(2)), (key, other)], Some((2, None)));
        }
    }

    #[test]
    fn the_largest_workload_is_scaled() {
        let both = |api: u32, web: u32| {
            let of = |count: u32| json!({ "replicas": count });
            state(&[
                ("deployment.apps/api", of(api)),
                ("deployment.apps/web", of(web)),
            ])
        };
        assert_eq!(scaled(&both(2, 3), 5), both(2, 5));
        assert_eq!(scaled(&both(2, 2), 5), both(5, 2));
    }
}
