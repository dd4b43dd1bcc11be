//! The store's artifacts as drivers see them.

use async_trait::async_trait;
use belay_driver::{Artifacts, Error};
use belay_model::error::Class;
use belay_model::id::ArtifactDigest;
use belay_store::ArtifactError;
use std::path::PathBuf;

/// See the module.
#[derive(Clone)]
pub(crate) struct StoredArtifacts(pub(crate) belay_store::Artifacts);

#[async_trait]
impl Artifacts for StoredArtifacts {
    async fn directory(&self, digest: &ArtifactDigest) -> Result<PathBuf, Error> {
        self.0.directory(digest).await.map_err(|error| {
            // A file that is missing here is not the release's fault, so it must not quarantine it.
            let class = match &error {
                ArtifactError::Io(_, source) if is_full(source) => Class::Quota,
                ArtifactError::Store(_) => Class::Connectivity,
                _ => Class::Unknown,
            };
            Error::not_applied(class, chain(&error))
        })
    }
}

fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded
    )
}

/// The error and its sources in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}
