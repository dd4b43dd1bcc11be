//! Who gets traffic in a state: by the selectors of its live Services, and by the weights of its route. Pure.

use crate::capacity::count;
use crate::groups::LABEL;
use crate::kinds;
use belay_model::state::{Resource, State};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The label that tells the pods of a Deployment's newest template from those of another one. In states its value is the key of
/// that Deployment: nobody knows it before the platform has chosen it.
pub(crate) const HASH: &str = "pod-template-hash";
/// The fact that tells live Services.
pub(crate) const SENDS: &str = "sends";
/// In the weights of a route: the live Service itself, whoever it reaches.
pub(crate) const LIVE: &str = "live";

/// What a selector has to say beside a service's own, so that it reaches no other group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pin {
    /// All Deployments of a group.
    Group(String),
    /// A Deployment in no group, by its key.
    Alone(String),
}

impl Pin {
    pub(crate) fn of(key: &str, workload: &Resource) -> Self {
        match group(workload) {
            Some(group) => Pin::Group(group.to_owned()),
            None => Pin::Alone(key.to_owned()),
        }
    }

    /// A selector that reaches only those.
    pub(crate) fn put_on(&self, selector: &Value) -> Value {
        let mut pinned = unpinned(selector);
        match self {
            Pin::Group(group) => pinned[LABEL] = json!(group),
            Pin::Alone(key) => pinned[HASH] = json!(key),
        }
        pinned
    }

    /// As people call it.
    pub(crate) fn name(&self) -> &str {
        match self {
            Pin::Group(group) => group,
            Pin::Alone(key) => key.split_once('/').map_or(key, |(_, name)| name),
        }
    }
}

/// The group that a workload is of.
pub(crate) fn group(workload: &Resource) -> Option<&str> {
    workload.spec["spec"]["template"]["metadata"]["labels"][LABEL].as_str()
}

/// The live Services of a state. Who looked without knowing that releases stand side by side did not tell; then it is one that is
/// pinned.
pub(crate) fn senders(state: &State) -> impl Iterator<Item = (&String, &Resource)> {
    let all = state.resources.iter();
    all.filter(|(key, it)| match it.facts[SENDS].as_bool() {
        Some(sends) => sends,
        None => {
            let selector = selector(it);
            let is_pinned = !selector[LABEL].is_null() || !selector[HASH].is_null();
            key.starts_with("service/")
                && is_pinned
                && it.spec["metadata"]["labels"][LABEL].is_null()
        }
    })
}

/// The route of a state that has weights, and these.
pub(crate) fn weights(state: &State) -> Option<(&String, BTreeMap<String, u32>)> {
    state.resources.iter().find_map(|(key, it)| {
        let weights = it.spec["weights"].as_object()?;
        let weights = weights.iter().map(|(group, weight)| {
            let weight = weight.as_u64().and_then(|it| u32::try_from(it).ok());
            (group.clone(), weight.unwrap_or(0))
        });
        Some((key, weights.collect()))
    })
}

pub(crate) fn selector(service: &Resource) -> &Value {
    &service.spec["spec"]["selector"]
}

/// The selector without what pins it to one group.
pub(crate) fn unpinned(selector: &Value) -> Value {
    let mut fields: Map<String, Value> = selector.as_object().cloned().unwrap_or_default();
    fields.remove(LABEL);
    fields.remove(HASH);
    Value::Object(fields)
}

/// Whether a selector of a state selects the pods of one of its workloads.
pub(crate) fn reaches(selector: &Value, key: &str, workload: &Resource) -> bool {
    let labels = &workload.spec["spec"]["template"]["metadata"]["labels"];
    let wanted = selector.as_object();
    wanted.is_some_and(|wanted| {
        let has = |(name, value): (&String, &Value)| match name.as_str() {
            HASH => *value == key,
            _ => labels[name] == *value,
        };
        !wanted.is_empty() && wanted.iter().all(has)
    })
}

/// The workloads of a state.
pub(crate) fn workloads(state: &State) -> impl Iterator<Item = (&String, &Resource)> {
    let all = state.resources.iter();
    all.filter(|(key, _)| kinds::of_key(key).is_some())
}

/// Those of the workloads that a selector reaches, and that have pods.
pub(crate) fn reached<'a>(selector: &Value, state: &'a State) -> Vec<(&'a String, &'a Resource)> {
    let reached = workloads(state).filter(|(key, it)| reaches(selector, key, it) && count(it) > 0);
    reached.collect()
}

/// Whether traffic goes to a workload.
pub(crate) fn serves(state: &State, key: &str) -> bool {
    let Some(it) = state.resources.get(key) else {
        return false;
    };
    let by_weight = weights(state).is_some_and(|(_, weights)| {
        let weight = group(it).and_then(|group| weights.get(group));
        is_behind(state, key) && weight.is_some_and(|weight| *weight > 0)
    });
    by_weight || senders(state).any(|(_, sender)| reaches(selector(sender), key, it))
}

/// Whether a live Service could send traffic to a workload, if it were not pinned to others.
pub(crate) fn is_behind(state: &State, key: &str) -> bool {
    let Some(it) = state.resources.get(key) else {
        return false;
    };
    senders(state).any(|(_, sender)| reaches(&unpinned(selector(sender)), key, it))
}

/// Whether a resource is a workload that stands by: it could have traffic, and has none, or it has no pods beside others that
/// have some.
pub(crate) fn is_spare(state: &State, key: &str) -> bool {
    kinds::of_key(key).is_some() && is_behind(state, key) && !serves(state, key)
}

/// Shares of the traffic per mille: by group, or by the name of what is in none.
pub(crate) fn shares(state: &State) -> BTreeMap<String, u32> {
    let by_pods = || {
        let Some((_, sender)) = senders(state).next() else {
            return BTreeMap::new();
        };
        let mut pods: BTreeMap<String, u32> = BTreeMap::new();
        for (key, it) in reached(selector(sender), state) {
            let ready = it.facts["ready"]
                .as_u64()
                .and_then(|it| u32::try_from(it).ok());
            let name = Pin::of(key, it).name().to_owned();
            *pods.entry(name).or_default() += ready.unwrap_or_else(|| count(it));
        }
        per_mille(&pods)
    };
    let Some((_, mut weights)) = weights(state) else {
        return by_pods();
    };
    let live = weights.remove(LIVE).unwrap_or(0);
    if live > 0 {
        for (name, share) in by_pods() {
            *weights.entry(name).or_default() += share * live / 1000;
        }
    }
    weights.retain(|_, weight| *weight > 0);
    weights
}

/// What each has of all of it; what rounding leaves goes to the largest.
pub(crate) fn per_mille(parts: &BTreeMap<String, u32>) -> BTreeMap<String, u32> {
    let whole: u32 = parts.values().sum();
    if whole == 0 {
        return BTreeMap::new();
    }
    let share = |part: u32| u32::try_from(u64::from(part) * 1000 / u64::from(whole)).unwrap_or(0);
    let mut shares: BTreeMap<String, u32> = parts
        .iter()
        .map(|(name, part)| (name.clone(), share(*part)))
        .collect();
    let left = 1000 - shares.values().sum::<u32>();
    if let Some((_, largest)) = shares.iter_mut().max_by_key(|(_, share)| **share) {
        *largest += left;
    }
    shares.retain(|_, share| *share > 0);
    shares
}

/// Different pins of workloads.
pub(crate) fn pins(workloads: &[(&String, &Resource)]) -> BTreeSet<Pin> {
    workloads.iter().map(|(key, it)| Pin::of(key, it)).collect()
}
