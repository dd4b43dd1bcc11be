//! The objects of a release that stands beside others: what runs has a name, a label and a selector of its own, and so has what
//! belongs to it; what sends traffic is pinned to that label. Pure.

use crate::router::{self, Route};
use crate::settings::{Layout, Settings};
use crate::{kinds, object, workload};
use belay_driver::Error;
use belay_model::error::Class;
use belay_model::state::{Health, Resource};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The label by which the pods of a group are known.
pub(crate) const LABEL: &str = "belay.dev/group";

/// The longest name that all kinds take.
const LONGEST: usize = 63;

/// What something is called in a group. Where that is too long, a digest stands for what is left out.
pub(crate) fn name(base: &str, group: &str) -> String {
    let room = LONGEST.saturating_sub(group.len() + 1);
    if base.len() <= room {
        return format!("{base}-{group}");
    }
    let digest = hex::encode(&Sha256::digest(base)[..4]);
    let mut kept = room.saturating_sub(digest.len() + 1);
    while !base.is_char_boundary(kept) {
        kept -= 1;
    }
    let kept = base[..kept].trim_end_matches(['-', '.']);
    format!("{kept}-{digest}-{group}")
}

/// The group that a name ends with, where it is what `base` is called in that group.
pub(crate) fn of_name<'a>(base: &str, name: &'a str) -> Option<&'a str> {
    let mut dashes = name.rmatch_indices('-').map(|(at, _)| at);
    let (_, at) = (dashes.next()?, dashes.next()?);
    let group = &name[at + 1..];
    (self::name(base, group) == name).then_some(group)
}

/// The objects of a target in a group.
pub(crate) fn lay_out(settings: &Settings, group: &str) -> Vec<Value> {
    let runs: Vec<&Value> = settings
        .objects
        .iter()
        .filter(|it| is_grouped(it))
        .collect();
    let objects = settings.objects.iter();
    let mut laid: Vec<Value> = objects
        .map(|it| in_group(it, settings, &runs, group))
        .collect();
    let live = settings
        .service
        .first()
        .and_then(|name| service(&settings.objects, name));
    if let (Some(name), Some(live)) = (&settings.preview, live)
        && service(&settings.objects, name).is_none()
    {
        laid.push(copy(live, name, group));
    }
    if settings.route.is_some() {
        let live = settings
            .service
            .iter()
            .filter_map(|it| service(&settings.objects, it));
        laid.extend(live.map(|it| {
            let name = name(named(it), group);
            let mut copy = copy(it, &name, group);
            copy["metadata"]["labels"] = json!({ LABEL: group });
            copy
        }));
    }
    laid
}

/// What sends traffic where releases stand side by side, as far as it is named.
pub(crate) fn senders(settings: &Settings) -> Vec<Value> {
    if settings.layout == Layout::InPlace {
        return Vec::new();
    }
    let services = settings.service.iter().chain(&settings.preview);
    let services = services
        .map(|name| json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name } }));
    let route = settings
        .route
        .as_deref()
        .and_then(|text| Route::of(text).ok());
    services.chain(route.map(|it| it.named())).collect()
}

/// What sends traffic to a group and is not the release's own: all that is meant of it is where it sends it.
pub(crate) fn foreign(settings: &Settings, group: &str) -> Vec<Resource> {
    let of = |named: Value, only: &str, spec: Value| {
        let mut facts = json!({ "apiVersion": named["apiVersion"], "kind": named["kind"], "name": named["metadata"]["name"] });
        facts[object::ONLY] = json!(only);
        Resource {
            spec,
            facts,
            health: Health::Unknown,
        }
    };
    let runs = settings.objects.iter().find(|it| is_grouped(it));
    let services = settings
        .service
        .iter()
        .filter(|name| service(&settings.objects, name).is_none());
    let services = services.map(|name| {
        let named = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name } });
        let labels = runs.map(|it| it["spec"]["selector"]["matchLabels"].clone());
        let mut selector = labels.unwrap_or_else(|| json!({}));
        selector[LABEL] = json!(group);
        of(
            named,
            "spec.selector",
            json!({ "spec": { "selector": selector } }),
        )
    });
    let route = settings
        .route
        .as_deref()
        .and_then(|text| Route::of(text).ok());
    let route = route.filter(|route| !settings.objects.iter().any(|it| route.is(it)));
    let route = route.map(|route| of(route.named(), router::WEIGHTS, json!({})));
    services.chain(route).collect()
}

/// Why releases of a target cannot stand side by side; none: they can.
///
/// # Errors
/// Just that.
pub(crate) fn possible(settings: &Settings) -> Result<(), Error> {
    if let Some(route) = &settings.route {
        Route::of(route)?;
    }
    let runs: Vec<&Value> = settings
        .objects
        .iter()
        .filter(|it| is_grouped(it))
        .collect();
    let why = why_not(settings, &runs);
    why.map_or(Ok(()), |why| {
        let message = format!("put releases side by side: {why}");
        Err(Error::not_applied(Class::Application, message))
    })
}

