//! Values of secrets: read where they come from, sealed beside the record, and put together again for a start.

use crate::artifacts::chain;
use crate::{Belay, DeployRequest, Error};
use async_trait::async_trait;
use belay_driver::Material;
use belay_engine::ports::{Secrets, StoreError};
use belay_model::config::{Environment, SecretRef};
use belay_model::environment::{Event as InEnvironment, View};
use belay_model::release::Record;
use belay_model::state::Goal;
use belay_store::{AnyStore, BlobError, Blobs};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::OnceCell;

/// A secret as it was found.
pub(crate) struct Found {
    /// Its reference, with an absolute path where it is a file.
    pub(crate) source: String,
    /// Its value.
    pub(crate) value: String,
}

/// Reads all secrets of an environment. `base` is absolute: what paths are relative to.
pub(crate) fn resolve(
    request: &DeployRequest,
    environment: &Environment,
    base: &Path,
) -> Result<BTreeMap<String, Found>, Error> {
    let references = request.loaded.config.secrets_in(environment);
    let read = |(name, reference): (String, SecretRef)| {
        let found = match &reference {
            SecretRef::Env(variable) => match request.env.get(variable) {
                Some(value) => Ok((reference.to_string(), value.clone())),
                None => Err(format!("the environment variable {variable} is not set")),
            },
            SecretRef::File(path) => {
                let path = base.join(path);
                read_file(&path).map(|value| (SecretRef::File(path).to_string(), value))
            }
        };
        match found {
            Ok((source, value)) if !value.is_empty() => Ok((name, Found { source, value })),
            found => Err(Error::Secret {
                name,
                reference: reference.to_string(),
                why: found.err().unwrap_or_else(|| "it is empty".to_owned()),
            }),
        }
    };
    references.into_iter().map(read).collect()
}

/// A file's content without the line end that editors put behind it.
fn read_file(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// What the source of a record's secret has now. `env`: the variables of whoever asks; a worker has none of them.
fn newest(source: &str, env: &BTreeMap<String, String>) -> Option<String> {
    let value = match source.parse().ok()? {
        SecretRef::Env(variable) => env.get(&variable).cloned(),
        SecretRef::File(path) => read_file(&path).ok(),
    };
    value.filter(|value| !value.is_empty())
}

/// Whether new instances of a record get what the sources of its secrets have by then. On Kubernetes a value is in an object
/// that is named by it: another value is another release.
fn takes_newest(record: &Record) -> bool {
    let mut targets = record.targets.iter();
    targets.all(|target| target.driver != "kubernetes")
}

impl Belay {
    /// Secrets of a record whose source has another value than it was made with: name and value.
    async fn newer(
        &self,
        record: &Record,
        env: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, Error> {
        let mut newer = BTreeMap::new();
        for (name, used) in &record.secrets {
            let Some(value) = newest(&used.source, env) else {
                continue;
            };
            if self.blobs().await?.keyed_digest(&value) != used.digest {
                newer.insert(name.clone(), value);
            }
        }
        Ok(newer)
    }

    /// The same in words, one line each, without values.
    pub(crate) async fn newer_secrets(
        &self,
        record: &Record,
        env: &BTreeMap<String, String>,
    ) -> Result<Vec<String>, Error> {
        let newer = self.newer(record, env).await?;
        let line = |name: &String| {
            let source = &record.secrets[name].source;
            let (release, then) = (
                record.title(),
                match takes_newest(record) {
                    true => "and new instances get it",
                    false => "which goes on with the one it had",
                },
            );
            format!("{name}: {source} has another value now than {release}, {then}")
        };
        Ok(newer.keys().map(line).collect())
    }

    /// Seals the newest values that a way back may need, as far as their sources can be read here (I7): the worker has
    /// neither the variables of whoever asks nor, later, perhaps the files. Answers what the environment's stream has
    /// to say of it; nothing where the sealed values are the newest.
    pub(crate) async fn seal_newest(
        &self,
        view: &View,
        goal: &Goal,
        env: &BTreeMap<String, String>,
    ) -> Result<Vec<InEnvironment>, Error> {
        let mut events = Vec::new();
        for hash in goal.records.keys() {
            let Some(known) = view.records.get(hash) else {
                continue;
            };
            let record = &known.record;
            let Some(blob) = record.sealed.as_ref().filter(|_| takes_newest(record)) else {
                continue;
            };
            let found: BTreeMap<String, String> = record
                .secrets
                .iter()
                .filter_map(|(name, used)| Some((name.clone(), newest(&used.source, env)?)))
                .collect();
            let sealed = match self.blobs().await?.unseal(blob).await {
                Ok(sealed) => sealed,
                // What every source still has needs no seal.
                Err(_) if found.len() == record.secrets.len() => BTreeMap::new(),
                Err(error) => return Err(Error::Key(error)),
            };
            let mut values = sealed.clone();
            values.extend(found);
            if values == sealed {
                continue;
            }
            let blob = self.blobs().await?.seal(&values, self.now_us()).await;
            events.push(InEnvironment::Recorded {
                record: Box::new(Record {
                    sealed: Some(blob.map_err(Error::Key)?),
                    ..record.clone()
                }),
            });
        }
        Ok(events)
    }
}

/// Sealed blobs, opened when the first secret is needed: who has none needs no key.
pub(crate) struct Sealed {
    store: Arc<AnyStore>,
    key: Option<String>,
    /// Where the key is if it is in a file: on this machine, never in a store that it seals for several.
    file: PathBuf,
    blobs: OnceCell<Blobs>,
}

impl Sealed {
    pub(crate) fn new(store: Arc<AnyStore>, key: Option<String>, dir: &Path) -> Self {
        Self {
            store,
            key,
            file: dir.join("key"),
            blobs: OnceCell::new(),
        }
    }

    /// Whether the key that is here, if any, is the store's.
    pub(crate) async fn check(&self) -> Result<(), BlobError> {
        self.store.check_key(self.key.as_deref(), &self.file).await
    }

    pub(crate) async fn blobs(&self) -> Result<&Blobs, BlobError> {
        let open = || self.store.blobs(self.key.as_deref(), &self.file);
        self.blobs.get_or_try_init(open).await
    }
}

/// The engine's port: sealed values, and newer ones where their source still has them (I7).
pub(crate) struct SealedSecrets(pub(crate) Arc<Sealed>);

#[async_trait]
impl Secrets for SealedSecrets {
    async fn material(&self, record: &Record) -> Result<Material, StoreError> {
        let mut secrets = BTreeMap::new();
        if let Some(blob) = &record.sealed {
            let blobs = self.0.blobs().await;
            let blobs = blobs.map_err(|error| StoreError::Damaged(chain(&error)))?;
            let values = blobs.unseal(blob).await;
            secrets = values.map_err(|error| StoreError::Damaged(chain(&error)))?;
        }
        for (name, used) in record.secrets.iter().filter(|_| takes_newest(record)) {
            if let Some(value) = newest(&used.source, &BTreeMap::new()) {
                secrets.insert(name.clone(), value);
            }
        }
        Ok(Material {
            record: record.clone(),
            secrets,
        })
    }
}
