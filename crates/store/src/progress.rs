//! Progress lines: helpful, never load-bearing. What of them is the same on all databases.

use crate::error::Fault;
use crate::sql::{Sql, query, values};
use belay_model::id::DeploymentId;

/// Bytes of a line; the rest is cut off.
const MAX_LINE: usize = 4096;

/// Lines kept per deployment, and how often the older ones are removed.
const KEPT: i64 = 5_000;
const PRUNED_EVERY: i64 = 256;

pub(crate) async fn add(
    tx: &mut dyn Sql,
    id: &DeploymentId,
    at_us: i64,
    line: &str,
) -> Result<(), Fault> {
    let line = line
        .get(..line.floor_char_boundary(MAX_LINE))
        .unwrap_or(line);
    let added: Vec<(i64,)> = query(
        tx,
        "INSERT INTO progress (deployment, at_us, line) VALUES ($1, $2, $3) RETURNING position",
        values![id.as_str(), at_us, line],
    )
    .await?;
    if added.iter().any(|(position,)| position % PRUNED_EVERY == 0) {
        prune(tx, id).await?;
    }
    Ok(())
}

pub(crate) async fn after(
    tx: &mut dyn Sql,
    id: &DeploymentId,
    after: i64,
) -> Result<Vec<(i64, i64, String)>, Fault> {
    query(
        tx,
        "SELECT position, at_us, line FROM progress
         WHERE deployment = $1 AND position > $2 ORDER BY position",
        values![id.as_str(), after],
    )
    .await
}

/// Removes lines older than a time; answers how many.
pub(crate) async fn prune_before(tx: &mut dyn Sql, before_us: i64) -> Result<u64, Fault> {
    tx.execute("DELETE FROM progress WHERE at_us < $1", values![before_us])
        .await
}

async fn prune(tx: &mut dyn Sql, id: &DeploymentId) -> Result<u64, Fault> {
    tx.execute(
        "DELETE FROM progress WHERE deployment = $1 AND position <=
           (SELECT position FROM progress WHERE deployment = $1
            ORDER BY position DESC LIMIT 1 OFFSET $2)",
        values![id.as_str(), KEPT],
    )
    .await
}
