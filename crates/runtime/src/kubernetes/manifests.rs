//! Manifests from where they lie to an artifact: one file, so that the same release goes from one environment to the next.

use super::Error;
use crate::Belay;
use crate::artifacts::chain;
use belay_driver_kubernetes::render::{self, Images, Manifest};
use belay_model::id::ArtifactDigest;
use serde_json::Value;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// What the file in the artifact is called. `kubectl apply -f` takes it.
const FILE: &str = "manifests.json";

/// Larger ones are no manifests (bytes).
const LARGEST: u64 = 4 << 20;

/// What kustomize calls its file.
const KUSTOMIZATIONS: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// What `kubectl apply -f DIR` takes of a folder.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

impl Belay {
    /// Takes in the manifests at a place, with these images, later ones over earlier ones.
    pub(crate) async fn add_manifests(
        &self,
        path: &Path,
        images: &[&Images],
    ) -> Result<ArtifactDigest, crate::Error> {
        let mut objects = render::read(&collect(path).await?).map_err(Error::Rendered)?;
        for images in images {
            render::replace(&mut objects, images).map_err(Error::Rendered)?;
        }
        self.add_text(FILE, render::to_list(&objects), path).await
    }

    /// Takes in objects that are in no file.
    pub(crate) async fn add_objects(
        &self,
        objects: &[Value],
    ) -> Result<ArtifactDigest, crate::Error> {
        self.add_text(FILE, render::to_list(objects), Path::new(FILE))
            .await
    }

    /// Takes in one file. `path`: where it comes from, for people.
    pub(super) async fn add_text(
        &self,
        file: &str,
        text: String,
        path: &Path,
    ) -> Result<ArtifactDigest, crate::Error> {
        let failed = |why: String| crate::Error::Artifact {
            path: path.to_owned(),
            why,
        };
        let dir = tempfile::tempdir_in(self.dir()).map_err(|error| failed(error.to_string()))?;
        std::fs::write(dir.path().join(file), text).map_err(|error| failed(error.to_string()))?;
        let added = self.artifacts().add(dir.path()).await;
        added.map_err(|error| failed(chain(&error)))
    }

    /// The objects of such an artifact.
    pub(super) async fn manifests(
        &self,
        artifact: &ArtifactDigest,
    ) -> Result<Vec<Value>, crate::Error> {
        let text = self.text_of(artifact, FILE).await?;
        let objects = text.and_then(|text| render::from_list(&text));
        Ok(objects.ok_or(Error::NoManifests)?)
    }

    /// One file of an artifact; none: there is none of that name.
    pub(super) async fn text_of(
        &self,
        artifact: &ArtifactDigest,
        file: &str,
    ) -> Result<Option<String>, crate::Error> {
        let failed = |why: String| crate::Error::Artifact {
            path: PathBuf::from(artifact.as_str()),
            why,
        };
        let directory = self.artifacts().directory(artifact).await;
        let file = directory.map_err(|error| failed(chain(&error)))?.join(file);
        match std::fs::read_to_string(&file) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error.to_string())),
        }
    }
}

pub(super) async fn collect(path: &Path) -> Result<Vec<Manifest>, Error> {
    if !path.is_dir() {
        return Ok(vec![read(path)?]);
    }
    if KUSTOMIZATIONS.iter().any(|name| path.join(name).is_file()) {
        return Ok(vec![kustomize(path).await?]);
    }
    let entries = std::fs::read_dir(path).map_err(|error| unreadable(path, &error))?;
    let files = entries.flatten().map(|entry| entry.path());
    let is_manifest = |file: &PathBuf| {
        let ending = file.extension().and_then(|it| it.to_str());
        file.is_file() && ending.is_some_and(|ending| ENDINGS.contains(&ending))
    };
    let mut files: Vec<PathBuf> = files.filter(is_manifest).collect();
    files.sort();
    files.iter().map(|file| read(file)).collect()
}

fn read(file: &Path) -> Result<Manifest, Error> {
    let mut text = String::new();
    std::fs::File::open(file)
        .and_then(|it| it.take(LARGEST + 1).read_to_string(&mut text))
        .map_err(|error| unreadable(file, &error))?;
    if text.len() as u64 > LARGEST {
        let why = std::io::Error::other("it is larger than 4 MiB, and no manifest is");
        return Err(unreadable(file, &why));
    }
    let file = file.display().to_string();
    Ok(Manifest { file, text })
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::Manifests {
        what: format!("read {}: {error}", path.display()),
        next: "correct `release.manifests`, or make it readable".to_owned(),
    }
}

/// As people's own kubectl renders it, so that it comes to the same.
async fn kustomize(path: &Path) -> Result<Manifest, Error> {
    let what = format!("render {} with `kubectl kustomize`", path.display());
    let mut command = Command::new("kubectl");
    command.arg("kustomize").arg(path).kill_on_drop(true);
    let output = match command.output().await {
        Ok(output) => output,
        Err(error) => {
            let next = "install kubectl where you deploy; or render it yourself (`kustomize build DIR > FILE`) and name \
                        that file in `release.manifests`";
            return Err(Error::Manifests {
                what: format!("{what}: {error}"),
                next: next.to_owned(),
            });
        }
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Error::Manifests {
            what: format!("{what}: {said}"),
            next: "correct the kustomization".to_owned(),
        });
    }
    Ok(Manifest {
        file: path.display().to_string(),
        text: String::from_utf8_lossy(&output.stdout).into_owned(),
    })
}
