//! What the server fills in in objects of kinds that are not its own, by their schemas. Ownership does not tell: most of their lists
//! are owned as a whole, by whoever said the list, with all that was filled in in their items.
//!
//! The format is that of `/openapi/v3`, which every account may read unless somebody took that away; where it may not, or the
//! kind's author fills in by a webhook, what was filled in counts as said.

use crate::builtin;
use crate::cluster::Cluster;
use crate::compare::flatten;
use belay_driver::Error;
use belay_model::state::Resource;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a schema counts as known: somebody may install a newer one at any time.
const KNOWN: Duration = Duration::from_secs(60);

/// By `apiVersion` and `kind`.
type Known = BTreeMap<(String, String), (Instant, Arc<Schema>)>;

/// Those that somebody asked for.
#[derive(Default)]
pub(crate) struct Schemas(Mutex<Known>);

impl Schemas {
    /// That of an object's kind; nothing is filled in where nobody may know it.
    pub(crate) async fn of(&self, cluster: &Cluster, object: &Value) -> Result<Arc<Schema>, Error> {
        let text = |name: &str| object[name].as_str().unwrap_or_default();
        let (version, kind) = (text("apiVersion"), text("kind"));
        if builtin::kind(version, kind).is_some() || !version.contains('/') {
            return Ok(Arc::default());
        }
        let key = (version.to_owned(), kind.to_owned());
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known().get(&key).cloned();
        if let Some((_, schema)) = found.filter(|(since, _)| since.elapsed() < KNOWN) {
            return Ok(schema);
        }
        let document = cluster.openapi(version).await?;
        let schema = document.map(|it| Schema::of(&it, version, kind));
        let schema = Arc::new(schema.unwrap_or_default());
        known().insert(key, (Instant::now(), schema.clone()));
        Ok(schema)
    }
}

/// What is filled in below one place of an object.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Schema {
    default: Option<Value>,
    fields: BTreeMap<String, Schema>,
    /// In each item of a list, and in each value of a map.
    each: Option<Box<Schema>>,
}

impl Schema {
    /// That of a kind, of an OpenAPI document of its group and version.
    fn of(document: &Value, version: &str, kind: &str) -> Self {
        let is_it = |it: &&Value| {
            let mut kinds = it["x-kubernetes-group-version-kind"]
                .as_array()
                .into_iter()
                .flatten();
            kinds.any(|it| {
                let text = |name: &str| it[name].as_str().unwrap_or_default();
                it["kind"] == kind && format!("{}/{}", text("group"), text("version")) == version
            })
        };
        let all = document["components"]["schemas"].as_object();
        let found = all.and_then(|all| all.values().find(is_it));
        let mut schema = found.map(Self::read).unwrap_or_default();
        // The same for all kinds, and kept apart by who said it.
        schema.fields.remove("metadata");
        schema
    }