fn why_not(settings: &Settings, runs: &[&Value]) -> Option<String> {
    for it in &settings.objects {
        let key = || format!("{}/{}", text(&it["kind"]).to_lowercase(), named(it));
        match text(&it["kind"]) {
            "StatefulSet" if kinds::of(it).is_some() => {
                let why = "its volumes and the names of its pods cannot be there twice";
                return Some(format!("{}: {why}", key()));
            }
            "DaemonSet" if kinds::of(it).is_some() => {
                let why = "a node has one pod of it, and the ports of a node are taken once";
                return Some(format!("{}: {why}", key()));
            }
            _ => {}
        }
    }
    if settings.service.is_empty() {
        let word = match (&settings.preview, &settings.route) {
            (Some(_), _) => "a preview",
            (None, Some(_)) => "a route",
            (None, None) => return None,
        };
        return Some(format!("{word} needs the Service that users reach"));
    }
    if let Some(route) = settings
        .route
        .as_deref()
        .and_then(|text| Route::of(text).ok())
        && let Some(it) = settings.objects.iter().find(|it| route.is(it))
    {
        let mut resource = object::bare(it);
        router::normalise(&mut resource, &settings.service);
        if resource.spec[router::WEIGHTS].is_null() {
            let services = settings.service.join(", ");
            return Some(format!(
                "no rule of the route sends anything to the Service {services}"
            ));
        }
    }
    for name in &settings.service {
        match service(&settings.objects, name) {
            Some(it) if !runs.iter().any(|other| workload::is_served_by(it, other)) => {
                return Some(format!(
                    "service/{name} selects no Deployment of the release"
                ));
            }
            Some(_) => {}
            None if settings.route.is_some() => {
                return Some(format!(
                    "with a route the manifests have to have service/{name}: each group gets one like it"
                ));
            }
            None if settings.preview.is_some() && preview(settings).is_none() => {
                return Some(format!(
                    "a preview is made like service/{name}, and neither of them is in the manifests"
                ));
            }
            None if runs.len() != 1 => {
                return Some(format!(
                    "with several Deployments the manifests have to have service/{name}: its selector says which it is for"
                ));
            }
            None => {}
        }
    }
    None
}

fn in_group(it: &Value, settings: &Settings, runs: &[&Value], group: &str) -> Value {
    let mut object = it.clone();
    let called = named(it);
    match text(&it["kind"]) {
        "Deployment" if is_grouped(it) => {
            rename(&mut object, group);
            object["spec"]["selector"]["matchLabels"][LABEL] = json!(group);
            object["spec"]["template"]["metadata"]["labels"][LABEL] = json!(group);
        }
        "HorizontalPodAutoscaler" if runs.iter().any(|run| workload::is_scaled_by(it, run)) => {
            let scaled = text(&it["spec"]["scaleTargetRef"]["name"]);
            object["spec"]["scaleTargetRef"]["name"] = json!(name(scaled, group));
            rename(&mut object, group);
        }
        "PodDisruptionBudget"
            if runs
                .iter()
                .any(|run| is_selected(&it["spec"]["selector"], run)) =>
        {
            object["spec"]["selector"]["matchLabels"][LABEL] = json!(group);
            rename(&mut object, group);
        }
        "Service"
            if settings.service.iter().any(|it| it == called)
                || settings.preview.as_deref() == Some(called) =>
        {
            object["spec"]["selector"][LABEL] = json!(group);
        }
        _ => {}
    }
    object
}

fn rename(object: &mut Value, group: &str) {
    object["metadata"]["name"] = json!(name(named(object), group));
    object["metadata"]["labels"][LABEL] = json!(group);
}

/// A Service that reaches within the cluster what another one does, of one group.
fn copy(live: &Value, name: &str, group: &str) -> Value {
    let ports = live["spec"]["ports"].as_array().into_iter().flatten();
    let ports = ports.map(|it| {
        let mut port = it.clone();
        if let Some(fields) = port.as_object_mut() {
            fields.remove("nodePort");
        }
        port
    });
    let mut selector = live["spec"]["selector"].clone();
    selector[LABEL] = json!(group);
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
        "spec": { "selector": selector, "ports": ports.collect::<Vec<_>>() },
    })
}

/// Whether a label selector, as `matchLabels` have it, selects the pods of a workload.
fn is_selected(selector: &Value, run: &Value) -> bool {
    let labels = &run["spec"]["template"]["metadata"]["labels"];
    let wanted = selector["matchLabels"].as_object();
    wanted.is_some_and(|it| !it.is_empty() && it.iter().all(|(name, value)| labels[name] == *value))
}

fn preview(settings: &Settings) -> Option<&Value> {
    service(&settings.objects, settings.preview.as_deref()?)
}

pub(crate) fn service<'a>(objects: &'a [Value], name: &str) -> Option<&'a Value> {
    let is_it =
        |it: &&Value| it["kind"] == "Service" && it["apiVersion"] == "v1" && named(it) == name;
    objects.iter().find(is_it)
}

/// Whether an object has a name of its own in each group.
pub(crate) fn is_grouped(it: &Value) -> bool {
    it["kind"] == "Deployment" && kinds::of(it).is_some()
}

fn named(it: &Value) -> &str {
    text(&it["metadata"]["name"])
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests;
