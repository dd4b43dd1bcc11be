//! What pods of an earlier template are given: ConfigMaps and Secrets keep their names and change their contents, and the
//! platform keeps nothing of what they were.

use crate::cluster::{Cluster, Name};
use crate::history::moment;
use crate::pods::text;
use crate::workload::references;
use belay_driver::Error;
use belay_model::error::Class;
use serde_json::Value;

/// Something that pods are given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// `configmap/NAME`, `secret/NAME`.
    pub key: String,
    /// What became of it.
    pub was: Was,
}

/// What became of it since then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Was {
    /// Nobody has changed it.
    Kept,
    /// It was made or changed since, Unix microseconds, by whom.
    Changed {
        /// When last.
        at_us: i64,
        /// Who.
        by: String,
    },
    /// It is not there, and pods do not start without it.
    Gone,
    /// It may not be looked at.
    Unseen,
}

pub(super) async fn given(
    cluster: &Cluster,
    home: &str,
    template: &Value,
    since_us: Option<i64>,
) -> Result<Vec<Given>, Error> {
    let mut given = Vec::new();
    for (kind, name) in references(template) {
        let found = cluster.get(Name {
            api_version: "v1",
            kind,
            namespace: home,
            name: &name,
        });
        let was = match found.await {
            Ok(Some(found)) => became(&found, since_us),
            Ok(None) if is_optional(&template["spec"], &name) => continue,
            Ok(None) => Was::Gone,
            Err(error) if error.class == Class::Authorisation => Was::Unseen,
            Err(error) => return Err(error),
        };
        let key = format!("{}/{name}", kind.to_lowercase());
        given.push(Given { key, was });
    }
    Ok(given)
}

/// By the last of its own times.
fn became(found: &Value, since_us: Option<i64>) -> Was {
    let metadata = &found["metadata"];
    let managed = metadata["managedFields"].as_array().into_iter().flatten();
    let written = managed.filter_map(|it| Some((moment(&it["time"])?, text(&it["manager"]))));
    let made = moment(&metadata["creationTimestamp"]).map(|at| (at, "its maker".to_owned()));
    match made.into_iter().chain(written).max() {
        Some((at_us, by)) if since_us.is_some_and(|since| at_us > since) => {
            Was::Changed { at_us, by }
        }
        _ => Was::Kept,
    }
}

/// Every place that names it says that it may be missing.
fn is_optional(value: &Value, name: &str) -> bool {
    match value {
        Value::Object(fields) => {
            let names = fields.get("name").or(fields.get("secretName"));
            let is_reference = names.is_some_and(|it| it == name)
                && !fields.contains_key("image")
                && !fields.contains_key("mountPath");
            let is_source = ["optional", "key", "items", "defaultMode", "secretName"];
            let says = is_reference
                && (fields.len() == 1 || is_source.iter().any(|it| fields.contains_key(*it)));
            (!says || fields.get("optional") == Some(&Value::Bool(true)))
                && fields.values().all(|it| is_optional(it, name))
        }
        Value::Array(items) => items.iter().all(|it| is_optional(it, name)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_may_be_missing_says_so_in_every_place() {
        let volume = |optional: bool| json!({ "volumes": [{ "name": "files", "configMap": { "name": "files", "optional": optional } }] });
        assert!(is_optional(&volume(true), "files"));
        assert!(!is_optional(&volume(false), "files"));
        let both = json!({
            "containers": [{ "name": "app", "image": "app:1", "envFrom": [{ "configMapRef": { "name": "files" } }] }],
            "volumes": [{ "name": "x", "configMap": { "name": "files", "optional": true } }],
        });
        assert!(!is_optional(&both, "files"));
    }

    #[test]
    fn what_was_written_since_was_changed() {
        let at = |time: &str| {
            json!({ "metadata": {
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "managedFields": [{ "manager": "kubectl-edit", "time": time }],
        } })
        };
        let since = moment(&json!("2026-01-02T00:00:00Z"));
        assert_eq!(became(&at("2026-01-01T10:00:00Z"), since), Was::Kept);
        let later = became(&at("2026-01-03T00:00:00Z"), since);
        assert!(matches!(later, Was::Changed { by, .. } if by == "kubectl-edit"));
    }
}
