//! Why something cannot go to Kubernetes as it is written.

use belay_driver_kubernetes::render;

/// See the module. Messages read well after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `E0340`: it is not clear which cluster is meant, or it is not known here.
    #[error("{what}")]
    Cluster {
        /// The act and its object.
        what: String,
        /// What to do.
        next: String,
    },
    /// `E0341`: the manifests cannot be read.
    #[error("{what}")]
    Manifests {
        /// The act, its object, and why not.
        what: String,
        /// What to do.
        next: String,
    },
    /// `E0341` to `E0343`: they are no release.
    #[error(transparent)]
    Rendered(#[from] render::Error),
    /// `E0345`: a release that was not made of manifests cannot go to Kubernetes.
    #[error("find the manifests of the release: it was made of something else")]
    NoManifests,
}

impl Error {
    /// The stable code; docs/errors has a page of that name.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Cluster { .. } => "E0340",
            Self::Manifests { .. }
            | Self::Rendered(render::Error::Syntax { .. } | render::Error::NoObject { .. }) => {
                "E0341"
            }
            Self::Rendered(render::Error::TooLarge { .. }) => "E0343",
            Self::Rendered(_) => "E0342",
            Self::NoManifests => "E0345",
        }
    }

    /// What to do next.
    pub fn next(&self) -> String {
        match self {
            Self::Cluster { next, .. } | Self::Manifests { next, .. } => next.clone(),
            Self::Rendered(error) => error.next(),
            Self::NoManifests => {
                "deploy it again from its manifests, or promote another release".to_owned()
            }
        }
    }
}
