//! Plans and differences. Pure.

use super::shape::{Group, Shape};
use belay_driver::{Old, Stage};
use belay_model::id::RecordHash;
use belay_model::plan::{Effect, Verb, Wave};
use belay_model::state::{Difference, DifferenceEntry, ROUTE, State, Weight};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// What an effect's `params` hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Params {
    /// Bring a group up until every instance is ready.
    Grow {
        group: String,
        record: RecordHash,
        instances: u32,
        /// Plans of before there were groups without it do not say.
        #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
        takes_traffic: bool,
    },
    /// Replace the route. Empty weights: remove it.
    Route {
        listen: SocketAddr,
        weights: BTreeMap<String, u32>,
    },
    /// Reduce a group.
    Shrink { group: String, instances: u32 },
}

/// The steps of one stage; what is there already is no step.
pub(super) fn plan(from: &Shape, goal: &Shape, stage: Stage) -> Vec<Effect> {
    let is_whole = stage.is_whole();
    let weights = if is_whole {
        goal.weights.clone()
    } else {
        split(&from.weights, &goal.weights, stage.share)
    };
    let mut effects = Vec::new();
    for (name, group) in &goal.groups {
        // A group that was only kept warm: nobody needs it to be there.
        if !goal.is_at_work(name) {
            continue;
        }
        let needed = (group.instances * stage.capacity)
            .div_ceil(1000)
            .clamp(1, group.instances.max(1));
        let there = from
            .groups
            .get(name)
            .filter(|there| there.healthy)
            .map_or(0, |there| there.instances);
        if there < needed {
            effects.push(grow(name, group, needed));
        }
    }
    if let Some(effect) = route(from, goal, &weights) {
        effects.push(effect);
    }
    for (name, group) in &from.groups {
        let left = remaining(name, group, goal, &weights, stage);
        if left < group.instances {
            effects.push(shrink(name, group, left));
        }
    }
    effects
}

/// Gives the goal its share and the rest to who has the traffic now, in their proportions.
fn split(
    now: &BTreeMap<String, u32>,
    goal: &BTreeMap<String, u32>,
    share: u32,
) -> BTreeMap<String, u32> {
    let others: BTreeMap<_, _> = now
        .iter()
        .filter(|(name, _)| !goal.contains_key(*name))
        .collect();
    let total: u32 = others.values().copied().sum();
    // What it has already is not taken away.
    let has = now.iter().filter(|(name, _)| goal.contains_key(*name));
    let share = share.max(has.map(|(_, weight)| *weight).sum());
    if total == 0 || share >= 1000 {
        return goal.clone();
    }
    let mut weights: BTreeMap<String, u32> = goal
        .iter()
        .map(|(name, weight)| (name.clone(), weight * share / 1000))
        .collect();
    let mut rest = 1000 - weights.values().sum::<u32>();
    let mut of_total = total;
    for (name, weight) in others {
        // The last one takes what rounding left, so that the shares add up.
        let part = if *weight == of_total {
            rest
        } else {
            rest * weight / of_total
        };
        weights.insert(name.clone(), part);
        rest -= part;
        of_total -= weight;
    }
    weights.retain(|_, weight| *weight > 0);
    weights
}

fn remaining(
    name: &str,
    group: &Group,
    goal: &Shape,
    weights: &BTreeMap<String, u32>,
    stage: Stage,
) -> u32 {
    if let Some(wanted) = goal.groups.get(name) {
        return if stage.is_whole() {
            wanted.instances
        } else {
            group.instances
        };
    }
    if !group.takes_traffic {
        // There is no switch that ends its work: what the goal does not want works until it is stopped.
        return match stage.old {
            Old::Keep if stage.share < 1000 => group.instances,
            Old::Keep | Old::Remove => 0,
            Old::Proportional => part(group.instances, stage),
        };
    }
    match stage.old {
        Old::Keep => group.instances,
        Old::Remove => 0,
        Old::Proportional => match weights.get(name) {
            // The goal takes none of it away before the route goes, so nothing of what serves it can be spared.
            Some(_) if goal.weights.is_empty() => group.instances,
            Some(_) => part(group.instances, stage),
            None => group.instances,
        },
    }
}

/// Rounded up: the old side never has less than its share.
fn part(instances: u32, stage: Stage) -> u32 {
    (instances * (1000 - stage.share)).div_ceil(1000)
}

fn grow(name: &str, group: &Group, instances: u32) -> Effect {
    Effect {
        verb: Verb::Stage,
        wave: Wave::Grow,
        title: format!("start {} of {name}", count(instances)),
        params: params(&Params::Grow {
            group: name.to_owned(),
            record: group.record.clone(),
            instances,
            takes_traffic: group.takes_traffic,
        }),
        records: vec![group.record.clone()],
        idempotent: true,
        residue: None,
    }
}

