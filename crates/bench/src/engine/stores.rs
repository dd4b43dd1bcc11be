//! Where a store is, so that this process and its workers open the same one; and what is put into it.

use super::{ports, simulated};
use anyhow::{Context, Result, anyhow, ensure};
use belay_engine::ports::Store;
use belay_model::event::Outcome;
use belay_model::id::DeploymentId;
use belay_model::summary::Phase;
use belay_store::{Options, PostgresOptions, PostgresStore, SqliteStore};
use belay_testbed::{Postgres, Version};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Leases of one environment name, where a store bounds them: what is measured is not that bound.
const LEASES: usize = 100_000;
/// Requests made at once: they share commits.
const AT_ONCE: usize = 256;
/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Opens a store: the directory of one on SQLite, or the URL of one on PostgreSQL.
pub(crate) async fn open(place: &str) -> Result<Arc<dyn Store>> {
    if place.starts_with("postgres://") {
        let options = PostgresOptions {
            leases_per_environment: LEASES,
            ..PostgresOptions::new(place)
        };
        return Ok(Arc::new(PostgresStore::open(options).await?));
    }
    let store = SqliteStore::open(Path::new(place), Options::default()).await?;
    Ok(Arc::new(store))
}

/// A server of our own.
pub(crate) async fn server() -> Result<Postgres> {
    let server = tokio::task::spawn_blocking(|| Postgres::start(Version::V15)).await?;
    server.map_err(|why| anyhow!(why))
}

/// A database on it; answers its URL.
pub(crate) async fn database(server: &Postgres, name: &str) -> Result<String> {
    let mut connection = PgConnection::connect(&server.url(Postgres::DATABASE)).await?;
    let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::raw_sql(create).execute(&mut connection).await?;
    connection.close().await?;
    Ok(server.url(name))
}

/// One deployment each of so many services, from number `first`.
pub(crate) async fn create(
    store: &Arc<dyn Store>,
    services: std::ops::Range<usize>,
    copies: usize,
    bake_ms: u64,
) -> Result<Vec<DeploymentId>> {
    let mut ids = Vec::new();
    let mut creating = JoinSet::new();
    for number in services {
        if creating.len() >= AT_ONCE {
            creating.join_next().await.context("one of them")???;
        }
        let id = DeploymentId::new(format!("dep_{number:05}"));
        ids.push(id.clone());
        let store = store.clone();
        creating.spawn(async move {
            let created = simulated::created(&format!("service-{number:05}"), copies, bake_ms);
            let created = store.create(&id, ports::now_us(), created, Vec::new(), 1);
            created.await.with_context(|| format!("create {id}"))
        });
    }
    while let Some(created) = creating.join_next().await {
        created??;
    }
    Ok(ids)
}

/// Until all that are open are in that phase. Asks seldom: whoever asks is in the way of whoever works.
pub(crate) async fn until_all(store: &Arc<dyn Store>, phase: Phase) -> Result<()> {
    let began = Instant::now();
    while !store.open().await?.iter().all(|open| open.phase == phase) {
        ensure!(began.elapsed() < PATIENCE, "they do not become {phase}");
        sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}

/// All of them ended well.
pub(crate) async fn check(store: &Arc<dyn Store>, ids: &[DeploymentId]) -> Result<()> {
    for id in ids {
        let summary = store.summary(id).await?.context("a summary")?;
        let is_well = summary.outcome == Some(Outcome::Succeeded);
        ensure!(is_well, "{id} did not succeed: {summary:#?}");
    }
    Ok(())
}
