//! A release in one environment.

use super::error::Error;
use super::{names, pods};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The most that the objects of all targets of a record may be, as JSON, bytes: an event of the journal holds 1 MiB, and the largest (a plan
/// that takes over from another) holds them about ten times: three records, each as it is written and as it is found, and the steps.
pub const MAX_BYTES: usize = 80 * 1024;

/// What an environment lays over a release.
#[derive(Clone, Debug, Default)]
pub struct Overlay {
    /// What its own objects are called after.
    pub service: String,
    /// Where it goes.
    pub namespace: String,
    /// Its workloads in order; empty: as they are written.
    pub workloads: Vec<String>,
    /// Settings, as environment variables by name.
    pub config: BTreeMap<String, String>,
    /// Secrets, as environment variables by name: for each the keyed digest of its value (HMAC-SHA256 in lower-case hex).
    pub secrets: BTreeMap<String, String>,
}

/// Objects as a record has them.
#[derive(Clone, Debug, PartialEq)]
pub struct Laid {
    /// All of them. A Secret that the driver has to fill has `hmac:` and half a digest in the place of each value, as
    /// states do; the value is in the material of the call, by the same name.
    pub objects: Vec<Value>,
    /// Workloads in the order in which they are rolled out: `deployment/api`.
    pub workloads: Vec<String>,
    /// What the objects are as JSON, bytes.
    pub bytes: usize,
}

/// Makes a record's objects of a release's; they may be `most` bytes as JSON.
///
/// # Errors
/// The environment and the release do not fit.
pub fn lay_out(release: &[Value], overlay: &Overlay, most: usize) -> Result<Laid, Error> {
    let mut objects = release.to_vec();
    for object in &mut objects {
        at_home(object, &overlay.namespace)?;
    }
    let workloads = ordered(&objects, &overlay.workloads)?;
    for name in overlay.config.keys().chain(overlay.secrets.keys()) {
        is_key(name)?;
    }
    names::by_content(&mut objects);
    let own = own(overlay);
    for object in objects.iter_mut().filter(|it| pods::is_workload(it)) {
        for container in pods::spec_mut(object)
            .into_iter()
            .flat_map(pods::containers_mut)
        {
            give(container, overlay, &own);
        }
    }
    let objects = [own, objects].concat();
    let bytes = json!(objects).to_string().len();
    if bytes > most {
        return Err(Error::TooLarge { bytes, most });
    }
    Ok(Laid {
        objects,
        workloads,
        bytes,
    })
}

/// The namespace is the target's to say, so that a release is the same in each.
fn at_home(object: &mut Value, home: &str) -> Result<(), Error> {
    match object["metadata"]["namespace"].as_str() {
        Some(says) if says != home => Err(Error::Namespace {
            object: pods::title(object),
            says: says.to_owned(),
            target: home.to_owned(),
        }),
        _ => {
            if let Some(metadata) = object["metadata"].as_object_mut() {
                metadata.remove("namespace");
            }
            Ok(())
        }
    }
}

/// Every workload has its turn: one that nobody named would be changed, and nobody would wait for it.
fn ordered(objects: &[Value], named: &[String]) -> Result<Vec<String>, Error> {
    let there = objects.iter().filter(|it| pods::is_workload(it));
    let there: Vec<String> = there.map(pods::title).collect();
    if named.is_empty() {
        return Ok(there);
    }
    if let Some(name) = named.iter().find(|name| !there.contains(name)) {
        return Err(Error::NoWorkload {
            name: name.clone(),
            known: there,
        });
    }
    match there.into_iter().find(|name| !named.contains(name)) {
        Some(left_out) => Err(Error::Unordered(left_out)),
        None => Ok(named.to_vec()),
    }
}

/// What keys of ConfigMaps and Secrets are made of.
fn is_key(name: &str) -> Result<(), Error> {
    let is_allowed = |it: char| it.is_ascii_alphanumeric() || "-_.".contains(it);
    match !name.is_empty() && name.chars().all(is_allowed) {
        true => Ok(()),
        false => Err(Error::Variable(name.to_owned())),
    }
}

/// The objects that hold settings and secrets, where there are any.
fn own(overlay: &Overlay) -> Vec<Value> {
    let object = |kind: &str, name: &str, data: Value| {
        let mut object = json!({ "apiVersion": "v1", "kind": kind, "metadata": {}, "data": data });
        object["metadata"]["name"] = json!(names::named(name, &object));
        object
    };
    let mut own = Vec::new();
    let service = &overlay.service;
    if !overlay.config.is_empty() {
        let data = json!(overlay.config);
        own.push(object("ConfigMap", &format!("{service}-config"), data));
    }
    if !overlay.secrets.is_empty() {
        let half = |digest: &String| format!("hmac:{}", digest.get(..32).unwrap_or(digest));
        let data: BTreeMap<_, _> = overlay.secrets.iter().map(|(k, v)| (k, half(v))).collect();
        own.push(object("Secret", &format!("{service}-secrets"), json!(data)));
    }
    own
}

/// Environment variables from our own objects. What belay.yaml says goes before what the manifests say of the same name,
/// and a variable by itself would go before one that comes with others.
fn give(container: &mut Value, overlay: &Overlay, own: &[Value]) {
    if own.is_empty() {
        return;
    }
    if let Some(env) = container.get_mut("env").and_then(Value::as_array_mut) {
        env.retain(|one| {
            let name = one["name"].as_str().unwrap_or_default();
            !overlay.config.contains_key(name) && !overlay.secrets.contains_key(name)
        });
    }
    if !container["envFrom"].is_array() {
        container["envFrom"] = json!([]);
    }
    let reference = |object: &Value| {
        let key = match object["kind"] == "ConfigMap" {
            true => "configMapRef",
            false => "secretRef",
        };
        json!({ key: { "name": object["metadata"]["name"] } })
    };
    if let Some(list) = container["envFrom"].as_array_mut() {
        list.extend(own.iter().map(reference));
    }
}
