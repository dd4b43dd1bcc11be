//! What a target says of itself.

use belay_driver::Error;
use belay_model::error::Class;
use belay_model::release::Target;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::PathBuf;

/// The settings of a target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How to connect; absent: the file that kubectl takes.
    pub kubeconfig: Option<PathBuf>,
    /// Which of its contexts; absent: its current one.
    pub context: Option<String>,
    /// Where it lives.
    pub namespace: String,
    /// What it is.
    pub what: What,
    /// The objects of the release as they are written. They are part of the settings, and so of the record, because what a
    /// record leads to has to be known without a look at the artifact.
    #[serde(default)]
    pub objects: Vec<Value>,
}

/// What a target is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The Deployment of that name, and what belongs to it.
    Deployment(String),
    /// The Helm release of that name, and the objects of its manifest.
    Release(String),
}

impl Settings {
    /// Those of a target.
    pub(crate) fn of(target: &Target) -> Result<Self, Error> {
        Self::deserialize(&target.settings).map_err(|error| {
            let message = format!("read the settings of {}: {error}", target.name);
            Error::not_applied(Class::Unknown, message)
        })
    }
}
