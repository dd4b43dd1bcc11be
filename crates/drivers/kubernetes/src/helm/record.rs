//! Helm's own records: one Secret per revision, `sh.helm.release.v1.NAME.vN`, with gzipped JSON in base64.

use super::chart::marked;
use crate::cluster::{Cluster, List, Name};
use crate::digests::Digests;
use crate::manifest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use belay_driver::Error;
use belay_model::error::Class;
use belay_model::state::{Health, Resource};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::{Read, Write};

/// A record has at most 1 MiB in its Secret; its contents may be much longer, and not without end.
const LONGEST: u64 = 64 << 20;

/// One revision of a release, as helm keeps it; what is not needed is left out.
#[derive(Debug, Deserialize)]
pub(crate) struct Record {
    pub(crate) name: String,
    namespace: String,
    pub(crate) version: u32,
    #[serde(default)]
    manifest: String,
    /// The values that somebody gave.
    #[serde(default)]
    config: Value,
    pub(crate) info: Info,
    pub(crate) chart: Chart,
    #[serde(default)]
    pub(crate) hooks: Vec<Value>,
    /// How helm 4 sends it: `ssa` on the server, `csa` as helm 3 does. Absent: helm 3 made it.
    #[serde(default)]
    pub(crate) apply_method: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Info {
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) description: String,
    #[serde(default)]
    pub(crate) last_deployed: Value,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Chart {
    pub(crate) metadata: Value,
}

/// The name of the Secret that holds a revision.
pub(crate) fn secret_name(release: &str, revision: u32) -> String {
    format!("sh.helm.release.v1.{release}.v{revision}")
}

/// A revision as far as it is known without its contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) revision: u32,
    pub(crate) status: String,
    /// Of its Secret.
    pub(crate) uid: String,
    /// When its Secret was made, Unix microseconds, by the server's clock.
    pub(crate) since_us: i64,
}

/// Revisions of a release, oldest first.
pub(crate) async fn revisions(
    cluster: &Cluster,
    namespace: &str,
    release: &str,
) -> Result<Vec<Listed>, Error> {
    let labels = format!("owner=helm,name={release}");
    let secrets = List {
        labels: &labels,
        ..List::of("v1", "Secret", namespace)
    };
    let secrets = cluster.headers(secrets).await?;
    let listed = |it: &ObjectMeta| {
        let label = |name: &str| it.labels.as_ref()?.get(name).cloned();
        let since = it.creation_timestamp.as_ref();
        Some(Listed {
            revision: label("version")?.parse().ok()?,
            status: label("status").unwrap_or_default(),
            uid: it.uid.clone().unwrap_or_default(),
            since_us: since.map_or(0, |it| it.0.as_microsecond()),
        })
    };
    let mut revisions: Vec<Listed> = secrets.iter().filter_map(listed).collect();
    revisions.sort_by_key(|it| it.revision);
    Ok(revisions)
}

/// The record of a revision; none: it was never there, or helm has forgotten it.
pub(crate) async fn record(
    cluster: &Cluster,
    namespace: &str,
    release: &str,
    revision: u32,
) -> Result<Option<Record>, Error> {
    let secret = secret(cluster, namespace, release, revision).await?;
    secret.as_ref().map(read).transpose()
}

/// The Secret of a revision.
pub(crate) async fn secret(
    cluster: &Cluster,
    namespace: &str,
    release: &str,
    revision: u32,
) -> Result<Option<Value>, Error> {
    let name = secret_name(release, revision);
    let secret = cluster.get(Name {
        api_version: "v1",
        kind: "Secret",
        namespace,
        name: &name,
    });
    secret.await
}

/// The record in a Secret.
pub(crate) fn read(secret: &Value) -> Result<Record, Error> {
    let record = serde_json::from_value(whole(secret)?);
    record.map_err(|error| unreadable(secret, &error.to_string()))
}

/// All that it says.
pub(crate) fn whole(secret: &Value) -> Result<Value, Error> {
    decode(&secret["data"]["release"]).map_err(|why| unreadable(secret, &why))
}

fn unreadable(secret: &Value, why: &str) -> Error {
    let name = secret["metadata"]["name"].as_str().unwrap_or_default();
    let message = format!("read the release record {name}: {why}");
    Error::not_applied(Class::Unknown, message)
}

/// The contents of the same record with another status, as a Secret has them.
pub(crate) fn with_status(secret: &Value, status: &str, words: &str) -> Result<String, Error> {
    let changed = decode(&secret["data"]["release"]).and_then(|mut record| {
        record["info"]["status"] = json!(status);
        record["info"]["description"] = json!(words);
        encode(&record)
    });
    changed.map_err(|why| unreadable(secret, &why))
}

fn encode(record: &Value) -> Result<String, String> {
    let mut zipped = GzEncoder::new(Vec::new(), Compression::best());
    zipped
        .write_all(record.to_string().as_bytes())
        .map_err(|e| e.to_string())?;
    let zipped = zipped.finish().map_err(|e| e.to_string())?;
    Ok(STANDARD.encode(STANDARD.encode(zipped)))
}

