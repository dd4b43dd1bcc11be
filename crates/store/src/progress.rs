//! Progress lines: helpful, never load-bearing. They live in a file of their own that is not synced; if it is
//! damaged it is thrown away, and what cannot be written is dropped.

use crate::connection;
use crate::error::store_error;
use belay_engine::ports::StoreError;
use belay_model::id::DeploymentId;
use sqlx::SqlitePool;
use std::path::Path;

/// Bytes of a line; the rest is cut off.
const MAX_LINE: usize = 4096;

/// Lines kept per deployment, and how often the older ones are removed.
const KEPT: i64 = 5_000;
const PRUNED_EVERY: i64 = 256;

/// None where the file cannot be written: then there are no lines.
pub(crate) struct Progress(Option<SqlitePool>);

impl Progress {
    pub(crate) async fn open(dir: &Path) -> Self {
        let mut opened = Self::try_open(dir).await;
        if let Err(StoreError::Damaged(why)) = &opened {
            tracing::warn!(why, "progress lines are damaged; they are thrown away");
            for name in ["progress.db", "progress.db-wal", "progress.db-shm"] {
                let _ = std::fs::remove_file(dir.join(name));
            }
            opened = Self::try_open(dir).await;
        }
        let pool = opened.inspect_err(|error| tracing::debug!(%error, "no progress lines here"));
        Self(pool.ok())
    }

    async fn try_open(dir: &Path) -> Result<SqlitePool, StoreError> {
        let pool = connection::progress(dir).await?;
        sqlx::query(
            "CREATE TABLE IF NOT EXISTS progress (
               position INTEGER PRIMARY KEY AUTOINCREMENT,
               deployment TEXT NOT NULL, at_us BIGINT NOT NULL, line TEXT NOT NULL)",
        )
        .execute(&pool)
        .await
        .map_err(|e| store_error(&e))?;
        sqlx::query(
            "CREATE INDEX IF NOT EXISTS progress_deployment ON progress (deployment, position)",
        )
        .execute(&pool)
        .await
        .map_err(|e| store_error(&e))?;
        Ok(pool)
    }

    pub(crate) async fn add(&self, id: &DeploymentId, at_us: i64, line: &str) {
        let Some(pool) = &self.0 else { return };
        let line = line
            .get(..line.floor_char_boundary(MAX_LINE))
            .unwrap_or(line);
        let added: Result<(i64,), _> = sqlx::query_as(
            "INSERT INTO progress (deployment, at_us, line) VALUES ($1, $2, $3) RETURNING position",
        )
        .bind(id.as_str())
        .bind(at_us)
        .bind(line)
        .fetch_one(pool)
        .await;
        match added {
            Ok((position,)) if position % PRUNED_EVERY == 0 => prune(pool, id).await,
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "a progress line is lost"),
        }
    }

    pub(crate) async fn after(
        &self,
        id: &DeploymentId,
        after: i64,
    ) -> Result<Vec<(i64, i64, String)>, StoreError> {
        let Some(pool) = &self.0 else {
            return Ok(Vec::new());
        };
        sqlx::query_as(
            "SELECT position, at_us, line FROM progress
             WHERE deployment = $1 AND position > $2 ORDER BY position",
        )
        .bind(id.as_str())
        .bind(after)
        .fetch_all(pool)
        .await
        .map_err(|e| store_error(&e))
    }

    /// Removes lines older than a time; answers how many.
    pub(crate) async fn prune_before(&self, before_us: i64) -> Result<u64, StoreError> {
        let Some(pool) = &self.0 else { return Ok(0) };
        let pruned = sqlx::query("DELETE FROM progress WHERE at_us < $1")
            .bind(before_us)
            .execute(pool)
            .await;
        pruned
            .map(|done| done.rows_affected())
            .map_err(|e| store_error(&e))
    }

    pub(crate) async fn close(&self) {
        if let Some(pool) = &self.0 {
            pool.close().await;
        }
    }
}

async fn prune(pool: &SqlitePool, id: &DeploymentId) {
    let pruned = sqlx::query(
        "DELETE FROM progress WHERE deployment = $1 AND position <=
           (SELECT position FROM progress WHERE deployment = $1
            ORDER BY position DESC LIMIT 1 OFFSET $2)",
    )
    .bind(id.as_str())
    .bind(KEPT)
    .execute(pool)
    .await;
    if let Err(error) = pruned {
        tracing::debug!(%error, "old progress lines are not removed");
    }
}
