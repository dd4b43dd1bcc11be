//! Taking over what runs: a configuration and manifests that say what is there, so that the first deployment changes nothing.

use super::history::nobodys;
use super::place::What;
use super::there::at_home;
use super::{Error, Uri};
use crate::targets::{looking, unplanned};
use belay_driver_kubernetes::{Marked, Was, render};
use serde_json::Value;
use std::collections::BTreeMap;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The folder of manifests, beside belay.yaml.
const FOLDER: &str = "k8s";

/// What is to be taken over, and how it is called.
#[derive(Clone, Debug)]
pub struct Adoption {
    /// It.
    pub uri: Uri,
    /// The service; absent: as the workload is called.
    pub service: Option<String>,
    /// The environment; absent: as the namespace is called.
    pub environment: Option<String>,
    /// Where belay.yaml goes.
    pub directory: PathBuf,
    /// The caller's environment variables.
    pub env: BTreeMap<String, String>,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// The files, belay.yaml first.
    pub files: Vec<PathBuf>,
    /// The service.
    pub service: String,
    /// Its environment.
    pub environment: String,
    /// What stays as it is and belongs to nobody's release, one line each.
    pub notes: Vec<String>,
}

impl Adoption {
    /// Looks at what runs, and writes it down. Nothing is overwritten, and nothing in the cluster is changed.
    ///
    /// # Errors
    /// It is not there, Belay deploys it already, or something is in the way of a file. Nothing was written then.
    pub async fn write(&self) -> Result<Adopted, crate::Error> {
        let uri = &self.uri;
        let workload = match &uri.what {
            What::Workload(workload) => workload,
            What::Release(release) => return self.write_release(release).await,
        };
        let settings = uri.settings(&self.env)?;
        let driver = nobodys();
        let past = uri.past(&driver, &settings).await?;
        self.refuse_marked(&past.marks)?;
        let beside = driver.beside(&looking(), &settings, &past.object).await;
        let beside = beside.map_err(|error| unplanned(&uri.scope(), error))?;
        let template = &past.object["spec"]["template"];
        let given = driver.given(&looking(), &settings, template, None).await;
        let given = given.map_err(|error| unplanned(&uri.scope(), error))?;
        let mut notes = Vec::new();
        for it in given {
            let key = &it.key;
            notes.push(match (it.was, key.split_once('/')) {
                (Was::Gone, _) => format!("{key} is not there: pods that are made anew will not start"),
                (_, Some(("secret", _))) => format!(
                    "{key} stays as it is, and goes on to be read by its name; to have its values travel with the release, name them \
                     under `secrets:`"
                ),
                _ => format!(
                    "{key} stays as it is, and goes on to be read by its name; to have it travel with the release, put it into {FOLDER}/: \
                     the pods are then replaced once"
                ),
            });
        }
        let scalers = beside.autoscalers.iter();
        notes.extend(scalers.map(|name| format!("{name} goes on to say how many pods there are")));
        let service = self.service.clone().unwrap_or_else(|| {
            let (_, name) = workload.as_str().split_once('/').unwrap_or_default();
            name.replace('.', "-")
        });
        let environment = self.environment();
        let text = self.configuration(&service, &environment, &notes);
        let mut files = vec![File::new("belay.yaml", text)];
        for object in std::iter::once(&past.object).chain(&beside.services) {
            files.push(File::new(file(object), render::to_yaml(&at_home(object))));
        }
        self.write_all(FOLDER, &files)?;
        Ok(Adopted {
            files: self.paths(&files),
            service,
            environment,
            notes,
        })
    }

    fn configuration(&self, service: &str, environment: &str, notes: &[String]) -> String {
        let uri = &self.uri;
        let context = uri.context.as_ref();
        let context = context.map_or_else(String::new, |it| {
            format!("context: {}, ", Value::from(it.as_str()))
        });
        let notes: String = notes.iter().map(|note| format!("# - {note}\n")).collect();
        let notes = match notes.is_empty() {
            true => notes,
            false => format!("#\n# What is no part of a release:\n{notes}"),
        };
        format!(
            "# Adopted from {uri}.\n{notes}service: {service}\nrelease:\n  manifests: ./{FOLDER}\nenvironments:\n  {environment}:\n    \
             target:\n      kubernetes: {{ {context}namespace: {} }}\n",
            uri.namespace
        )
    }

    /// What Belay has already is taken over from nobody. Without a store nobody's mark is ours; the target says enough.
    pub(super) fn refuse_marked(&self, marks: &[Marked]) -> Result<(), Error> {
        let own = self.uri.scope().to_string();
        match marks.iter().find(|mark| mark.target != own) {
            None => Ok(()),
            Some(mark) => Err(Error::Ours {
                title: self.uri.title(),
                target: mark.target.clone(),
                elsewhere: None,
            }),
        }
    }

    pub(super) fn environment(&self) -> String {
        let environment = self.environment.clone();
        environment.unwrap_or_else(|| self.uri.namespace.clone())
    }

    pub(super) fn paths(&self, files: &[File]) -> Vec<PathBuf> {
        let paths = files.iter().map(|file| self.directory.join(&file.path));
        paths.collect()
    }

    /// All of them, or none. `folder`: where most of them go.
    pub(super) fn write_all(&self, folder: &str, files: &[File]) -> Result<(), Error> {
        let unwritten = |path: &Path, why: String| Error::Unwritten {
            path: path.to_owned(),
            why,
        };
        let folder = self.directory.join(folder);
        let is_used = std::fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some());
        if is_used {
            return Err(unwritten(&folder, "there are files in it".to_owned()));
        }
        let within = |path: &PathBuf| path.starts_with(&folder);
        let beside = self.paths(files).into_iter().filter(|path| !within(path));
        for path in beside {
            if path.exists() {
                return Err(unwritten(&path, "it is there already".to_owned()));
            }
        }
        // The configuration comes last: with it everything is there.
        for (file, path) in files.iter().zip(self.paths(files)).rev() {
            let parent = path.parent().unwrap_or(&self.directory);
            let mode = if file.is_private { 0o600 } else { 0o666 };
            let mut options = std::fs::OpenOptions::new();
            let options = options.write(true).create_new(true).mode(mode);
            let written = std::fs::create_dir_all(parent)
                .and_then(|()| options.open(&path))
                .and_then(|mut to| std::io::Write::write_all(&mut to, &file.bytes));
            written.map_err(|error| unwritten(&path, error.to_string()))?;
        }
        Ok(())
    }
}

/// A file to be written.
pub(super) struct File {
    /// Within the directory.
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
    /// Nobody else may read it.
    pub(super) is_private: bool,
}

impl File {
    pub(super) fn new(path: impl Into<PathBuf>, text: String) -> Self {
        Self {
            path: path.into(),
            bytes: text.into_bytes(),
            is_private: false,
        }
    }
}

/// `k8s/deployment-api.yaml`.
fn file(object: &Value) -> PathBuf {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kind = text(&object["kind"]).to_lowercase();
    PathBuf::from(FOLDER).join(format!("{kind}-{}.yaml", text(&object["metadata"]["name"])))
}
