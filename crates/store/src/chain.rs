//! The hash chain: each entry's hash covers the one before it, so that nothing can be changed, removed or swapped
//! unseen. It proves order and content against accident and casual edits; who can rewrite the whole file can rewrite
//! the chain with it.

use crate::sql::{Sql, optional, query, values};
use belay_engine::ports::StoreError;
use belay_model::id::{DeploymentId, Scope};
use sha2::{Digest, Sha256};

/// The first link that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenLink {
    /// Position of the entry, from 1.
    pub seq: u64,
    /// What is wrong with it, in words.
    pub why: String,
}

/// Where the chain of a deployment begins: its name, so that entries cannot be moved to another one.
pub(crate) fn root_of_deployment(id: &DeploymentId) -> String {
    hex::encode(Sha256::digest(format!("belay/1 deployment {id}")))
}

/// Where the chain of an environment stream begins.
pub(crate) fn root_of_scope(scope: &Scope) -> String {
    hex::encode(Sha256::digest(format!("belay/1 environment {scope}")))
}

/// Hash of an entry: SHA-256 over the hash before it (hex), its position, time and format (64 bits, big endian), and
/// its body as stored. Lower-case hex.
pub(crate) fn link(previous: &str, seq: i64, at_us: i64, format: i64, body: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(previous);
    hash.update(seq.to_be_bytes());
    hash.update(at_us.to_be_bytes());
    hash.update(format.to_be_bytes());
    hash.update(body);
    hex::encode(hash.finalize())
}

/// A row as the chain sees it: position, time, format, body, hash.
type Row = (i64, i64, i64, String, String);

/// Where the projection says that the chain ends: position and hash.
type Head = Option<(i64, String)>;

/// `tx` sees one moment, so that an append in between is not taken for a break.
pub(crate) async fn verify_deployment(
    tx: &mut dyn Sql,
    id: &DeploymentId,
) -> Result<Option<BrokenLink>, StoreError> {
    let head: Head = optional(
        tx,
        "SELECT head_seq, head_hash FROM deployments WHERE id = $1",
        values![id.as_str()],
    )
    .await?;
    let rows: Vec<Row> = query(
        tx,
        "SELECT seq, at_us, format, body, hash FROM events WHERE deployment = $1
         UNION ALL SELECT seq, at_us, format, body, hash FROM archived_events WHERE deployment = $1
         ORDER BY seq",
        values![id.as_str()],
    )
    .await?;
    if head.is_none() && rows.is_empty() {
        return Err(StoreError::Missing(format!("deployment {id}")));
    }
    Ok(first_break(root_of_deployment(id), &rows, head))
}

/// `tx` sees one moment.
pub(crate) async fn verify_scope(
    tx: &mut dyn Sql,
    scope: &Scope,
) -> Result<Option<BrokenLink>, StoreError> {
    let head: Head = optional(
        tx,
        "SELECT head_seq, head_hash FROM environments WHERE service = $1 AND environment = $2",
        values![scope.service.as_str(), scope.environment.as_str()],
    )
    .await?;
    let rows: Vec<Row> = query(
        tx,
        "SELECT seq, at_us, format, body, hash FROM environment_events
         WHERE service = $1 AND environment = $2 ORDER BY seq",
        values![scope.service.as_str(), scope.environment.as_str()],
    )
    .await?;
    if head.as_ref().is_none_or(|(seq, _)| *seq == 0) && rows.is_empty() {
        return Ok(None);
    }
    Ok(first_break(root_of_scope(scope), &rows, head))
}

fn first_break(root: String, rows: &[Row], head: Head) -> Option<BrokenLink> {
    let broken = |seq: i64, why: &str| {
        Some(BrokenLink {
            seq: seq.unsigned_abs(),
            why: why.to_owned(),
        })
    };
    let mut previous = root;
    for (expected, (seq, at_us, format, body, hash)) in (1..).zip(rows) {
        if *seq < expected {
            return broken(*seq, "it is there twice");
        }
        if *seq != expected {
            return broken(expected, "it is missing");
        }
        if link(&previous, *seq, *at_us, *format, body) != *hash {
            return broken(*seq, "its content does not fit its hash");
        }
        previous.clone_from(hash);
    }
    let last = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    match head {
        None => broken(
            1,
            "the list of deployments and environments does not know it",
        ),
        Some((seq, _)) if seq > last => broken(last + 1, "it is missing at the end"),
        Some((seq, _)) if seq < last => broken(seq + 1, "it was added past the end"),
        Some((_, hash)) if hash != previous => broken(last, "its hash is not the one at the end"),
        Some(_) => None,
    }
}