fn route(from: &Shape, goal: &Shape, weights: &BTreeMap<String, u32>) -> Option<Effect> {
    let listen = goal.listen.or(from.listen)?;
    let same_place = from.listen == Some(listen) || from.listen.is_none();
    if from.weights == *weights && (same_place || weights.is_empty()) {
        return None;
    }
    let mut shares: Vec<_> = weights.iter().collect();
    shares.sort_by_key(|(_, weight)| std::cmp::Reverse(**weight));
    let title = match shares.as_slice() {
        [] => "take the route away".to_owned(),
        [(name, _)] => format!("all traffic to {name}"),
        _ => {
            let parts = shares
                .iter()
                .map(|(name, weight)| format!("{} % to {name}", percent(**weight)));
            format!("traffic: {}", parts.collect::<Vec<_>>().join(", "))
        }
    };
    Some(Effect {
        verb: if weights.len() > 1 {
            Verb::Shift
        } else {
            Verb::Promote
        },
        wave: Wave::Switch,
        title,
        params: params(&Params::Route {
            listen,
            weights: weights.clone(),
        }),
        records: Vec::new(),
        idempotent: true,
        residue: None,
    })
}

fn shrink(name: &str, group: &Group, left: u32) -> Effect {
    let title = match left {
        0 => format!("stop {name}"),
        left => format!("reduce {name} to {}", count(left)),
    };
    Effect {
        verb: Verb::Retire,
        wave: Wave::Shrink,
        title,
        params: params(&Params::Shrink {
            group: name.to_owned(),
            instances: left,
        }),
        records: vec![group.record.clone()],
        idempotent: true,
        residue: None,
    }
}

/// What a shape is after an effect.
pub(super) fn after(shape: &mut Shape, effect: &Params) {
    match effect {
        Params::Grow {
            group,
            record,
            instances,
            takes_traffic,
        } => {
            let group = shape.groups.entry(group.clone()).or_insert_with(|| Group {
                record: record.clone(),
                instances: 0,
                healthy: true,
                takes_traffic: *takes_traffic,
            });
            group.instances = group.instances.max(*instances);
            group.healthy = true;
        }
        Params::Route { listen, weights } => {
            shape.listen = (!weights.is_empty()).then_some(*listen);
            shape.weights = weights.clone();
        }
        Params::Shrink {
            group,
            instances: 0,
        } => {
            shape.groups.remove(group);
        }
        Params::Shrink { group, instances } => {
            if let Some(group) = shape.groups.get_mut(group) {
                group.instances = group.instances.min(*instances);
            }
        }
    }
}

/// What keeps `have` from being `want`.
pub(super) fn diff(want: &State, have: &State) -> Difference {
    let wanted = Shape::of(want);
    let keys: std::collections::BTreeSet<&String> =
        want.resources.keys().chain(have.resources.keys()).collect();
    let entries = keys.into_iter().filter_map(|key| {
        let spec = |state: &State| {
            state
                .resources
                .get(key)
                .map_or(Value::Null, |resource| resource.spec.clone())
        };
        let (want_spec, have_spec) = (spec(want), spec(have));
        if want_spec == have_spec {
            return None;
        }
        // A group that took traffic and had none was only kept warm; that it is gone matters to nobody.
        let warm_only = key
            .strip_prefix("group/")
            .is_some_and(|name| !wanted.is_at_work(name));
        let gone = have_spec.is_null() && key != ROUTE && warm_only;
        let weight = if gone || is_more(&want_spec, &have_spec) {
            Weight::Informational
        } else {
            Weight::Must
        };
        Some(DifferenceEntry {
            weight,
            key: key.clone(),
            want: want_spec,
            have: have_spec,
        })
    });
    Difference(entries.collect())
}

/// The same group with more instances than are wanted: capacity that does no harm.
fn is_more(want: &Value, have: &Value) -> bool {
    let count = |spec: &Value| spec["instances"].as_u64();
    let mut alike = have.clone();
    if let (Some(instances), Some(wanted)) = (alike.get_mut("instances"), want.get("instances")) {
        *instances = wanted.clone();
    }
    alike == *want && count(have) > count(want)
}

fn yes() -> bool {
    true
}

pub(super) fn params(params: &Params) -> Value {
    serde_json::to_value(params).expect("parameters are plain data")
}

fn count(instances: u32) -> String {
    if instances == 1 {
        "1 instance".to_owned()
    } else {
        format!("{instances} instances")
    }
}

fn percent(per_mille: u32) -> String {
    if per_mille.is_multiple_of(10) {
        format!("{}", per_mille / 10)
    } else {
        format!("{}.{}", per_mille / 10, per_mille % 10)
    }
}

#[cfg(test)]
mod tests;
