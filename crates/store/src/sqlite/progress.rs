//! Progress lines in a file of their own that is not synced; if it is damaged it is thrown away, and what cannot be
//! written is dropped.

use super::connection;
use super::error::store_error;
use super::sql::On;
use crate::progress;
use belay_engine::ports::StoreError;
use belay_model::id::DeploymentId;
use sqlx::SqlitePool;
use std::path::Path;

/// None where the file cannot be written: then there are no lines.
pub(super) struct Progress(Option<SqlitePool>);

impl Progress {
    pub(super) async fn open(dir: &Path) -> Self {
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

    pub(super) async fn add(&self, id: &DeploymentId, at_us: i64, line: &str) {
        let Some(pool) = &self.0 else { return };
        let added = match pool.acquire().await {
            Ok(connection) => progress::add(&mut On(connection), id, at_us, line)
                .await
                .map_err(|fault| fault.error),
            Err(error) => Err(store_error(&error)),
        };
        if let Err(error) = added {
            tracing::debug!(%error, "a progress line is lost");
        }
    }

    pub(super) async fn after(
        &self,
        id: &DeploymentId,
        after: i64,
    ) -> Result<Vec<(i64, i64, String)>, StoreError> {
        let Some(pool) = &self.0 else {
            return Ok(Vec::new());
        };
        let connection = pool.acquire().await.map_err(|e| store_error(&e))?;
        Ok(progress::after(&mut On(connection), id, after).await?)
    }

    pub(super) async fn prune_before(&self, before_us: i64) -> Result<u64, StoreError> {
        let Some(pool) = &self.0 else { return Ok(0) };
        let connection = pool.acquire().await.map_err(|e| store_error(&e))?;
        Ok(progress::prune_before(&mut On(connection), before_us).await?)
    }

    pub(super) async fn close(&self) {
        if let Some(pool) = &self.0 {
            pool.close().await;
        }
    }
}
