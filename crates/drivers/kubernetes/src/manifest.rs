//! Objects as people write them.

use belay_driver::Error;
use belay_model::error::Class;
use serde_json::Value;

/// The objects of a manifest: YAML with any number of documents; lists are taken apart, empty documents left out.
///
/// # Errors
/// It is no YAML, or too much of it.
pub fn parse(text: &str) -> Result<Vec<Value>, Error> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| {
        Error::not_applied(Class::Application, format!("read the manifest: {error}"))
    })?;
    Ok(documents.into_iter().flat_map(objects).collect())
}

fn objects(document: Value) -> Vec<Value> {
    let is_list = document["kind"]
        .as_str()
        .is_some_and(|kind| kind.ends_with("List"));
    match document.get("items") {
        Some(Value::Array(items)) if is_list => items.clone(),
        _ => document
            .is_object()
            .then_some(document)
            .into_iter()
            .collect(),
    }
}
