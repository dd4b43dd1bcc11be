//! Connections: how they are made, and the tables that they find.

use super::error::{lost, migration_error, store_error};
use super::options::{Purpose, Server};
use belay_engine::ports::StoreError;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgPoolOptions;
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};
use std::time::Duration;
use tokio::time::timeout;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations/postgres");

/// How long a server may take to let us in.
const CONNECT: Duration = Duration::from_secs(5);

/// How long who reads waits for a connection, while the server is away, too.
const ACQUIRE: Duration = Duration::from_secs(10);

pub(super) async fn connect(server: &Server, purpose: Purpose) -> Result<PgConnection, StoreError> {
    match timeout(CONNECT, server.settings(purpose).connect()).await {
        Ok(connected) => connected.map_err(|e| store_error(&e)),
        Err(_) => Err(lost("it does not answer").error),
    }
}

/// Makes the tables, or brings them up to date. Many processes may do it at once: sqlx takes an advisory lock.
pub(super) async fn migrate(server: &Server) -> Result<(), StoreError> {
    let mut connection = connect(server, Purpose::Migrate).await?;
    if !is_current(&mut connection).await? {
        // Not `run`: its future cannot be proved `Send` in here (rust-lang/rust#102211).
        let migrated = MIGRATIONS.run_direct(None, &mut connection, false).await;
        migrated.map_err(|e| migration_error(&e))?;
    }
    let _ = connection.close().await;
    Ok(())
}

/// Whether nothing has to be done, so that who may only use the tables can do so.
async fn is_current(connection: &mut PgConnection) -> Result<bool, StoreError> {
    let there: (bool,) = sqlx::query_as("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await
        .map_err(|e| store_error(&e))?;
    if !there.0 {
        return Ok(false);
    }
    let newest: (Option<i64>,) =
        sqlx::query_as("SELECT MAX(version) FROM _sqlx_migrations WHERE success")
            .fetch_one(&mut *connection)
            .await
            .map_err(|e| store_error(&e))?;
    let known = MIGRATIONS.iter().map(|migration| migration.version).max();
    if newest.0 > known {
        return Err(StoreError::Newer(format!(
            "its migration {} is not known here; use that version",
            newest.0.unwrap_or(0)
        )));
    }
    Ok(newest.0 == known)
}

/// Connections that are made when they are needed, and made again when the server was away.
pub(super) fn pool(server: &Server, purpose: Purpose, connections: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections.max(1))
        .acquire_timeout(ACQUIRE)
        .connect_lazy_with(server.settings(purpose))
}
