//! By the weights of an HTTPRoute or a GRPCRoute of the Gateway API, whatever its parents are (a Gateway, or a Service in a mesh).
//! Each group has a Service of its own. In a state those of a route's backends that are a live Service, or what it is called in a
//! group, stand as the live Service, and their shares apart, per mille; other rules, filters and backends are as they are.

use super::{Move, Router, Scene};
use crate::groups;
use crate::traffic::{self, LIVE, per_mille};
use belay_driver::{Error, Split};
use belay_model::error::Class;
use belay_model::plan::Verb;
use belay_model::state::{Resource, State};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The version that has been stable since Gateway API 1.0 (GRPCRoute: 1.1).
const API: &str = "gateway.networking.k8s.io/v1";
/// Where the shares stand in the spec of a resource.
pub(crate) const WEIGHTS: &str = "weights";
/// Shares that are not the same in all rules.
const UNEVEN: &str = "weights_of_rules";
/// The fact that names the live Services.
pub(crate) const SERVICES: &str = "services";

/// A route as settings name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    kind: &'static str,
    name: String,
}

impl Route {
    pub(crate) fn of(text: &str) -> Result<Self, Error> {
        let kind = |word: &str| match word.to_ascii_lowercase().as_str() {
            "httproute" => Some("HTTPRoute"),
            "grpcroute" => Some("GRPCRoute"),
            _ => None,
        };
        let found = text.split_once('/');
        let found = found.and_then(|(word, name)| Some((kind(word)?, name.to_owned())));
        let (kind, name) = found.ok_or_else(|| {
            let message =
                format!("read the route {text}: it is written as httproute/NAME or grpcroute/NAME");
            Error::not_applied(Class::Application, message)
        })?;
        Ok(Self { kind, name })
    }

    /// The object, as far as it is named.
    pub(crate) fn named(&self) -> Value {
        json!({ "apiVersion": API, "kind": self.kind, "metadata": { "name": self.name } })
    }

    pub(crate) fn is(&self, object: &Value) -> bool {
        object["kind"] == self.kind && object["metadata"]["name"] == self.name.as_str()
    }
}

pub(super) struct Gateway;

impl Router for Gateway {
    fn split(&self) -> Split {
        Split::Weights
    }

    fn moved(&self, state: &State) -> Vec<String> {
        traffic::weights(state)
            .into_iter()
            .map(|(key, _)| key.clone())
            .collect()
    }

    fn moves(&self, scene: &Scene<'_>) -> Result<Vec<Move>, Error> {
        let Some((key, wanted)) = traffic::weights(scene.want) else {
            return Ok(Vec::new());
        };
        let now = traffic::weights(scene.at)
            .map(|(_, weights)| weights)
            .unwrap_or_default();
        let weights = shared(&now, &wanted, scene.stage.share);
        let mut resource = scene.want.resources[key].clone();
        resource.spec[WEIGHTS] = json!(weights);
        let is_to =
            |it: &Resource| traffic::group(it).is_some_and(|group| wanted.contains_key(group));
        let to = traffic::workloads(scene.want)
            .filter(|(key, it)| is_to(it) && traffic::is_behind(scene.want, key));
        let to = to.map(|(key, _)| key.clone()).collect();
        let mut shares: Vec<(&String, &u32)> = weights.iter().collect();
        shares.sort_by_key(|(_, weight)| std::cmp::Reverse(**weight));
        let verb = if shares.len() > 1 {
            Verb::Shift
        } else {
            Verb::Promote
        };
        let shares: Vec<String> = shares
            .into_iter()
            .map(|(name, weight)| format!("{} % to {}", percent(*weight), in_words(name)))
            .collect();
        let title = match shares.as_slice() {
            [] => format!("take the weights of {key} away"),
            shares => format!("traffic of {key}: {}", shares.join(", ")),
        };
        Ok(vec![Move {
            key: key.clone(),
            resource,
            to,
            verb,
            title,
        }])
    }
}

