//! What a target says of itself.

use crate::helm::Chart;
use crate::kinds::{self, Kind};
use belay_driver::Error;
use belay_model::error::Class;
use belay_model::release::Target;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::PathBuf;

/// The settings of a target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How to connect; absent: by the usual file, or without a context as a pod does within its cluster.
    #[serde(default)]
    pub kubeconfig: Option<PathBuf>,
    /// Which of its contexts; absent where a file is named: its current one.
    #[serde(default)]
    pub context: Option<String>,
    /// Where it lives.
    pub namespace: String,
    /// The objects of the release as they are written, without status. They are part of the settings, and so of the record,
    /// because what a record leads to has to be known without a look at the artifact. In the `data` of a Secret a value may be
    /// given by its [`crate::digest`]; what it is comes with the step, among the secrets of the record.
    #[serde(default)]
    pub objects: Vec<Value>,
    /// What runs, in the order in which it is rolled forward: `deployment/api`, `statefulset/db`, `daemonset/agent`. Empty: what
    /// of the objects runs, as they are ordered.
    #[serde(default)]
    pub workloads: Vec<String>,
    /// The Services that users reach it by, where releases stand side by side: none, one or several by their names.
    #[serde(default, with = "one_or_several")]
    pub service: Vec<String>,
    /// The Service that reaches a release before its users do, where releases stand side by side, as the first of the live ones
    /// does afterwards. Where the manifests have none of that name it is made.
    #[serde(default)]
    pub preview: Option<String>,
    /// The route whose weights share the traffic, where releases stand side by side: `httproute/api`, `grpcroute/api`.
    #[serde(default)]
    pub route: Option<String>,
    /// How its releases lie.
    #[serde(default)]
    pub layout: Layout,
    /// It is the Helm release of that name, and the objects of its manifest.
    #[serde(default)]
    pub helm: Option<String>,
    /// What that release is made of; `objects` are what it comes to. Absent: it is looked at, and can go back to what it was.
    #[serde(default)]
    pub chart: Option<Chart>,
    /// How long a client that is not Belay's may be at work on that release before it counts as gone, milliseconds; absent:
    /// five minutes, which is helm's own limit.
    #[serde(default)]
    pub abandoned_after_ms: Option<u64>,
    /// What is done about others that apply these objects, too; absent: releases are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gitops: Option<Gitops>,
}

/// What is done about those that apply objects of a target by themselves, as a repository says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gitops {
    /// They are held until they say what runs.
    Hold,
    /// Nothing: they may undo it.
    Ignore,
}

/// How the releases of a target lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// One takes the place of the other, pod by pod.
    #[default]
    InPlace,
    /// Each has workloads of its own, which go by its group; traffic is moved from those of one to those of the other.
    SideBySide,
}

/// One workload of a target.
#[derive(Clone)]
pub(crate) struct Workload {
    pub(crate) kind: &'static dyn Kind,
    pub(crate) name: String,
}

impl Workload {
    /// The key of its resource; it is in the target's own namespace.
    pub(crate) fn key(&self) -> String {
        format!("{}{}", kinds::prefix(self.kind), self.name)
    }
}

impl Settings {
    /// Those of a target.
    pub(crate) fn of(target: &Target) -> Result<Self, Error> {
        Self::deserialize(&target.settings).map_err(|error| {
            let message = format!("read the settings of {}: {error}", target.name);
            Error::not_applied(Class::Unknown, message)
        })
    }

    /// What runs, in order.
    pub(crate) fn workloads(&self) -> Result<Vec<Workload>, Error> {
        if self.workloads.is_empty() {
            let of_objects = self.objects.iter().filter_map(|object| {
                let name = object["metadata"]["name"].as_str()?.to_owned();
                let kind = kinds::of(object)?;
                Some(Workload { kind, name })
            });
            return Ok(of_objects.collect());
        }
        self.workloads.iter().map(|text| workload(text)).collect()
    }
}

fn workload(text: &str) -> Result<Workload, Error> {
    let found = text.split_once('/').and_then(|(kind, name)| {
        let (kind, name) = (kinds::named(kind)?, name.to_owned());
        Some(Workload { kind, name })
    });
    found.ok_or_else(|| {
        let message = format!(
            "read the workload {text}: it is written as deployment/NAME, statefulset/NAME or daemonset/NAME"
        );
        Error::not_applied(Class::Application, message)
    })
}

/// As records have had it since before there could be several: `null`, a name, or a list.
mod one_or_several {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Names {
        None,
        One(String),
        Several(Vec<String>),
    }

    pub(super) fn serialize<S: Serializer>(names: &[String], to: S) -> Result<S::Ok, S::Error> {
        let names = match names {
            [] => Names::None,
            [one] => Names::One(one.clone()),
            several => Names::Several(several.to_vec()),
        };
        names.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
        Ok(match Names::deserialize(from)? {
            Names::None => Vec::new(),
            Names::One(one) => vec![one],
            Names::Several(several) => several,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Settings;
    use serde_json::json;

    #[test]
    fn services_are_written_as_records_have_always_had_them() {
        for service in [json!(null), json!("api"), json!(["api", "web"])] {
            let written = json!({ "namespace": "shop", "service": service });
            let settings: Settings = serde_json::from_value(written).expect("settings");
            assert_eq!(json!(settings)["service"], service);
        }
    }
}
