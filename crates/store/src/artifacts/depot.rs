//! Artifacts in the store that machines share: the manifest, and the pack of the files in chunks. One is there when all
//! its chunks are; who was cut off leaves a beginning that the next one completes, or a collection removes.
//!
//! Nothing is held in memory but a few chunks, and each is a transaction of its own: an artifact may have gigabytes.

use super::error::ArtifactError;
use super::manifest::Manifest;
use super::stream::{Given, Joiner, WAITING};
use crate::change::{self, Answer};
use crate::database::Database;
use crate::error::Fault;
use crate::sql::{Sql, optional, query, values};
use belay_engine::ports::StoreError;
use belay_model::id::ArtifactDigest;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// What may be written.
pub(crate) enum Change {
    /// Counts as added now, if it is there.
    Touch(ArtifactDigest),
    /// Says that chunks will come.
    Begin {
        digest: ArtifactDigest,
        manifest: String,
    },
    Chunk {
        digest: ArtifactDigest,
        nth: i64,
        data: Vec<u8>,
    },
    /// All chunks are there: so many bytes.
    Complete { digest: ArtifactDigest, bytes: i64 },
    /// Removes it unless it was added within so many microseconds.
    Remove {
        digest: ArtifactDigest,
        grace_us: i64,
    },
}