fn in_words(name: &str) -> &str {
    if name == LIVE {
        "the live Service"
    } else {
        name
    }
}

fn percent(per_mille: u32) -> String {
    match per_mille % 10 {
        0 => (per_mille / 10).to_string(),
        rest => format!("{}.{rest}", per_mille / 10),
    }
}

/// Gives the goal its share, and the rest to who has the traffic now, in their proportions. What the goal has it keeps.
fn shared(
    now: &BTreeMap<String, u32>,
    goal: &BTreeMap<String, u32>,
    share: u32,
) -> BTreeMap<String, u32> {
    let has = now.iter().filter(|(name, _)| goal.contains_key(*name));
    let share = share.max(has.map(|(_, weight)| *weight).sum());
    let others = now
        .iter()
        .filter(|(name, weight)| !goal.contains_key(*name) && **weight > 0);
    let others: BTreeMap<String, u32> = others
        .map(|(name, weight)| (name.clone(), *weight))
        .collect();
    if others.is_empty() || share >= 1000 {
        return goal.clone();
    }
    let part = |weights: &BTreeMap<String, u32>, share: u32| -> BTreeMap<String, u32> {
        let parts = per_mille(weights);
        let mut parts: BTreeMap<String, u32> = parts
            .into_iter()
            .map(|(name, weight)| (name, weight * share / 1000))
            .collect();
        // The shares add up.
        let left = share - parts.values().sum::<u32>();
        if let Some((_, first)) = parts.iter_mut().next() {
            *first += left;
        }
        parts
    };
    let mut weights = part(goal, share);
    weights.extend(part(&others, 1000 - share));
    weights.retain(|_, weight| *weight > 0);
    weights
}

/// Takes the shares out of a route that was looked at or is written, and what goes without saying.
pub(crate) fn normalise(resource: &mut Resource, services: &[String]) {
    strip(&mut resource.spec);
    resource.facts[SERVICES] = json!(services);
    if !resource.spec[WEIGHTS].is_null() {
        return;
    }
    let rules = items(&mut resource.spec["spec"], "rules");
    let shares: Vec<BTreeMap<String, u32>> =
        rules.filter_map(|rule| collapse(rule, services)).collect();
    if let Some(first) = shares.first() {
        resource.spec[WEIGHTS] = json!(first);
        if shares.iter().any(|it| it != first) {
            resource.spec[UNEVEN] = json!(shares);
        }
    }
}

/// Makes one backend of those that are a live Service or one of its groups; what share each of them has.
fn collapse(rule: &mut Value, services: &[String]) -> Option<BTreeMap<String, u32>> {
    let refs = rule["backendRefs"].as_array().cloned()?;
    let (mut weights, mut kept) = (BTreeMap::new(), Vec::<Value>::new());
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let is_shared = refs.iter().any(|it| whose(it, services).is_none());
    for it in &refs {
        let Some((service, group)) = whose(it, services) else {
            kept.push(it.clone());
            continue;
        };
        let weight = it["weight"]
            .as_u64()
            .and_then(|it| u32::try_from(it).ok())
            .unwrap_or(1);
        *weights.entry(group.to_owned()).or_insert(0) += weight;
        match places.get(service) {
            Some(at) => {
                let sum = kept[*at]["weight"].as_u64().unwrap_or(0) + u64::from(weight);
                kept[*at]["weight"] = json!(sum);
            }
            None => {
                let mut one = it.clone();
                one["name"] = json!(service);
                one["weight"] = json!(weight);
                places.insert(service, kept.len());
                kept.push(one);
            }
        }
    }
    for at in places.values() {
        // Beside others it is a share; alone it is all.
        if !is_shared && let Some(fields) = kept[*at].as_object_mut() {
            fields.remove("weight");
        }
    }
    rule["backendRefs"] = json!(kept);
    (!places.is_empty()).then(|| per_mille(&weights))
}

