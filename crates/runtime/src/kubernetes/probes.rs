//! What a manifest could say to be known better: no error, and nothing that anybody has to do.

use super::manifests::collect;
use crate::config::Loaded;
use belay_driver_kubernetes::render::{self, Unprobed};
use belay_model::config::ReleaseKind;
use std::path::Path;

/// Containers of the manifests that have no probes. None, too, where the manifests cannot be read: that is told when something is
/// deployed.
pub async fn unprobed(loaded: &Loaded) -> Vec<Unprobed> {
    let Ok(ReleaseKind::Manifests(path)) = loaded.config.release.kind() else {
        return Vec::new();
    };
    let base = loaded.path.parent().unwrap_or(Path::new(""));
    let Ok(found) = collect(&base.join(path)).await else {
        return Vec::new();
    };
    render::read(&found).map_or_else(|_| Vec::new(), |objects| render::unprobed(&objects))
}