impl Change {
    /// How many rows were changed.
    pub(crate) async fn apply(&self, tx: &mut dyn Sql) -> Result<u64, Fault> {
        match self {
            Change::Touch(digest) => {
                tx.execute(
                    "UPDATE artifacts
                     SET used_at_us = (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT
                     WHERE digest = $1 AND complete = 1",
                    values![digest.as_str()],
                )
                .await
            }
            Change::Begin { digest, manifest } => {
                tx.execute(
                    "INSERT INTO artifacts (digest, manifest, complete, used_at_us)
                     VALUES ($1, $2, 0, (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT)
                     ON CONFLICT (digest) DO UPDATE SET used_at_us = excluded.used_at_us",
                    values![digest.as_str(), manifest],
                )
                .await
            }
            Change::Chunk { digest, nth, data } => {
                tx.execute(
                    "INSERT INTO artifact_chunks (artifact, nth, data) VALUES ($1, $2, $3)
                     ON CONFLICT (artifact, nth) DO UPDATE SET data = excluded.data
                     WHERE artifact_chunks.data <> excluded.data",
                    values![digest.as_str(), *nth, data.as_slice()],
                )
                .await
            }
            Change::Complete { digest, bytes } => {
                tx.execute(
                    "UPDATE artifacts SET complete = 1 WHERE digest = $1 AND $2 =
                       (SELECT COALESCE(SUM(OCTET_LENGTH(data)), 0) FROM artifact_chunks
                        WHERE artifact = $1)",
                    values![digest.as_str(), *bytes],
                )
                .await
            }
            Change::Remove { digest, grace_us } => {
                tx.execute(
                    "DELETE FROM artifacts WHERE digest = $1 AND
                       used_at_us < (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT - $2",
                    values![digest.as_str(), *grace_us],
                )
                .await
            }
        }
    }
}

/// See the module.
#[derive(Clone)]
pub(super) struct Depot {
    database: Arc<dyn Database>,
}

impl Depot {
    pub(super) fn new(database: Arc<dyn Database>) -> Self {
        Self { database }
    }

    async fn change(&self, change: Change) -> Result<u64, StoreError> {
        match self.database.change(change::Change::Depot(change)).await? {
            Answer::Count(count) => Ok(count),
            other => Err(StoreError::Damaged(format!(
                "the writer answered {other:?}"
            ))),
        }
    }

    /// Whether it is there; then it counts as added now, and is not collected before it is named.
    pub(super) async fn touch(&self, digest: &ArtifactDigest) -> Result<bool, StoreError> {
        Ok(self.change(Change::Touch(digest.clone())).await? > 0)
    }

    /// Adds what the manifest lists below `files`, which was verified.
    pub(super) async fn keep(
        &self,
        manifest: Manifest,
        files: PathBuf,
    ) -> Result<(), ArtifactError> {
        let digest = manifest.digest();
        let begin = Change::Begin {
            digest: digest.clone(),
            manifest: manifest.text().to_owned(),
        };
        self.change(begin).await?;
        let mut given = Given::of(manifest, files);
        let (mut nth, mut bytes) = (0, 0);
        while let Some(data) = given.chunk().await? {
            bytes += i64::try_from(data.len()).unwrap_or(i64::MAX);
            let digest = digest.clone();
            self.change(Change::Chunk { digest, nth, data }).await?;
            nth += 1;
        }
        match self.change(Change::Complete { digest, bytes }).await? {
            0 => {
                let why = "an artifact was removed while it was added; try again";
                Err(StoreError::Unwritable(why.to_owned()).into())
            }
            _ => Ok(()),
        }
    }

    /// The manifest of one that is there whole.
    pub(super) async fn manifest(
        &self,
        digest: &ArtifactDigest,
    ) -> Result<Option<Manifest>, ArtifactError> {
        let row: Option<(String,)> = optional(
            self.database.read().await?.as_mut(),
            "SELECT manifest FROM artifacts WHERE digest = $1 AND complete = 1",
            values![digest.as_str()],
        )
        .await
        .map_err(StoreError::from)?;
        let Some((text,)) = row else {
            return Ok(None);
        };
        let manifest = Manifest::parse(text, digest);
        let altered = || ArtifactError::Altered {
            digest: digest.clone(),
            what: "its list of files in the shared store".to_owned(),
        };
        manifest.map(Some).ok_or_else(altered)
    }

    /// Work that reads the chunks, and the stream of their bytes, for a thread that may wait.
    pub(super) fn chunks(
        &self,
        digest: &ArtifactDigest,
    ) -> (
        impl Future<Output = Result<(), StoreError>> + use<>,
        impl Read + Send + use<>,
    ) {
        let (sender, receiver) = mpsc::channel(WAITING);
        let (database, digest) = (self.database.clone(), digest.clone());
        let work = async move {
            for nth in 0.. {
                let row: Option<(Vec<u8>,)> = optional(
                    database.read().await?.as_mut(),
                    "SELECT data FROM artifact_chunks WHERE artifact = $1 AND nth = $2",
                    values![digest.as_str(), nth],
                )
                .await?;
                let Some((data,)) = row else { break };
                // Nobody wants the rest.
                if sender.send(data).await.is_err() {
                    break;
                }
            }
            Ok(())
        };
        (work, Joiner::of(receiver))
    }

    /// Removes what is not in `keep` and was not added within the grace; answers which.
    pub(super) async fn collect(
        &self,
        keep: &BTreeSet<ArtifactDigest>,
        grace: Duration,
    ) -> Result<Vec<ArtifactDigest>, StoreError> {
        let mut gone = Vec::new();
        for digest in self.list().await? {
            if keep.contains(&digest) {
                continue;
            }
            let remove = Change::Remove {
                digest: digest.clone(),
                grace_us: i64::try_from(grace.as_micros()).unwrap_or(i64::MAX),
            };
            if self.change(remove).await? > 0 {
                gone.push(digest);
            }
        }
        Ok(gone)
    }

    /// All of which anything is there.
    pub(super) async fn list(&self) -> Result<Vec<ArtifactDigest>, StoreError> {
        let rows: Vec<(String,)> = query(
            self.database.read().await?.as_mut(),
            "SELECT digest FROM artifacts ORDER BY digest",
            values![],
        )
        .await?;
        let digests = rows
            .into_iter()
            .map(|(digest,)| ArtifactDigest::new(digest));
        Ok(digests.collect())
    }
}
