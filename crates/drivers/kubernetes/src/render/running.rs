//! What runs, without what an earlier release of it has added: what the next one starts from.

use super::pods;
use crate::kinds;
use serde_json::{Value, json};

/// Digits of a name by content.
const DIGITS: usize = 8;

/// A workload of which only the name is known, `deployment/api`; none: it is no such name.
pub fn named(workload: &str) -> Option<Value> {
    let (kind, name) = workload.split_once('/')?;
    Some(json!({
        "apiVersion": kinds::API, "kind": kinds::named(kind)?.name(), "metadata": { "name": name },
        "spec": { "template": { "spec": { "containers": [] } } },
    }))
}

/// Takes the references to a service's own settings and secrets out of the containers of a workload.
pub fn without_settings(object: &mut Value, service: &str) {
    let own = ["config", "secrets"].map(|what| format!("{service}-{what}-"));
    let is_own = |source: &Value| {
        let names = ["configMapRef", "secretRef"].map(|kind| source[kind]["name"].as_str());
        names.into_iter().flatten().any(|name| {
            let digits = own.iter().find_map(|it| name.strip_prefix(it.as_str()));
            digits
                .is_some_and(|it| it.len() == DIGITS && it.bytes().all(|it| it.is_ascii_hexdigit()))
        })
    };
    let spec = pods::spec_mut(object).into_iter();
    for container in spec.flat_map(pods::containers_mut) {
        let Some(sources) = container.get_mut("envFrom").and_then(Value::as_array_mut) else {
            continue;
        };
        sources.retain(|source| !is_own(source));
        if sources.is_empty()
            && let Some(fields) = container.as_object_mut()
        {
            fields.remove("envFrom");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_release_added_goes_and_all_else_stays() {
        let workload = |sources: Value| {
            json!({ "apiVersion": "apps/v1", "kind": "Deployment", "spec": { "template": { "spec": { "containers": [
                { "name": "api", "envFrom": sources }
            ] } } } })
        };
        let theirs = [
            json!({ "configMapRef": { "name": "api-config" } }),
            json!({ "configMapRef": { "name": "api-config-extra" } }),
            json!({ "secretRef": { "name": "other-secrets-1a2b3c4d" } }),
        ];
        let own = [
            json!({ "configMapRef": { "name": "api-config-1a2b3c4d" } }),
            json!({ "secretRef": { "name": "api-secrets-00ff00ff" } }),
        ];
        let mut object = workload(json!([&theirs[..], &own[..]].concat()));
        without_settings(&mut object, "api");
        assert_eq!(object, workload(json!(theirs)));

        let mut object = workload(json!(own));
        without_settings(&mut object, "api");
        let container = &object["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container, &json!({ "name": "api" }));
    }
}
