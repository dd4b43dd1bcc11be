//! What sends traffic, as it is in the cluster and as it is in a state: there the hash that a Service is pinned to is the key of a
//! Deployment, and the backends of a route are shares.

use crate::router::{self, Route, SERVICES, WEIGHTS};
use crate::settings::{Layout, Settings};
use crate::traffic::{self, HASH, SENDS};
use crate::{kinds, object};
use belay_model::state::{Resource, State};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The fact that says which hash the pods of a workload's newest template have.
pub(crate) const TEMPLATE: &str = "template_hash";

/// The key of the target's route.
pub(crate) fn route(settings: &Settings, home: &str) -> Option<String> {
    let route = Route::of(settings.route.as_deref()?).ok()?;
    Some(object::key(&route.named(), home))
}

/// Says of Services whether they are live ones, and takes the shares out of the route.
pub(crate) fn tell(state: &mut State, settings: &Settings) {
    if settings.layout == Layout::InPlace {
        return;
    }
    let route = route(settings, &settings.namespace);
    for (key, it) in &mut state.resources {
        if let Some(name) = key.strip_prefix("service/") {
            it.facts[SENDS] = json!(settings.service.iter().any(|live| live == name));
        }
        if Some(key) == route.as_ref() {
            router::normalise(it, &settings.service);
        }
    }
}

/// Says who has which share, where it is looked for.
pub(crate) fn tell_shares(state: &mut State) {
    let shares = traffic::shares(state);
    let by_weight = traffic::weights(state).map(|(key, _)| key.clone());
    let key = by_weight.or_else(|| traffic::senders(state).next().map(|(key, _)| key.clone()));
    if let Some(it) = key.and_then(|key| state.resources.get_mut(&key)) {
        it.facts["weights"] = json!(shares);
    }
}

/// Deployments by the hashes of their newest templates.
pub(crate) fn hashes(state: &State) -> BTreeMap<String, String> {
    let hashed = state.resources.iter().filter_map(|(key, it)| {
        let hash = it.facts[TEMPLATE].as_str()?;
        Some((hash.to_owned(), key.clone()))
    });
    hashed.collect()
}

/// A hash that a Service is pinned to, as states have it.
pub(crate) fn name_pin(resource: &mut Resource, hashes: &BTreeMap<String, String>) {
    let Some(pin) = resource.spec.pointer_mut(&format!("/spec/selector/{HASH}")) else {
        return;
    };
    if let Some(key) = pin.as_str().and_then(|hash| hashes.get(hash)) {
        *pin = json!(key);
    }
}

/// An object that is there, as it is in states, by what is known of others.
pub(crate) fn as_in_states(resource: &mut Resource, known: &State, services: &Value) {
    name_pin(resource, &hashes(known));
    if let Some(services) = services.as_array() {
        let services = services.iter().filter_map(Value::as_str).map(str::to_owned);
        router::normalise(resource, &services.collect::<Vec<_>>());
    }
}

/// An object of a state, as the cluster takes it. `live`: what is there of it.
///
/// # Errors
/// It cannot be said there, and why.
pub(crate) fn as_sent(
    object: &mut Value,
    wanted: &Resource,
    live: Option<&Value>,
    known: &State,
) -> Result<(), String> {
    if let Some(pin) = object.pointer_mut(&format!("/spec/selector/{HASH}")) {
        let key = pin.as_str().unwrap_or_default();
        if kinds::of_key(key).is_some() {
            let hash = known
                .resources
                .get(key)
                .map(|it| it.facts[TEMPLATE].clone());
            let hash = hash.filter(Value::is_string);
            *pin =
                hash.ok_or_else(|| format!("the platform has not said which pods are of {key}"))?;
        }
    }
    let Some(weights) = object.as_object_mut().and_then(|it| it.remove(WEIGHTS)) else {
        return Ok(());
    };
    let services = &wanted.facts[SERVICES];
    if wanted.facts[object::ONLY].is_string() {
        // The rules are somebody else's: as they are there, but for the shares.
        let mut there = object::bare(live.unwrap_or(&Value::Null));
        as_in_states(&mut there, known, services);
        object["spec"]["rules"] = there.spec["spec"]["rules"].clone();
    }
    router::expand(&mut object["spec"]["rules"], &weights, services)
}

/// The change that moves what is meant of somebody else's object. `object` is what is sent of one's own.
pub(crate) fn change(object: &Value, only: &str, live: &Value) -> Value {
    let version = live["metadata"]["resourceVersion"].clone();
    let mut spec = match only {
        WEIGHTS => json!({ "rules": object["spec"]["rules"] }),
        _ => {
            let mut selector = object["spec"]["selector"].clone();
            let there = live["spec"]["selector"].as_object().into_iter().flatten();
            for (name, _) in there {
                if selector[name].is_null() {
                    selector[name] = Value::Null;
                }
            }
            json!({ "selector": selector })
        }
    };
    json!({ "metadata": { "resourceVersion": version }, "spec": spec.take() })
}
