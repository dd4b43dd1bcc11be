//! Manifests as a release has them: the same wherever it goes.

use super::error::Error;
use super::pods;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// One text with objects in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Where it comes from, for people: `k8s/api.yaml`.
    pub file: String,
    /// YAML with any number of documents.
    pub text: String,
}

/// Images instead of those that are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Images {
    /// Of the only container there is.
    pub only: Option<String>,
    /// By the name of the container, in whatever workload it is.
    pub named: BTreeMap<String, String>,
}

/// Kinds that hold something which no release brings back: data, or everything that is in them.
const KEEPS: [(&str, &str); 4] = [
    ("", "Namespace"),
    ("", "PersistentVolume"),
    ("", "PersistentVolumeClaim"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
];

/// What the server writes into objects, and people copy out of them.
const OF_THE_SERVER: [&str; 6] = [
    "creationTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];
/// Whole objects, values of secrets among them.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The objects of a release, in the order in which they are written.
///
/// # Errors
/// They are no objects, or none that a release may have.
pub fn read(manifests: &[Manifest]) -> Result<Vec<Value>, Error> {
    let mut objects = Vec::new();
    let mut seen: BTreeMap<(String, String, String), &str> = BTreeMap::new();
    for manifest in manifests {
        for object in parse(manifest)? {
            let title = pods::title(&object);
            let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
            let key = (
                pods::group(&object).to_owned(),
                title.clone(),
                namespace.to_owned(),
            );
            if let Some(first) = seen.insert(key, &manifest.file) {
                return Err(Error::Twice {
                    object: title,
                    first: first.to_owned(),
                    second: manifest.file.clone(),
                });
            }
            allowed(&object, &title)?;
            objects.push(object);
        }
    }
    if objects.is_empty() {
        return Err(Error::Nothing("object"));
    }
    if !objects.iter().any(pods::is_workload) {
        return Err(Error::Nothing("Deployment, StatefulSet or DaemonSet"));
    }
    Ok(objects)
}

/// As one document that `kubectl apply -f` takes.
pub fn to_list(objects: &[Value]) -> String {
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
    format!("{list:#}\n")
}

/// The objects of [`to_list`]; none: it is something else.
pub fn from_list(text: &str) -> Option<Vec<Value>> {
    let mut list: Value = serde_json::from_str(text).ok()?;
    match list["items"].take() {
        Value::Array(items) if list["kind"] == "List" => Some(items),
        _ => None,
    }
}

pub(super) fn parse(manifest: &Manifest) -> Result<Vec<Value>, Error> {
    // As kubectl reads it: a mode of files is written as 0644.
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    let documents = serde_saphyr::from_multiple_with_options(&manifest.text, options);
    let documents: Vec<Value> = documents.map_err(|error| Error::Syntax {
        file: manifest.file.clone(),
        why: error.to_string(),
    })?;
    let mut objects = Vec::new();
    for (number, document) in (1..).zip(documents) {
        for mut object in taken_apart(document) {
            if let Some(lacks) = lacks(&object) {
                return Err(Error::NoObject {
                    file: manifest.file.clone(),
                    number,
                    lacks,
                });
            }
            clean(&mut object);
            objects.push(object);
        }
    }
    Ok(objects)
}

/// Lists are taken apart, empty documents left out.
fn taken_apart(mut document: Value) -> Vec<Value> {
    let kind = document["kind"].as_str().unwrap_or_default();
    if document.is_null() {
        return Vec::new();
    }
    if kind.ends_with("List") && document["items"].is_array() {
        let items = document["items"].as_array_mut().map(std::mem::take);
        return items.into_iter().flatten().flat_map(taken_apart).collect();
    }
    vec![document]
}

fn lacks(object: &Value) -> Option<&'static str> {
    let has = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    let metadata = &object["metadata"];
    match () {
        () if !object.is_object() => Some("is no object"),
        () if !has(&object["apiVersion"]) => Some("has no apiVersion"),
        () if !has(&object["kind"]) => Some("has no kind"),
        () if !has(&metadata["name"]) && has(&metadata["generateName"]) => {
            Some("gets its name from the server (generateName), and nobody could find it again")
        }
        () if !has(&metadata["name"]) => Some("has no metadata.name"),
        () => None,
    }
}

fn clean(object: &mut Value) {
    let without = |fields: &mut Value, names: &[&str]| {
        let fields = fields.as_object_mut().into_iter();
        fields.for_each(|fields| fields.retain(|name, _| !names.contains(&name.as_str())));
    };
    without(object, &["status"]);
    let metadata = &mut object["metadata"];
    without(metadata, &OF_THE_SERVER);
    if let Some(annotations) = metadata.get_mut("annotations") {
        without(annotations, &[LAST_APPLIED]);
    }
}

fn allowed(object: &Value, title: &str) -> Result<(), Error> {
    let kind = object["kind"].as_str().unwrap_or_default();
    let group = pods::group(object);
    if KEEPS.contains(&(group, kind)) {
        return Err(Error::Keeps(title.to_owned()));
    }
    let has = |name: &str| {
        let values = object[name].as_object();
        values.is_some_and(|values| !values.is_empty())
    };
    if (group, kind) == ("", "Secret") && (has("data") || has("stringData")) {
        return Err(Error::SecretValue(title.to_owned()));
    }
    Ok(())
}

/// Gives containers of workloads other images.
///
/// # Errors
/// There is no such container, or it is not clear which.
pub fn replace(objects: &mut [Value], images: &Images) -> Result<(), Error> {
    let mut known = Vec::new();
    let mut served = Vec::new();
    for object in objects.iter_mut().filter(|it| pods::is_workload(it)) {
        for container in pods::spec_mut(object)
            .into_iter()
            .flat_map(pods::containers_mut)
        {
            let name = container["name"].as_str().unwrap_or_default().to_owned();
            if let Some(image) = images.named.get(&name) {
                container["image"] = json!(image);
                served.push(name.clone());
            }
            known.push(name);
        }
    }
    if let Some(name) = images.named.keys().find(|name| !served.contains(name)) {
        let name = name.clone();
        return Err(Error::NoContainer { name, known });
    }
    let Some(image) = &images.only else {
        return Ok(());
    };
    let mut only = Vec::new();
    for object in objects.iter_mut().filter(|it| pods::is_workload(it)) {
        // What prepares the others has images of its own.
        let spec = pods::spec_mut(object);
        let containers = spec.and_then(|spec| spec.get_mut("containers")?.as_array_mut());
        only.extend(containers.into_iter().flatten());
    }
    match only.as_mut_slice() {
        [container] => container["image"] = json!(image),
        several => {
            let name = |it: &&mut Value| it["name"].as_str().unwrap_or_default().to_owned();
            let known = several.iter().map(name).collect();
            return Err(Error::WhichContainer { known });
        }
    }
    Ok(())
}
