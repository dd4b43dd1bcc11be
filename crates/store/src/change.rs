//! Everything that may be written, as data for a writer, and what it answers.

use crate::artifacts::depot;
use crate::error::{Refusal, unreadable};
use crate::leases::{self, Claim};
use crate::plans::Plans;
use crate::sql::{Dialect, Sql, one, optional, query, values};
use crate::{archive, journal, postgres, stream};
use belay_engine::lease::{Lease, Owner};
use belay_engine::ports::{Batch, Evidence, StoreError, Writer};
use belay_model::id::{BlobId, DeploymentId, ReleaseNumber, Scope};
use belay_model::release::Release;
use belay_model::{environment, event};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// Bytes of one release or one evidence entry at most (I11).
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
    /// All of them in this order, or none.
    All(Vec<Change>),
    /// Appends to a stream; a worker with its epoch.
    Environment(Scope, Option<u64>, Vec<(i64, environment::Event)>),
    Claim(Box<Claim>),
    /// Lets an owner live for so many microseconds from now; answers what it has.
    Renew(Owner, i64),
    Resign(Owner),
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
    /// Moves journals of deployments that ended into the archive; answers how many.
    Archive(Vec<DeploymentId>),
    /// About an artifact that all machines have.
    Depot(depot::Change),
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
    /// How many rows were changed.
    Count(u64),
    Leases(Vec<Lease>),
}

impl Change {
    /// Whether it is only about who holds what, which a fall of the whole machine ends anyway.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(
            self,
            Change::Claim(_) | Change::Renew(..) | Change::Resign(_)
        )
    }

    /// What a batch comes to.
    pub(crate) fn of(mut batch: Batch) -> Result<Self, StoreError> {
        let Writer::New { limit } = batch.writer else {
            return Ok(Self::Append(batch));
        };
        if batch.events.len() != 1 {
            let why = format!("{} does not begin with `created` alone", batch.deployment);
            return Err(StoreError::Damaged(why));
        }
        let (at_us, created) = batch.events.remove(0);
        Ok(Self::Create {
            id: batch.deployment,
            at_us,
            created: Box::new(created),
            environment: batch.environment,
            limit,
        })
    }

    /// Makes the change inside the transaction that is open on `tx`.
    pub(crate) async fn apply(
        &self,
        tx: &mut dyn Sql,
        plans: &mut Plans,
    ) -> Result<Answer, Refusal> {
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
            Change::Append(batch) => Ok(Answer::Entries(journal::append(tx, plans, batch).await?)),
            Change::All(changes) => {
                for change in changes {
                    Box::pin(change.apply(tx, plans)).await?;
                }
                Ok(Answer::Done)
            }
            Change::Environment(scope, epoch, events) => {
                stream::append_as(tx, scope, *epoch, events).await?;
                Ok(Answer::Done)
            }
            Change::Claim(claim) => Ok(Answer::Leases(claim.make(tx).await?)),
            Change::Renew(owner, lives_us) => Ok(Answer::Leases(match tx.dialect() {
                Dialect::Sqlite => leases::of_owner(tx, &owner.name).await?,
                Dialect::Postgres => postgres::leases::renew(tx, owner, *lives_us).await?,
            })),
            Change::Resign(owner) => {
                if tx.dialect() == Dialect::Postgres {
                    postgres::leases::resign(tx, owner).await?;
                }
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
            Change::Archive(ids) => Ok(Answer::Count(archive::put_away(tx, ids).await?)),
            Change::Depot(change) => Ok(Answer::Count(change.apply(tx).await?)),
            Change::Meta(name, value) => keep_meta(tx, name, value).await,
        }
    }
}

