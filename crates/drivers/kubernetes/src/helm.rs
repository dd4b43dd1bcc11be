//! Helm's own records: one Secret per revision, `sh.helm.release.v1.NAME.vN`, with gzipped JSON in base64.

use crate::cluster::{Cluster, List, Name};
use crate::digests::Digests;
use crate::manifest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use belay_driver::Error;
use belay_model::error::Class;
use belay_model::state::{Health, Resource};
use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Read;

/// A record has at most 1 MiB in its Secret; its contents may be much longer, and not without end.
const LONGEST: u64 = 64 << 20;

/// One revision of a release, as helm keeps it; what is not needed is left out.
#[derive(Debug, Deserialize)]
pub(crate) struct Record {
    name: String,
    namespace: String,
    pub(crate) version: u32,
    #[serde(default)]
    manifest: String,
    /// The values that somebody gave.
    #[serde(default)]
    config: Value,
    info: Info,
    chart: Chart,
    #[serde(default)]
    hooks: Vec<Value>,
}

#[derive(Debug, Deserialize)]
struct Info {
    status: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    last_deployed: Value,
}

#[derive(Debug, Deserialize)]
struct Chart {
    metadata: Value,
}

/// Revisions of a release with their statuses, oldest first.
pub(crate) async fn revisions(
    cluster: &Cluster,
    namespace: &str,
    release: &str,
) -> Result<Vec<(u32, String)>, Error> {
    let labels = format!("owner=helm,name={release}");
    let secrets = List {
        labels: &labels,
        ..List::of("v1", "Secret", namespace)
    };
    let secrets = cluster.labels(secrets).await?;
    let revision = |labels: &BTreeMap<String, String>| {
        let status = labels.get("status").cloned().unwrap_or_default();
        Some((labels.get("version")?.parse().ok()?, status))
    };
    let mut revisions: Vec<_> = secrets.iter().filter_map(revision).collect();
    revisions.sort();
    Ok(revisions)
}

/// The record of a revision; none: it was never there, or helm has forgotten it.
pub(crate) async fn record(
    cluster: &Cluster,
    namespace: &str,
    release: &str,
    revision: u32,
) -> Result<Option<Record>, Error> {
    let name = format!("sh.helm.release.v1.{release}.v{revision}");
    let secret = cluster.get(Name {
        api_version: "v1",
        kind: "Secret",
        namespace,
        name: &name,
    });
    let secret = secret.await?;
    let decoded = secret.map(|secret| decode(&secret["data"]["release"]));
    decoded.transpose().map_err(|why| {
        Error::not_applied(
            Class::Unknown,
            format!("read the release record {name}: {why}"),
        )
    })
}

fn decode(data: &Value) -> Result<Record, String> {
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
        let mut objects = manifest::parse(&self.manifest)?;
        for object in &mut objects {
            let metadata = &mut object["metadata"];
            metadata["labels"]["app.kubernetes.io/managed-by"] = json!("Helm");
            let annotations = &mut metadata["annotations"];
            annotations["meta.helm.sh/release-name"] = json!(self.name);
            annotations["meta.helm.sh/release-namespace"] = json!(self.namespace);
        }
        Ok(objects)
    }

    /// Nothing of it is left but the record.
    pub(crate) fn is_uninstalled(&self) -> bool {
        self.info.status == "uninstalled"
    }

    /// What it made is what runs, as far as helm knows. A revision is superseded once another has taken its place.
    pub(crate) fn was_deployed(&self) -> bool {
        was_deployed(&self.info.status)
    }

    pub(crate) fn key(&self) -> String {
        format!("release/{}", self.name)
    }

    /// The release as it is. Its values may hold secrets anywhere, so that only their digests are told.
    pub(crate) fn resource(&self, digests: &Digests) -> Resource {
        let metadata = &self.chart.metadata;
        let text = |name: &str| metadata[name].as_str().unwrap_or_default();
        let mut values = self.config.clone();
        digests.hide(&mut values);
        let hooks: Vec<&Value> = self.hooks.iter().map(|hook| &hook["name"]).collect();
        Resource {
            spec: json!({
                "chart": format!("{}-{}", text("name"), text("version")),
                "app_version": metadata["appVersion"],
                "values": values,
                "status": self.info.status,
            }),
            facts: json!({
                "revision": self.version, "description": self.info.description,
                "last_deployed": self.info.last_deployed, "hooks": hooks, "belongs": true,
            }),
            health: self.health(),
        }
    }

    /// The release as this revision made it, when another has taken its place.
    pub(crate) fn into_goal(mut self, digests: &Digests) -> Resource {
        "deployed".clone_into(&mut self.info.status);
        Resource {
            health: Health::Unknown,
            ..self.resource(digests)
        }
    }

    fn health(&self) -> Health {
        let Info {
            status,
            description,
            last_deployed,
        } = &self.info;
        match status.as_str() {
            "deployed" => Health::Healthy,
            status if status.starts_with("pending-") => {
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

pub(crate) fn was_deployed(status: &str) -> bool {
    matches!(status, "deployed" | "superseded")
}
