//! What a target says of itself.

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
    /// The Service that users reach it by, where releases stand side by side.
    #[serde(default)]
    pub service: Option<String>,
    /// The Service that reaches a release before its users do, where releases stand side by side.
    #[serde(default)]
    pub preview: Option<String>,
    /// The route whose weights share the traffic, where releases stand side by side: `httproute/api`.
    #[serde(default)]
    pub route: Option<String>,
    /// How its releases lie.
    #[serde(default)]
    pub layout: Layout,
    /// It is the Helm release of that name, and the objects of its manifest. These are looked at so far, and nothing more.
    #[serde(default)]
    pub helm: Option<String>,
}

/// How the releases of a target lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// One takes the place of the other, pod by pod.
    #[default]
    InPlace,
    /// Each has workloads of its own. Plans of this kind are refused so far.
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
