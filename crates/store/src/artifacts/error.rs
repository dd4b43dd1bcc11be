//! Why an artifact was not taken or not given.

use belay_engine::ports::StoreError;
use belay_model::id::ArtifactDigest;
use std::io;
use std::path::{Path, PathBuf};

/// Why an artifact was not taken or not given.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// Nothing is where it should come from.
    #[error("there is nothing at {}", .0.display())]
    NoSource(PathBuf),
    /// A symbolic link that would lead out of the artifact.
    #[error("{} links to {}, outside of the artifact", path.display(), target.display())]
    Outside {
        /// The link, as seen from the artifact.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// Neither file nor directory nor symbolic link.
    #[error("{} is not a file, a directory or a symbolic link", .0.display())]
    Special(PathBuf),
    /// Over a limit (I11).
    #[error("over a limit: {0}")]
    TooLarge(String),
    /// It is not in the store, or no longer.
    #[error("the artifact {0} is missing from the store; deploy its release again from its source")]
    Missing(ArtifactDigest),
    /// What is in the store is not what was added.
    #[error(
        "the artifact {digest} was altered in the store: {what}; deploy its release again from its source"
    )]
    Altered {
        /// Which artifact.
        digest: ArtifactDigest,
        /// Which file, and what is wrong with it.
        what: String,
    },
    /// The shared store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An input or output error.
    #[error("cannot use {}", .0.display())]
    Io(PathBuf, #[source] io::Error),
}

/// An error about a path.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> ArtifactError {
    let path = path.to_owned();
    move |error| ArtifactError::Io(path, error)
}