    fn read(schema: &Value) -> Self {
        let fields = schema["properties"].as_object().into_iter().flatten();
        let fields = fields.map(|(name, it)| (name.clone(), Self::read(it)));
        let each = ["items", "additionalProperties"].into_iter();
        let each = each.filter_map(|name| schema.get(name));
        let each = each.map(Self::read).find(|it| !it.is_empty());
        Self {
            default: schema.get("default").cloned(),
            fields: fields.filter(|(_, it)| !it.is_empty()).collect(),
            each: each.map(Box::new),
        }
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Counts as filled in what is there just as the server would have filled it in.
    pub(crate) fn leave_out(&self, resource: &mut Resource) {
        if self.is_empty() {
            return;
        }
        let mut filled = flatten(&resource.spec);
        resource.spec = self.without(&resource.spec);
        let left = flatten(&resource.spec);
        filled.retain(|path, _| !left.contains_key(path));
        for (path, value) in filled {
            resource.facts["filled_in"][path] = value;
        }
    }

    /// A value without what would be filled in in it. What is left empty stays: that it is there was said.
    fn without(&self, value: &Value) -> Value {
        match value {
            Value::Object(object) => {
                let left = object.iter().filter_map(|(name, inner)| {
                    let Some(schema) = self.fields.get(name).or(self.each.as_deref()) else {
                        return Some((name.clone(), inner.clone()));
                    };
                    let left = schema.without(inner);
                    let goes_without_saying = |it: &Value| schema.without(it) == left;
                    let is_said = !schema.default.as_ref().is_some_and(goes_without_saying);
                    is_said.then(|| (name.clone(), left))
                });
                Value::Object(left.collect())
            }
            Value::Array(items) => match &self.each {
                Some(each) => items.iter().map(|item| each.without(item)).collect(),
                None => value.clone(),
            },
            scalar => scalar.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use belay_model::state::Health;
    use serde_json::json;

    /// As the Gateway API's own schema has it, and shorter.
    fn route() -> Schema {
        let reference = json!({ "type": "object", "properties": {
            "group": { "type": "string", "default": "" }, "kind": { "type": "string", "default": "Service" },
            "name": { "type": "string" }, "weight": { "type": "integer", "default": 1 } } });
        let path = json!({ "type": "object", "default": { "type": "PathPrefix", "value": "/" }, "properties": {
            "type": { "type": "string", "default": "PathPrefix" }, "value": { "type": "string", "default": "/" } } });
        let rule = json!({ "type": "object", "properties": {
            "backendRefs": { "type": "array", "items": reference },
            "matches": { "type": "array", "default": [{ "path": { "type": "PathPrefix", "value": "/" } }],
                "items": { "type": "object", "properties": { "path": path } } } } });
        let kind = json!({ "group": "example.org", "version": "v1", "kind": "Route" });
        let schema = json!({ "x-kubernetes-group-version-kind": [kind], "properties": {
            "metadata": { "default": {} },
            "spec": { "properties": { "rules": { "type": "array", "items": rule } } } } });
        let document = json!({ "components": { "schemas": { "Route": schema } } });
        assert!(Schema::of(&document, "example.org/v2", "Route").is_empty());
        assert!(Schema::of(&document, "example.org/v1", "Other").is_empty());
        Schema::of(&document, "example.org/v1", "Route")
    }

    fn check(there: &Value, said: &Value) {
        let rules = |rules: &Value| json!({ "spec": { "rules": rules } });
        let mut resource = Resource {
            spec: rules(there),
            facts: json!({}),
            health: Health::Unknown,
        };
        let all = flatten(&resource.spec);
        route().leave_out(&mut resource);
        assert_eq!(resource.spec, rules(said));
        // Nothing of it is lost.
        let mut both = flatten(&resource.spec);
        both.retain(|_, value| *value != json!({}));
        let filled = resource.facts["filled_in"].as_object().cloned();
        both.extend(filled.into_iter().flatten());
        assert_eq!(both, all);
    }

    #[test]
    fn what_is_filled_in_counts_as_not_said() {
        let filled = json!({ "group": "", "kind": "Service", "name": "api", "weight": 1 });
        let everywhere = json!([{ "path": { "type": "PathPrefix", "value": "/" } }]);
        check(
            &json!([{ "backendRefs": [filled], "matches": everywhere }]),
            &json!([{ "backendRefs": [{ "name": "api" }] }]),
        );
    }

    #[test]
    fn what_is_other_than_that_was_said() {
        let other = json!([{ "backendRefs": [{ "name": "api", "weight": 0 }],
            "matches": [{ "path": { "value": "/a" } }] }]);
        check(&other, &other);
    }

    #[test]
    fn an_item_more_is_seen_whatever_is_in_it() {
        let everywhere = json!({ "path": { "type": "PathPrefix", "value": "/" } });
        let two = json!([{ "matches": [{ "path": { "value": "/a" } }, everywhere] }]);
        let left = json!([{ "matches": [{ "path": { "value": "/a" } }, {}] }]);
        check(&two, &left);
    }
}
