//! Connections: how they are made.

use super::error::store_error;
use super::options::{Purpose, Server};
use belay_engine::ports::StoreError;
use sqlx::postgres::PgPoolOptions;
use sqlx::{ConnectOptions, PgConnection, PgPool};
use std::io;
use std::time::Duration;
use tokio::time::timeout;

/// How long a server may take to let us in.
const CONNECT: Duration = Duration::from_secs(5);

/// How long who reads waits for a connection, while the server is away, too.
const ACQUIRE: Duration = Duration::from_secs(10);

pub(super) async fn connect(server: &Server, purpose: Purpose) -> Result<PgConnection, StoreError> {
    let dialled = dial(server, purpose).await;
    dialled.map_err(|error| store_error(&error))
}

/// The same, with the error as it is.
pub(super) async fn dial(server: &Server, purpose: Purpose) -> Result<PgConnection, sqlx::Error> {
    let settings = server.settings(purpose);
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "it does not answer");
    timeout(CONNECT, settings.connect()).await.map_err(late)?
}

/// Connections that are made when they are needed, and made again when the server was away.
pub(super) fn pool(server: &Server, purpose: Purpose, connections: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections.max(1))
        .acquire_timeout(ACQUIRE)
        .connect_lazy_with(server.settings(purpose))
}
