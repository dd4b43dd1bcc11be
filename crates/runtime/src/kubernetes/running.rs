//! A release of what is running: images and settings alone. What they are laid over is looked at when a deployment is prepared, and
//! stands whole in its record, so that the way back knows it.

use super::Error;
use crate::Belay;
use crate::targets::{looking, unplanned};
use belay_driver_kubernetes::Settings;
use belay_driver_kubernetes::render::{self, Images};
use belay_model::id::{ArtifactDigest, Scope};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// What the file in the artifact is called.
const FILE: &str = "images.json";

/// What is in it, later ones over earlier ones.
#[derive(Default, Serialize, Deserialize)]
struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    images: BTreeMap<String, String>,
}

/// Workloads as they run, and what reaches them.
pub(super) struct Running {
    /// With the images of the release, in the order of the target.
    pub(super) objects: Vec<Value>,
    /// Names of the Services that select their pods.
    pub(super) services: Vec<String>,
}

impl Belay {
    /// Takes in images, later ones over earlier ones.
    pub(crate) async fn add_images(
        &self,
        images: &[&Images],
    ) -> Result<ArtifactDigest, crate::Error> {
        let mut written = vec![Written::default()];
        for images in images {
            // Within one, that of the only container goes over those by name.
            let last = written
                .last_mut()
                .filter(|it| it.image.is_none() || images.named.is_empty());
            let last = match last {
                Some(last) => last,
                None => written.push_mut(Written::default()),
            };
            last.image = images.only.clone().or(last.image.take());
            last.images.extend(images.named.clone());
        }
        let text = serde_json::json!(written).to_string();
        self.add_text(FILE, text, Path::new(FILE)).await
    }

    /// The images of such an artifact; none: it is of another kind.
    pub(super) async fn images(
        &self,
        artifact: &ArtifactDigest,
    ) -> Result<Option<Vec<Images>>, crate::Error> {
        let Some(text) = self.text_of(artifact, FILE).await? else {
            return Ok(None);
        };
        let written: Vec<Written> = serde_json::from_str(&text).map_err(|_| Error::NoManifests)?;
        let images = written.into_iter().map(|it| Images {
            only: it.image,
            named: it.images,
        });
        Ok(Some(images.collect()))
    }

    /// What runs there now, with these images. `settings`: where, and the workloads.
    pub(super) async fn running(
        &self,
        scope: &Scope,
        settings: &Settings,
        images: &[Images],
    ) -> Result<Running, crate::Error> {
        let driver = self.own_driver().await?;
        let failed = |error| unplanned(scope, error);
        let (mut objects, mut services) = (Vec::new(), Vec::new());
        for workload in &settings.workloads {
            let only = Settings {
                workloads: vec![workload.clone()],
                ..settings.clone()
            };
            let past = driver.past(&looking(), &only).await.map_err(failed)?;
            let past = past.ok_or_else(|| Error::NotRunning {
                workload: workload.clone(),
                namespace: settings.namespace.clone(),
            })?;
            let beside = driver.beside(&looking(), &only, &past.object).await;
            let names = beside.map_err(failed)?.services;
            let names = names
                .iter()
                .filter_map(|it| it["metadata"]["name"].as_str());
            for name in names {
                if !services.iter().any(|it| it == name) {
                    services.push(name.to_owned());
                }
            }
            let mut object = past.object;
            render::without_settings(&mut object, scope.service.as_str());
            objects.push(object);
        }
        for images in images {
            render::replace(&mut objects, images).map_err(Error::Rendered)?;
        }
        Ok(Running { objects, services })
    }
}
