//! What is released. What people write is one flat struct, as with checks; [`ReleaseSource::kind`] is what the code works with.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ValueSource;

/// What is released: exactly one of `artifact`, `manifests`, `running` and `chart`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["artifact"] }, { "required": ["manifests"] }, { "required": ["running"], "properties": { "running": { "const": true } } }, { "required": ["chart"] }]))]
pub struct ReleaseSource {
    /// A directory or a file; a relative path is relative to `belay.yaml`. Its content's digest names the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<PathBuf>,
    /// For Kubernetes: a file of YAML or JSON, a folder of them, or a folder with a kustomization; a relative path is relative to
    /// `belay.yaml`. The digest of what they come to names the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifests: Option<PathBuf>,
    /// For Kubernetes: the workloads of the target as they run when a release is made, with its images and settings. Who wrote
    /// their manifests goes on to say all else of them. Default: `false`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub running: bool,
    /// For Helm: the folder of a chart, relative to `belay.yaml`; or with `version` what `helm pull` fetches, such as
    /// `oci://registry.example.com/charts/shop`. The digest of its files and values names the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart: Option<String>,
    /// The version of a chart that is fetched. Default: none; the chart is a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// With `chart`: files of values that belong to the release, later ones over earlier ones. Default: none, only the chart's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<PathBuf>,
    /// With `chart`: which values come from Belay, by their path as in `helm --set`: `image.tag: image.tag`,
    /// `db.password: secrets.PASSWORD`. Default: none; then there may be no `image`, `config` and `secrets`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values_from: BTreeMap<String, ValueSource>,
    /// With `manifests` and `running`: the image of the only container. With `chart`: what `values_from` calls `image`. Default: the one that is
    /// written there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// With `manifests` and `running`: images by the name of their container. With `chart`: what `values_from` calls `images.NAME`. Default: those
    /// that are written there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<String, String>,
}

/// [`ReleaseSource`] with its rules applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseKind<'a> {
    /// Files that are run.
    Artifact(&'a Path),
    /// Objects of Kubernetes.
    Manifests(&'a Path),
    /// Images and settings of what runs on Kubernetes.
    Running,
    /// A chart in a folder.
    Chart(&'a Path),
    /// A chart that is fetched, and its version.
    RemoteChart(&'a str, &'a str),
}

/// Why a [`ReleaseSource`] says nothing, or two things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// None, or several.
    #[error("`release` needs exactly one of `artifact`, `manifests`, `running` and `chart`")]
    NotOne,
    /// Files that are run have no images.
    #[error(
        "an image is that of a container in `manifests` or of what is `running`, or goes into the values of a `chart`"
    )]
    Image,
    /// Only a chart has a version and values.
    #[error("`version`, `values` and `values_from` belong to a `chart`")]
    OfChart,
}

impl ReleaseSource {
    /// Which kind.
    ///
    /// # Errors
    /// It says none, or several, or what belongs to another kind.
    pub fn kind(&self) -> Result<ReleaseKind<'_>, ReleaseError> {
        let has_images = self.image.is_some() || !self.images.is_empty();
        let has_values = !self.values.is_empty() || !self.values_from.is_empty();
        let is_charts = has_values || self.version.is_some();
        match (&self.artifact, &self.manifests, self.running, &self.chart) {
            (Some(_), None, false, None) if has_images => Err(ReleaseError::Image),
            (Some(_), None, false, None)
            | (None, Some(_), false, None)
            | (None, None, true, None)
                if is_charts =>
            {
                Err(ReleaseError::OfChart)
            }
            (Some(path), None, false, None) => Ok(ReleaseKind::Artifact(path)),
            (None, Some(path), false, None) => Ok(ReleaseKind::Manifests(path)),
            (None, None, true, None) => Ok(ReleaseKind::Running),
            (None, None, false, Some(chart)) => Ok(match &self.version {
                Some(version) => ReleaseKind::RemoteChart(chart, version),
                None => ReleaseKind::Chart(Path::new(chart)),
            }),
            _ => Err(ReleaseError::NotOne),
        }
    }
}
