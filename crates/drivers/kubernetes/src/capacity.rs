//! How many pods a state asks for. Pure.

use crate::kinds;
use belay_driver::Capacity;
use belay_model::state::State;
use serde_json::{Value, json};

/// Of the largest workload that has such a number, and the bounds of its autoscaler. Pods of a DaemonSet are as many as
/// there are nodes: nobody says how many.
pub(crate) fn capacity(state: &State) -> Option<Capacity> {
    let (key, desired) = largest(state)?;
    let bounds = bounds(state, key);
    Some(Capacity { desired, bounds })
}

/// The same state with that many of them.
pub(crate) fn scaled(state: &State, instances: u32) -> State {
    let mut state = state.clone();
    let key = largest(&state).map(|(key, _)| key.to_owned());
    if let Some(it) = key.and_then(|key| state.resources.get_mut(&key)) {
        it.spec["spec"]["replicas"] = json!(instances);
    }
    state
}

/// Of several that are alike the first.
fn largest(state: &State) -> Option<(&str, u32)> {
    let counted = state.resources.iter().filter_map(|(key, it)| {
        let kind = kinds::of_key(key)?;
        // What is not said is what the server filled in.
        let said = [
            &it.spec["spec"]["replicas"],
            &it.facts["filled_in"]["spec.replicas"],
        ];
        let count = said.into_iter().find_map(Value::as_u64).unwrap_or(1);
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        (kind.is_scalable() && count > 0).then_some((key.as_str(), count))
    });
    counted.rev().max_by_key(|(_, count)| *count)
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
    let of = |it: &belay_model::state::Resource| {
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
    use belay_model::state::Resource;

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