/// Which live Service a backend is, and in which group.
fn whose<'a>(backend: &'a Value, services: &'a [String]) -> Option<(&'a str, &'a str)> {
    let is = |name: &str, usual: &str| backend[name].as_str().is_none_or(|it| it == usual);
    if !is("kind", "Service") || !is("group", "") || backend["namespace"].is_string() {
        return None;
    }
    let name = backend["name"].as_str()?;
    services.iter().find_map(|service| {
        let group = if name == service {
            Some(LIVE)
        } else {
            groups::of_name(service, name)
        };
        Some((service.as_str(), group?))
    })
}

/// Puts backends in the places of shares. `rules`: those of a route as it is in a state.
///
/// # Errors
/// A share of a backend beside others is no whole number.
pub(crate) fn expand(rules: &mut Value, weights: &Value, services: &Value) -> Result<(), String> {
    let services: BTreeSet<&str> = services
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for rule in rules.as_array_mut().into_iter().flatten() {
        let Some(Value::Array(refs)) = rule.get_mut("backendRefs") else {
            continue;
        };
        let mut all = Vec::new();
        for it in std::mem::take(refs) {
            let name = it["name"].as_str().unwrap_or_default();
            let is_foreign = !services.contains(name)
                || it["kind"].as_str().is_some_and(|kind| kind != "Service");
            if is_foreign || it["namespace"].is_string() {
                all.push(it);
                continue;
            }
            let whole = it["weight"].as_u64();
            let shares = weights.as_object().into_iter().flatten();
            for (group, share) in shares {
                let share = share.as_u64().unwrap_or(0) * whole.unwrap_or(1000);
                if share % 1000 != 0 {
                    return Err(format!(
                        "a rule has other backends, too, and {name} has a weight of {} in it: give it one that can be divided, such as 1000",
                        whole.unwrap_or(1)
                    ));
                }
                let mut one = it.clone();
                one["weight"] = json!(share / 1000);
                if group != LIVE {
                    one["name"] = json!(groups::name(name, group));
                } else if whole.is_none() && share / 1000 == 1000 {
                    one.as_object_mut().map(|fields| fields.remove("weight"));
                }
                all.push(one);
            }
        }
        *refs = all;
    }
    Ok(())
}

/// What the API server fills into rules and parents: they are lists that belong to one as a whole, so that ownership does not tell.
fn strip(spec: &mut Value) {
    for it in items(&mut spec["spec"], "parentRefs") {
        forget(it, "group", &json!("gateway.networking.k8s.io"));
        forget(it, "kind", &json!("Gateway"));
    }
    for rule in items(&mut spec["spec"], "rules") {
        for it in items(rule, "backendRefs") {
            forget(it, "group", &json!(""));
            forget(it, "kind", &json!("Service"));
            forget(it, "weight", &json!(1));
        }
        for it in items(rule, "matches") {
            for header in items(it, "headers") {
                forget(header, "type", &json!("Exact"));
            }
            for (place, fields) in [
                ("path", [("type", "PathPrefix"), ("value", "/")].as_slice()),
                ("method", &[("type", "Exact")]),
            ] {
                let Some(found) = it.get_mut(place) else {
                    continue;
                };
                for (name, usual) in fields {
                    forget(found, name, &json!(usual));
                }
                forget(it, place, &json!({}));
            }
        }
        // One that matches all is as good as none, and beside others it is not.
        forget(rule, "matches", &json!([{}]));
        forget(rule, "matches", &json!([]));
    }
}

fn items<'a>(value: &'a mut Value, name: &str) -> impl Iterator<Item = &'a mut Value> {
    let list = value.get_mut(name).and_then(Value::as_array_mut);
    list.into_iter().flatten()
}

fn forget(value: &mut Value, name: &str, usual: &Value) {
    if let Some(fields) = value.as_object_mut()
        && fields.get(name) == Some(usual)
    {
        fields.remove(name);
    }
}

#[cfg(test)]
mod tests;