async fn add_evidence(
    tx: &mut dyn Sql,
    id: &DeploymentId,
    evidence: &[Evidence],
) -> Result<Answer, Refusal> {
    let (mut seq,): (i64,) = one(
        tx,
        "SELECT COALESCE(MAX(seq), 0) FROM evidence WHERE deployment = $1",
        values![id.as_str()],
    )
    .await?;
    for entry in evidence {
        seq += 1;
        let counts = entry.counts.to_string();
        if seq > MAX_EVIDENCE || counts.len() > MAX_BODY || entry.cursor.len() > MAX_BODY {
            return Err(StoreError::TooLarge(format!("evidence of deployment {id}")).into());
        }
        tx.execute(
            "INSERT INTO evidence (deployment, seq, step, at_us, cursor, counts)
             VALUES ($1, $2, $3, $4, $5, $6)",
            values![
                id.as_str(),
                seq,
                &entry.step.to_string(),
                entry.at_us,
                entry.cursor.as_str(),
                &counts
            ],
        )
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

async fn number_release(tx: &mut dyn Sql, candidate: &Release) -> Result<Answer, Refusal> {
    let content = content_of(candidate);
    if tx.dialect() == Dialect::Postgres {
        // Two that number at the same time would both take the next number.
        tx.rows(
            "SELECT pg_advisory_xact_lock(hashtextextended('belay releases of ' || $1, 0))",
            values![candidate.service.as_str()],
        )
        .await?;
    }
    let known: Option<(String,)> = optional(
        tx,
        "SELECT body FROM releases WHERE service = $1 AND content = $2",
        values![candidate.service.as_str(), content.as_str()],
    )
    .await?;
    if let Some((body,)) = known {
        let release = serde_json::from_str(&body).map_err(|e| unreadable("a release", &e))?;
        return Ok(Answer::Release(Box::new(release)));
    }
    let (last,): (i64,) = one(
        tx,
        "SELECT COALESCE(MAX(number), 0) FROM releases WHERE service = $1",
        values![candidate.service.as_str()],
    )
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
    tx.execute(
        "INSERT INTO releases (service, number, content, body) VALUES ($1, $2, $3, $4)",
        values![
            candidate.service.as_str(),
            i64::from(number),
            &content,
            &body
        ],
    )
    .await?;
    Ok(Answer::Release(Box::new(release)))
}

async fn keep_blob(
    tx: &mut dyn Sql,
    id: &BlobId,
    digest: &str,
    sealed: &[u8],
    at_us: i64,
) -> Result<Answer, Refusal> {
    // One that is there already counts as young again, so that a collection in between does not take it from
    // whoever is about to name it.
    tx.execute(
        "INSERT INTO blobs (id, digest, sealed, created_at_us) VALUES ($1, $2, $3, $4)
         ON CONFLICT (digest) DO UPDATE SET created_at_us = excluded.created_at_us",
        values![id.as_str(), digest, sealed, at_us],
    )
    .await?;
    let (kept,): (String,) = one(
        tx,
        "SELECT id FROM blobs WHERE digest = $1",
        values![digest],
    )
    .await?;
    Ok(Answer::Text(kept))
}

async fn collect_blobs(
    tx: &mut dyn Sql,
    keep: &BTreeSet<BlobId>,
    before_us: i64,
) -> Result<Answer, Refusal> {
    let old: Vec<(String,)> = query(
        tx,
        "SELECT id FROM blobs WHERE created_at_us < $1 ORDER BY id",
        values![before_us],
    )
    .await?;
    let mut gone = Vec::new();
    for id in old.into_iter().map(|(id,)| BlobId::new(id)) {
        if keep.contains(&id) {
            continue;
        }
        // Perhaps it was asked for in between.
        let deleted = tx
            .execute(
                "DELETE FROM blobs WHERE id = $1 AND created_at_us < $2",
                values![id.as_str(), before_us],
            )
            .await?;
        if deleted > 0 {
            gone.push(id);
        }
    }
    Ok(Answer::Blobs(gone))
}

async fn keep_meta(tx: &mut dyn Sql, name: &str, value: &str) -> Result<Answer, Refusal> {
    tx.execute(
        "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
        values![name, value],
    )
    .await?;
    let (kept,): (String,) =
        one(tx, "SELECT value FROM meta WHERE name = $1", values![name]).await?;
    Ok(Answer::Text(kept))
}
