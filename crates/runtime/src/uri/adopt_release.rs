//! Taking over a Helm release: its chart, built again from helm's own record, and the values that it was given.
//!
//! What the chart comes to is compared with what runs before anything is written: what helm does not keep (charts within it)
//! would be missing in the first deployment.

use super::adopt::{Adopted, Adoption, File};
use super::history::nobodys;
use super::{Error, Uri};
use crate::targets::{looking, unplanned};
use belay_driver_kubernetes::helm::{Program, Rebuilt, Rendering, differences};
use belay_driver_kubernetes::{Settings, render};
use serde_json::Value;
use std::path::Path;

/// The chart's folder, beside belay.yaml.
const FOLDER: &str = "chart";
/// The values that somebody gave.
const VALUES: &str = "values.yaml";

impl Adoption {
    pub(super) async fn write_release(&self, release: &str) -> Result<Adopted, crate::Error> {
        let uri = &self.uri;
        let settings = uri.settings(&self.env)?;
        let driver = nobodys();
        let past = uri.release_past(&driver, &settings).await?;
        self.refuse_marked(&past.marks)?;
        let rebuilt = driver.rebuilt(&looking(), &settings).await;
        let rebuilt = rebuilt.map_err(|error| unplanned(&uri.scope(), error))?;
        let rebuilt = rebuilt.ok_or_else(|| uri.not_there())?;
        let unbuilt = |why: String, next: &str| Error::Unbuilt {
            title: uri.title(),
            why,
            next: next.to_owned(),
        };
        if rebuilt.status != "deployed" {
            let why = format!(
                "its newest revision is {}, and not deployed",
                rebuilt.status
            );
            let next = format!("go back to one that is first: `belay rollback {uri}`");
            return Err(unbuilt(why, &next).into());
        }
        if !rebuilt.subcharts.is_empty() {
            let charts = rebuilt.subcharts.join(", ");
            let why = format!("helm keeps nothing of the charts within it: {charts}");
            return Err(unbuilt(why, BY_HAND).into());
        }
        let mut notes = vec![format!(
            "{VALUES} has the values as helm has them, those of secrets among them: name these under `secrets:`, say with `values_from:` \
             where they go, and take them out before you commit it"
        )];
        for (key, paths) in self.compared(uri, &settings, &rebuilt).await? {
            if paths.is_empty() {
                let why = format!("what is built of helm's record does not come to {key}");
                return Err(unbuilt(why, BY_HAND).into());
            }
            let paths = paths.join(", ");
            notes.push(format!(
                "{key} comes out otherwise than it runs ({paths}): the first deployment changes it"
            ));
        }
        let service = self.service.clone().unwrap_or_else(|| release.to_owned());
        let environment = self.environment();
        let text = self.configuration_of(release, &service, &environment, &notes);
        let mut files = vec![
            File::new("belay.yaml", text),
            File {
                is_private: true,
                ..File::new(VALUES, render::to_yaml(&rebuilt.values))
            },
        ];
        files.extend(rebuilt.files.into_iter().map(|(path, bytes)| File {
            path: Path::new(FOLDER).join(path),
            bytes,
            is_private: false,
        }));
        self.write_all(FOLDER, &files)?;
        Ok(Adopted {
            files: self.paths(&files),
            service,
            environment,
            notes,
        })
    }

    /// Objects that the chart does not bring as they were brought, by key, and the fields that differ; none: it is one of them
    /// that has the object at all.
    async fn compared(
        &self,
        uri: &Uri,
        settings: &Settings,
        rebuilt: &Rebuilt,
    ) -> Result<Vec<(String, Vec<String>)>, crate::Error> {
        let failed = |why: String| Error::Unbuilt {
            title: uri.title(),
            why,
            next: BY_HAND.to_owned(),
        };
        let unwritten = |error: std::io::Error| failed(error.to_string());
        let dir = tempfile::tempdir().map_err(unwritten)?;
        for (path, bytes) in &rebuilt.files {
            let path = dir.path().join(path);
            let parent = path.parent().unwrap_or(dir.path());
            std::fs::create_dir_all(parent)
                .and_then(|()| std::fs::write(&path, bytes))
                .map_err(unwritten)?;
        }
        let program = Program::find(None)
            .await
            .map_err(crate::KubernetesError::from)?;
        let asked = nobodys().api(settings).await;
        let api = asked.map_err(|error| unplanned(&uri.scope(), error))?;
        let rendering = Rendering {
            program: &program,
            chart: dir.path(),
            release: settings.helm.as_deref().unwrap_or_default(),
            namespace: &settings.namespace,
            values: &rebuilt.values,
            is_upgrade: true,
            kube_version: &api.version,
            api_versions: &api.kinds,
        };
        let rendered = rendering.render().await;
        let rendered = rendered.map_err(|error| failed(error.to_string()))?;
        Ok(differences(
            &rebuilt.objects,
            &rendered.objects,
            &settings.namespace,
            &rendered.random,
        ))
    }

    fn configuration_of(
        &self,
        release: &str,
        service: &str,
        environment: &str,
        notes: &[String],
    ) -> String {
        let uri = &self.uri;
        let context = uri.context.as_ref();
        let context = context.map_or_else(String::new, |it| {
            format!("context: {}, ", Value::from(it.as_str()))
        });
        let notes: String = notes.iter().map(|note| format!("# - {note}\n")).collect();
        format!(
            "# Adopted from {uri}.\n#\n{notes}service: {service}\nrelease:\n  chart: ./{FOLDER}\n  values: [{VALUES}]\nenvironments:\n  \
             {environment}:\n    target:\n      helm: {{ {context}namespace: {}, release: {release} }}\n",
            uri.namespace
        )
    }
}

const BY_HAND: &str = "write belay.yaml by hand, with the chart from where it came: `release: { chart: ..., version: ... }`";
