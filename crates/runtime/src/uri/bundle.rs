//! What somebody needs who looks into trouble on Kubernetes, as files.

use super::history::nobodys;
use super::{Error, Uri};
use crate::Belay;
use crate::targets::{looking, unplanned};
use belay_driver_kubernetes::{Piece, Settings};
use belay_model::id::Scope;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

impl Uri {
    /// Gathers it into a folder that is not there yet; answers its files. Works without a store.
    ///
    /// # Errors
    /// The cluster cannot be looked at, or the folder cannot be made.
    pub async fn bundle(
        &self,
        folder: &Path,
        env: &BTreeMap<String, String>,
    ) -> Result<Vec<PathBuf>, crate::Error> {
        bundle(&self.scope(), vec![self.settings(env)?], folder).await
    }
}

impl Belay {
    /// The same for the targets of what serves in a scope, or was put out last.
    ///
    /// # Errors
    /// As above; none of them is on Kubernetes.
    pub async fn bundle(&self, scope: &Scope, folder: &Path) -> Result<Vec<PathBuf>, crate::Error> {
        let view = self.view(scope).await?;
        let newest = || view.records.values().max_by_key(|known| known.since_us);
        let known = view.serving().or_else(newest);
        let targets = known.into_iter().flat_map(|known| &known.record.targets);
        let targets = targets.filter(|target| target.driver == "kubernetes");
        let settings = targets.filter_map(|target| Settings::deserialize(&target.settings).ok());
        bundle(scope, settings.collect(), folder).await
    }
}

async fn bundle(
    scope: &Scope,
    all: Vec<Settings>,
    folder: &Path,
) -> Result<Vec<PathBuf>, crate::Error> {
    if all.is_empty() {
        return Err(Error::NotFor {
            what: format!("gather what there is to say of {scope}: nothing of it is on Kubernetes"),
            next: "see what its instances wrote: `belay logs`".to_owned(),
        }
        .into());
    }
    let mut pieces: Vec<Piece> = Vec::new();
    for settings in &all {
        let found = nobodys().bundle(&looking(), settings).await;
        let found = found.map_err(|error| unplanned(scope, error))?;
        let within = match all.len() {
            1 => String::new(),
            _ => format!(
                "{}-{}/",
                settings.context.as_deref().unwrap_or_default(),
                settings.namespace
            ),
        };
        pieces.extend(found.into_iter().map(|it| Piece {
            name: format!("{}{}", within.replace([':', '/'], "-"), it.name),
            ..it
        }));
    }
    let unwritten = |path: &Path, error: std::io::Error| Error::Unwritten {
        path: path.to_owned(),
        why: error.to_string(),
    };
    std::fs::create_dir(folder).map_err(|error| unwritten(folder, error))?;
    let mut files = Vec::new();
    for piece in pieces {
        let path = folder.join(&piece.name);
        let parent = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&path, &piece.text))
            .map_err(|error| unwritten(&path, error))?;
        files.push(path);
    }
    Ok(files)
}
