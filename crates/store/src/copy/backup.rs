//! Writing a copy.

use super::table::{JSON, TABLES};
use super::{Copied, CopyError, FORMAT};
use crate::artifacts::{ArtifactError, Artifacts};
use crate::error::Fault;
use crate::sql::Sql;
use crate::store::AnyStore;
use belay_engine::ports::StoreError;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::Write;

/// Writes everything that a store holds at one moment to `to`; others may go on writing in the store. Without
/// `artifacts` those are left out.
///
/// # Errors
/// What was written then is no backup, and `restore` says so.
pub async fn backup(
    store: &AnyStore,
    artifacts: Option<&Artifacts>,
    to: &mut (dyn Write + Send),
) -> Result<Copied, CopyError> {
    let mut tx = store.database.snapshot().await?;
    write(tx.as_mut(), artifacts, to).await
}

/// What `tx` sees.
pub(super) async fn write(
    tx: &mut dyn Sql,
    artifacts: Option<&Artifacts>,
    to: &mut (dyn Write + Send),
) -> Result<Copied, CopyError> {
    let mut lines = Lines {
        to,
        hash: Sha256::new(),
        copied: Copied::default(),
    };
    lines.add(&json!({ "belay_backup": FORMAT }))?;
    for table in TABLES {
        for part in table.parts(tx).await.map_err(StoreError::from)? {
            for row in table.rows(tx, &part).await.map_err(StoreError::from)? {
                lines.copied.deployments += u64::from(table.name == "deployments");
                lines.add(&Value::Object(table.line(row)))?;
            }
        }
    }
    if let Some(artifacts) = artifacts {
        for digest in artifacts.list().await? {
            let mut given = match artifacts.give(&digest).await {
                Ok(given) => given,
                // Collected since it was listed, so nothing needs it.
                Err(ArtifactError::Missing(_)) => continue,
                Err(error) => return Err(error.into()),
            };
            lines.add(&json!({ "artifact": digest, "manifest": given.manifest() }))?;
            while let Some(chunk) = given.chunk().await? {
                lines.add(&json!({ "chunk": hex::encode(chunk) }))?;
            }
            lines.copied.artifacts += 1;
        }
    }
    let Lines {
        to, hash, copied, ..
    } = lines;
    let end = json!({ "end": copied.rows, "sha256": hex::encode(hash.finalize()) });
    writeln!(to, "{end}")?;
    to.flush()?;
    Ok(copied)
}

struct Lines<'a> {
    to: &'a mut (dyn Write + Send),
    hash: Sha256,
    copied: Copied,
}

impl Lines<'_> {
    fn add(&mut self, line: &Value) -> std::io::Result<()> {
        let text = format!("{line}\n");
        self.hash.update(&text);
        self.copied.rows += 1;
        self.to.write_all(text.as_bytes())
    }
}

/// Writes everything that can be read, a line of JSON each, for other programs: what the events say is JSON in it. Neither
/// artifacts nor sealed values are in it, and it cannot be restored.
///
/// # Errors
/// The store cannot be read, or the lines not written.
pub async fn export(store: &AnyStore, to: &mut (dyn Write + Send)) -> Result<Copied, CopyError> {
    let mut tx = store.database.snapshot().await?;
    let mut copied = Copied::default();
    let readable = |table: &&super::table::Table| !matches!(table.name, "blobs" | "meta");
    for table in TABLES.iter().filter(readable) {
        for part in table.parts(tx.as_mut()).await.map_err(StoreError::from)? {
            let rows = table.rows(tx.as_mut(), &part).await;
            for row in rows.map_err(StoreError::from)? {
                copied.rows += 1;
                copied.deployments += u64::from(table.name == "deployments");
                let mut line = table.line(row);
                for name in JSON {
                    let Some(Value::String(text)) = line.get(*name) else {
                        continue;
                    };
                    let parsed = serde_json::from_str(text).map_err(|error| {
                        let why = format!("a {name} of {} cannot be read: {error}", table.name);
                        StoreError::from(Fault::damaged(why))
                    })?;
                    line.insert((*name).to_owned(), parsed);
                }
                writeln!(to, "{}", Value::Object(line))?;
            }
        }
    }
    to.flush()?;
    Ok(copied)
}
