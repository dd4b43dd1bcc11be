//! What is released. What people write is one flat struct, as with checks; [`ReleaseSource::kind`] is what the code works with.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is released: exactly one of `artifact` and `manifests`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["artifact"] }, { "required": ["manifests"] }]))]
pub struct ReleaseSource {
    /// A directory or a file; a relative path is relative to `belay.yaml`. Its content's digest names the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<PathBuf>,
    /// For Kubernetes: a file of YAML or JSON, a folder of them, or a folder with a kustomization; a relative path is relative to
    /// `belay.yaml`. The digest of what they come to names the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifests: Option<PathBuf>,
    /// With `manifests`: the image of the only container. Default: the one that is written there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// With `manifests`: images by the name of their container. Default: those that are written there.
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
}

/// Why a [`ReleaseSource`] says nothing, or two things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// None, or both.
    #[error("`release` needs exactly one of `artifact` and `manifests`")]
    NotOne,
    /// Only manifests have images.
    #[error("an image is that of a container in `manifests`")]
    Image,
}

impl ReleaseSource {
    /// Which kind.
    ///
    /// # Errors
    /// It says none, or both.
    pub fn kind(&self) -> Result<ReleaseKind<'_>, ReleaseError> {
        let has_images = self.image.is_some() || !self.images.is_empty();
        match (&self.artifact, &self.manifests) {
            (Some(_), None) if has_images => Err(ReleaseError::Image),
            (Some(path), None) => Ok(ReleaseKind::Artifact(path)),
            (None, Some(path)) => Ok(ReleaseKind::Manifests(path)),
            _ => Err(ReleaseError::NotOne),
        }
    }
}
