//! Values of secrets: read where they come from, sealed beside the record, and put together again for a start.

use crate::artifacts::chain;
use crate::belay::Sealed;
use crate::{DeployRequest, Error};
use async_trait::async_trait;
use belay_driver::Material;
use belay_engine::ports::{Secrets, StoreError};
use belay_model::config::{Environment, SecretRef};
use belay_model::release::Record;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

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

/// What the source of a record's secret has now, where this process can tell: files only. The environment of whoever
/// deployed is gone.
pub(crate) fn newest(source: &str) -> Option<String> {
    let Ok(SecretRef::File(path)) = source.parse() else {
        return None;
    };
    read_file(&path).ok().filter(|value| !value.is_empty())
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
        for (name, used) in &record.secrets {
            if let Some(value) = newest(&used.source) {
                secrets.insert(name.clone(), value);
            }
        }
        Ok(Material {
            record: record.clone(),
            secrets,
        })
    }
}
