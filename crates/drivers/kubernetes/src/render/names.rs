//! Names by content. A ConfigMap that pods read is another one as soon as anything in it is: pods of the release before go
//! on reading theirs, and a way back finds it as it was. What no pod of the release refers to keeps its name, as whoever reads it
//! knows it by that.

use super::pods;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Longest name of an object (RFC 1123 subdomains).
const LONGEST: usize = 253;

/// Gives every ConfigMap that pods refer to a name by its content, there and where it is referred to.
pub(super) fn by_content(objects: &mut [Value]) {
    let mut read = BTreeSet::new();
    each_reference(objects, &mut |kind, name| {
        if kind == "ConfigMap" {
            read.insert(name.clone());
        }
    });
    let mut names = BTreeMap::new();
    for object in objects.iter_mut() {
        let is_one = object["kind"] == "ConfigMap" && object["apiVersion"] == "v1";
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        if is_one && read.contains(name) {
            let new = named(name, object);
            names.insert(name.to_owned(), new.clone());
            object["metadata"]["name"] = json!(new);
        }
    }
    each_reference(objects, &mut |kind, name| {
        if let Some(new) = names.get(name).filter(|_| kind == "ConfigMap") {
            name.clone_from(new);
        }
    });
}

fn each_reference(objects: &mut [Value], visit: &mut dyn FnMut(&'static str, &mut String)) {
    for spec in objects.iter_mut().filter_map(pods::spec_mut) {
        pods::references(spec, visit);
    }
}

/// `NAME-1a2b3c4d`, by all that is in the object but its name.
pub(super) fn named(name: &str, object: &Value) -> String {
    let mut content = object.clone();
    if let Some(metadata) = content["metadata"].as_object_mut() {
        metadata.remove("name");
    }
    let mut hash = Sha256::new();
    digest(&content, &mut hash);
    let hash = hex::encode(hash.finalize());
    let most = LONGEST - 9;
    let name = name.get(..most).unwrap_or(name);
    format!("{name}-{}", &hash[..8])
}

/// The same for the same content, in whatever order its keys are.
fn digest(value: &Value, hash: &mut Sha256) {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> = fields.iter().collect();
            hash.update(b"{");
            for (name, field) in fields {
                hash.update(json!(name).to_string());
                digest(field, hash);
            }
            hash.update(b"}");
        }
        Value::Array(items) => {
            hash.update(b"[");
            items.iter().for_each(|item| digest(item, hash));
            hash.update(b"]");
        }
        scalar => {
            hash.update(scalar.to_string());
            hash.update(b",");
        }
    }
}
