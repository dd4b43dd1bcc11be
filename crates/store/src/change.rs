//! Everything that may be written to `belay.db`, as data for the writer, and what it answers.

use crate::error::{Refusal, unreadable};
use crate::journal;
use belay_engine::ports::{Batch, Evidence, StoreError};
use belay_model::id::{BlobId, DeploymentId, ReleaseNumber, Scope};
use belay_model::release::Release;
use belay_model::{environment, event};
use sha2::{Digest, Sha256};
use sqlx::SqliteConnection;
use std::collections::BTreeSet;

/// Bytes of one event or one evidence entry at most (I11).
pub(crate) const MAX_BODY: usize = 1 << 20;

/// Evidence entries per deployment at most (I11).
const MAX_EVIDENCE: i64 = 100_000;

/// One request; all of it becomes durable, or nothing.
pub(crate) enum Change {
    Create {
        id: DeploymentId,
        at_us: i64,
        created: Box<event::Event>,
        environment: Vec<(i64, environment::Event)>,
        limit: usize,
    },
    Append(Batch),
    Environment(Scope, Vec<(i64, environment::Event)>),
    Evidence(DeploymentId, Vec<Evidence>),
    Release(Box<Release>),
    /// Keeps a sealed blob unless one with that digest is there; answers the id of the one that is.
    Blob {
        id: BlobId,
        digest: String,
        sealed: Vec<u8>,
        at_us: i64,
    },
    /// Removes blobs that nobody names and that were not asked for since.
    CollectBlobs {
        keep: BTreeSet<BlobId>,
        before_us: i64,
    },
    /// Keeps a fact under a name unless there is one; answers the one that is there.
    Meta(&'static str, String),
}

/// What a change answers.
#[derive(Debug)]
pub(crate) enum Answer {
    Done,
    Entries(Vec<event::Entry>),
    Release(Box<Release>),
    Text(String),
    Blobs(Vec<BlobId>),
}

impl Change {
    /// Makes the change inside the transaction that is open on `tx`.
    pub(crate) async fn apply(&self, tx: &mut SqliteConnection) -> Result<Answer, Refusal> {
        match self {
            Change::Create {
                id,
                at_us,
                created,
                environment,
                limit,
            } => {
                journal::create(tx, id, *at_us, created, environment, *limit).await?;
                Ok(Answer::Done)
            }
            Change::Append(batch) => Ok(Answer::Entries(journal::append(tx, batch).await?)),
            Change::Environment(scope, events) => {
                journal::append_environment(tx, scope, events).await?;
                Ok(Answer::Done)
            }
            Change::Evidence(id, evidence) => add_evidence(tx, id, evidence).await,
            Change::Release(candidate) => number_release(tx, candidate).await,
            Change::Blob {
                id,
                digest,
                sealed,
                at_us,
            } => keep_blob(tx, id, digest, sealed, *at_us).await,
            Change::CollectBlobs { keep, before_us } => collect_blobs(tx, keep, *before_us).await,
            Change::Meta(name, value) => keep_meta(tx, name, value).await,
        }
    }
}

async fn add_evidence(
    tx: &mut SqliteConnection,
    id: &DeploymentId,
    evidence: &[Evidence],
) -> Result<Answer, Refusal> {
    let (mut seq,): (i64,) =
        sqlx::query_as("SELECT COALESCE(MAX(seq), 0) FROM evidence WHERE deployment = $1")
            .bind(id.as_str())
            .fetch_one(&mut *tx)
            .await?;
    for one in evidence {
        seq += 1;
        let counts = one.counts.to_string();
        if seq > MAX_EVIDENCE || counts.len() > MAX_BODY || one.cursor.len() > MAX_BODY {
            return Err(StoreError::TooLarge(format!("evidence of deployment {id}")).into());
        }
        sqlx::query(
            "INSERT INTO evidence (deployment, seq, step, at_us, cursor, counts)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(id.as_str())
        .bind(seq)
        .bind(one.step.to_string())
        .bind(one.at_us)
        .bind(one.cursor.as_str())
        .bind(counts)
        .execute(&mut *tx)
        .await?;
    }
    Ok(Answer::Done)
}

/// What makes a release another one. Not where it came from or when: the same bits and configuration are the same
/// release.
fn content_of(release: &Release) -> String {
    let content = serde_json::json!({
        "format": release.format,
        "artifact": release.artifact,
        "config": release.config,
    });
    hex::encode(Sha256::digest(content.to_string()))
}

async fn number_release(tx: &mut SqliteConnection, candidate: &Release) -> Result<Answer, Refusal> {
    let content = content_of(candidate);
    let known: Option<(String,)> =
        sqlx::query_as("SELECT body FROM releases WHERE service = $1 AND content = $2")
            .bind(candidate.service.as_str())
            .bind(content.as_str())
            .fetch_optional(&mut *tx)
            .await?;
    if let Some((body,)) = known {
        let release = serde_json::from_str(&body).map_err(|e| unreadable("a release", &e))?;
        return Ok(Answer::Release(Box::new(release)));
    }
    let (last,): (i64,) =
        sqlx::query_as("SELECT COALESCE(MAX(number), 0) FROM releases WHERE service = $1")
            .bind(candidate.service.as_str())
            .fetch_one(&mut *tx)
            .await?;
    let number = u32::try_from(last + 1)
        .map_err(|_| StoreError::TooLarge(format!("releases of {}", candidate.service)))?;
    let release = Release {
        number: ReleaseNumber(number),
        ..candidate.clone()
    };
    let body = serde_json::to_string(&release).map_err(|e| unreadable("a release", &e))?;
    if body.len() > MAX_BODY {
        return Err(StoreError::TooLarge(format!("a release of {}", candidate.service)).into());
    }
    sqlx::query("INSERT INTO releases (service, number, content, body) VALUES ($1, $2, $3, $4)")
        .bind(candidate.service.as_str())
        .bind(i64::from(number))
        .bind(content)
        .bind(body)
        .execute(&mut *tx)
        .await?;
    Ok(Answer::Release(Box::new(release)))
}

async fn keep_blob(
    tx: &mut SqliteConnection,
    id: &BlobId,
    digest: &str,
    sealed: &[u8],
    at_us: i64,
) -> Result<Answer, Refusal> {
    // One that is there already counts as young again, so that a collection in between does not take it from
    // whoever is about to name it.
    sqlx::query(
        "INSERT INTO blobs (id, digest, sealed, created_at_us) VALUES ($1, $2, $3, $4)
         ON CONFLICT (digest) DO UPDATE SET created_at_us = excluded.created_at_us",
    )
    .bind(id.as_str())
    .bind(digest)
    .bind(sealed)
    .bind(at_us)
    .execute(&mut *tx)
    .await?;
    let (kept,): (String,) = sqlx::query_as("SELECT id FROM blobs WHERE digest = $1")
        .bind(digest)
        .fetch_one(&mut *tx)
        .await?;
    Ok(Answer::Text(kept))
}

async fn collect_blobs(
    tx: &mut SqliteConnection,
    keep: &BTreeSet<BlobId>,
    before_us: i64,
) -> Result<Answer, Refusal> {
    let old: Vec<(String,)> =
        sqlx::query_as("SELECT id FROM blobs WHERE created_at_us < $1 ORDER BY id")
            .bind(before_us)
            .fetch_all(&mut *tx)
            .await?;
    let gone: Vec<BlobId> = old
        .into_iter()
        .map(|(id,)| BlobId::new(id))
        .filter(|id| !keep.contains(id))
        .collect();
    for id in &gone {
        sqlx::query("DELETE FROM blobs WHERE id = $1")
            .bind(id.as_str())
            .execute(&mut *tx)
            .await?;
    }
    Ok(Answer::Blobs(gone))
}

async fn keep_meta(tx: &mut SqliteConnection, name: &str, value: &str) -> Result<Answer, Refusal> {
    sqlx::query("INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
        .bind(name)
        .bind(value)
        .execute(&mut *tx)
        .await?;
    let (kept,): (String,) = sqlx::query_as("SELECT value FROM meta WHERE name = $1")
        .bind(name)
        .fetch_one(&mut *tx)
        .await?;
    Ok(Answer::Text(kept))
}