fn decode(data: &Value) -> Result<Value, String> {
    // Once by the API server, and once by helm.
    let once = STANDARD
        .decode(data.as_str().unwrap_or_default())
        .map_err(|e| e.to_string())?;
    let zipped = STANDARD.decode(once).map_err(|e| e.to_string())?;
    let mut text = Vec::new();
    let reader = GzDecoder::new(zipped.as_slice()).take(LONGEST);
    { reader }
        .read_to_end(&mut text)
        .map_err(|e| e.to_string())?;
    serde_json::from_slice(&text).map_err(|e| e.to_string())
}

impl Record {
    /// The objects of its manifest, with the marks that helm puts on each.
    pub(crate) fn objects(&self) -> Result<Vec<Value>, Error> {
        let objects = manifest::parse(&self.manifest)?;
        Ok(marked(objects, &self.name, &self.namespace))
    }

    /// Its hooks, as they are written.
    pub(crate) fn hook_objects(&self) -> Result<Vec<Value>, Error> {
        let texts = self.hooks.iter().filter_map(|it| it["manifest"].as_str());
        let parsed: Result<Vec<Vec<Value>>, Error> = texts.map(manifest::parse).collect();
        Ok(parsed?.concat())
    }

    /// Nothing of it is left but the record.
    pub(crate) fn is_uninstalled(&self) -> bool {
        self.info.status == "uninstalled"
    }

    /// What it made is what runs, as far as helm knows. A revision is superseded once another has taken its place.
    pub(crate) fn was_deployed(&self) -> bool {
        was_deployed(&self.info.status)
    }

    /// A client is at work on it, or was killed there.
    pub(crate) fn is_pending(&self) -> bool {
        self.info.status.starts_with("pending-")
    }

    /// `NAME-VERSION` of its chart.
    pub(crate) fn chart_name(&self) -> String {
        let text = |name: &str| self.chart.metadata[name].as_str().unwrap_or_default();
        format!("{}-{}", text("name"), text("version"))
    }

    /// The release as this revision made it. Its values may hold secrets anywhere, so that only their digests are told.
    pub(crate) fn resource(&self, digests: &Digests) -> Resource {
        let mut values = match &self.config {
            Value::Null => json!({}),
            given => given.clone(),
        };
        digests.hide(&mut values);
        let hooks: Vec<&Value> = self.hooks.iter().map(|hook| &hook["name"]).collect();
        Resource {
            spec: json!({
                "chart": self.chart_name(),
                "app_version": self.chart.metadata["appVersion"],
                "values": values,
                "status": DEPLOYED,
            }),
            facts: json!({
                "revision": self.version, "description": self.info.description,
                "last_deployed": self.info.last_deployed, "hooks": hooks, "belongs": true,
                "record": record_of(&self.info.description),
            }),
            health: Health::Unknown,
        }
    }

    /// Whether it is as its client left it, and went well.
    pub(crate) fn health(&self) -> Health {
        let Info {
            status,
            description,
            last_deployed,
        } = &self.info;
        match status.as_str() {
            DEPLOYED => Health::Healthy,
            status if self.is_pending() => {
                let since = last_deployed.as_str().unwrap_or("an unknown time");
                Health::Unhealthy(format!(
                    "{status} since {since}: a client is at work on revision {}, or was killed there",
                    self.version
                ))
            }
            status => Health::Unhealthy(format!("{status}: {description}")),
        }
    }
}

/// What a release is called that is as it should be.
pub(crate) const DEPLOYED: &str = "deployed";

pub(crate) fn was_deployed(status: &str) -> bool {
    matches!(status, DEPLOYED | "superseded")
}

/// What a revision that we make says of itself, so that its record is known again.
pub(crate) fn mark(deployment: &str, epoch: u64, record: &str) -> String {
    format!("by belay: deployment {deployment}, worker {epoch}, record {record}")
}

fn record_of(description: &str) -> Option<&str> {
    let (_, record) = description
        .strip_prefix("by belay: ")?
        .rsplit_once("record ")?;
    Some(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_status_is_all_that_changes() {
        let record = json!({ "name": "shop", "namespace": "n", "version": 3, "manifest": "a: 1",
            "info": { "status": "pending-upgrade", "description": "Preparing upgrade" },
            "chart": { "metadata": { "name": "shop", "version": "1.2.3" } } });
        let secret = json!({ "data": { "release": encode(&record).unwrap() } });
        let changed = with_status(&secret, "failed", "freed").unwrap();
        let changed = decode(&json!(changed)).unwrap();
        let mut expect = record;
        expect["info"] = json!({ "status": "failed", "description": "freed" });
        assert_eq!(changed, expect);
    }

    #[test]
    fn a_mark_is_read_again() {
        assert_eq!(record_of(&mark("dep_1", 3, "abcd")), Some("abcd"));
        assert_eq!(record_of("Upgrade complete"), None);
    }
}
