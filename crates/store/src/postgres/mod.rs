//! The store on PostgreSQL: for several workers, on several machines. How commits are ordered, and what is done when the
//! answer to one is lost, is in docs/adr/0006-postgres-store.md.

mod connection;
mod error;
mod health;
mod lane;
pub(crate) mod leases;
mod link;
mod options;
mod scopes;
mod sql;
mod tables;
mod tls;
mod watch;

use crate::blobs::{BlobError, Blobs};
use crate::change::{Answer, Change};
use crate::database::{Counters, Database, Health, Leases, Stats};
use crate::mailbox::Mailbox;
use crate::progress;
use crate::sql::Sql;
use crate::store::SqlStore;
use crate::views::Views;
use async_trait::async_trait;
use belay_engine::ports::StoreError;
use belay_model::event::Event;
use belay_model::id::DeploymentId;
use error::store_error;
use options::{Purpose, Server};
use sql::On;
use sqlx::PgPool;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::task::AbortHandle;
use watch::Pulse;

pub use options::PostgresOptions;
pub use tables::{OpenError, Tables};

/// `changed` returns after this long at the latest: it is a hint, and hints may be lost.
const PATIENCE: Duration = Duration::from_secs(1);

/// The store on a PostgreSQL server.
pub type PostgresStore = SqlStore<Postgres>;

/// A database of a PostgreSQL server, opened.
pub struct Postgres {
    server: Server,
    /// Journals: whoever writes to one deployment comes through one of them, in order.
    lanes: Vec<Mailbox>,
    /// What may wait for others, and so shares a transaction with nobody.
    alone: Mailbox,
    /// Claims wait for each other, also those of other workers.
    claims: Mailbox,
    /// Renewals wait for nobody: they are late soon.
    renewals: Mailbox,
    leases: Leases,
    readers: PgPool,
    progress: PgPool,
    pulse: Pulse,
    /// How often it looks for what nobody told it.
    poll: Duration,
    counters: Arc<Counters>,
    watching: OnceLock<AbortHandle>,
}

impl SqlStore<Postgres> {
    /// Opens the store in a database that is there, and makes or brings up to date its tables. Needs a tokio runtime,
    /// and belongs to it.
    ///
    /// # Errors
    /// `Unwritable` when the server cannot be reached or refuses us, `Newer` when a newer Belay wrote there. No error
    /// contains the password.
    pub async fn open(options: PostgresOptions) -> Result<Self, StoreError> {
        Ok(Self::connect(options, Tables::Migrated).await?)
    }

    /// The same, saying what is done about tables that are missing or old, and more exactly why it was not opened.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn connect(options: PostgresOptions, tables: Tables) -> Result<Self, OpenError> {
        let server = Server::new(&options.url)?;
        tables::prepare(&server, tables).await?;
        let database = Arc::new(Postgres::new(server, &options));
        Ok(Self {
            views: Views::default(),
            database,
        })
    }

    /// Blobs sealed with `key` (64 hex digits, the value of `BELAY_KEY`), else with the key in the file `path`, which
    /// is made on first use. All who use the store need the same key.
    ///
    /// # Errors
    /// When the key is not the one that the store is sealed with, or is gone, or others may read it.
    pub async fn blobs(&self, key: Option<&str>, path: &Path) -> Result<Blobs, BlobError> {
        Blobs::open(self.database.clone(), key, path).await
    }
}

impl Postgres {
    fn new(server: Server, options: &PostgresOptions) -> Self {
        let pulse = Pulse::new();
        let counters = Arc::new(Counters::default());
        let lane = |group| lane::start(server.clone(), group, pulse.clone(), counters.clone());
        Self {
            lanes: (0..options.writers.max(1)).map(|_| lane(true)).collect(),
            alone: lane(false),
            claims: lane(false),
            renewals: lane(false),
            leases: Leases {
                each: options.lease,
                per_environment: options.leases_per_environment,
            },
            readers: connection::pool(&server, Purpose::Read, options.readers),
            progress: connection::pool(&server, Purpose::Progress, 1),
            server,
            pulse,
            poll: options.poll,
            counters,
            watching: OnceLock::new(),
        }
    }

    /// The same lane for everything about one thing, so that requests are made in the order in which they came.
    fn lane(&self, change: &Change) -> &Mailbox {
        let mut hash = DefaultHasher::new();
        match change {
            Change::Create { id, created, .. } => match &**created {
                Event::Created(inputs) => inputs.scope.hash(&mut hash),
                _ => id.hash(&mut hash),
            },
            Change::All(changes) => {
                return changes
                    .first()
                    .map_or(&self.alone, |first| self.lane(first));
            }
            Change::Environment(scope, ..) => scope.hash(&mut hash),
            Change::Append(batch) => batch.deployment.hash(&mut hash),
            Change::Evidence(id, _) => id.hash(&mut hash),
            Change::Claim(_) | Change::Resign(_) => return &self.claims,
            Change::Renew(..) => return &self.renewals,
            Change::Release(_)
            | Change::Blob { .. }
            | Change::CollectBlobs { .. }
            | Change::Archive(_)
            | Change::Depot(_)
            | Change::Meta(..) => return &self.alone,
        }
        let lanes = u64::try_from(self.lanes.len()).unwrap_or(1);
        let nth = usize::try_from(hash.finish() % lanes).unwrap_or(0);
        &self.lanes[nth]
    }

    /// Starts to look for commits of others, on the first call that wants to know.
    fn watch(&self) {
        self.watching.get_or_init(|| {
            let watching = watch::watch(
                self.server.clone(),
                self.readers.clone(),
                self.pulse.clone(),
                self.poll,
            );
            tokio::spawn(watching).abort_handle()
        });
    }
}

#[async_trait]
impl Database for Postgres {
    async fn read(&self) -> Result<Box<dyn Sql>, StoreError> {
        let connection = self.readers.acquire().await.map_err(|e| store_error(&e))?;
        Ok(Box::new(On(connection)))
    }

    async fn snapshot(&self) -> Result<Box<dyn Sql>, StoreError> {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let transaction = self.readers.begin_with(begin).await;
        Ok(Box::new(On(transaction.map_err(|e| store_error(&e))?)))
    }

    async fn bulk(&self) -> Result<Box<dyn Sql>, StoreError> {
        let mut tx = On(Box::new(
            connection::connect(&self.server, Purpose::Migrate).await?,
        ));
        tx.execute("BEGIN ISOLATION LEVEL READ COMMITTED", &[])
            .await?;
        Ok(Box::new(tx))
    }

    async fn change(&self, change: Change) -> Result<Answer, StoreError> {
        self.lane(&change).change(change).await
    }

    async fn require_writable(&self) -> Result<(), StoreError> {
        self.alone.require().await
    }

    async fn self_check(&self) -> Result<Vec<String>, StoreError> {
        let missing: Vec<(String,)> = sqlx::query_as(
            "SELECT name FROM UNNEST(ARRAY['events_no_change', 'events_no_truncate',
                 'archived_events_no_change', 'archived_events_no_truncate', 'environment_events_no_change', 'environment_events_no_truncate']) AS name
             WHERE NOT EXISTS (SELECT 1 FROM pg_trigger
                 WHERE tgname = name AND tgenabled IN ('O', 'A')
                   AND tgrelid IN ('events'::regclass, 'archived_events'::regclass, 'environment_events'::regclass))",
        )
        .fetch_all(&self.readers)
        .await
        .map_err(|e| store_error(&e))?;
        let lines = missing
            .into_iter()
            .map(|(name,)| format!("the trigger {name} is not there, or is disabled"));
        Ok(lines.collect())
    }

    async fn health(&self) -> Result<Vec<Health>, StoreError> {
        health::health(self).await
    }

    async fn add_progress(&self, id: &DeploymentId, at_us: i64, line: &str) {
        // The one character that PostgreSQL does not keep.
        let line = line.replace('\0', "\u{fffd}");
        let added = match self.progress.acquire().await {
            Ok(connection) => progress::add(&mut On(connection), id, at_us, &line)
                .await
                .map_err(|fault| fault.error),
            Err(error) => Err(store_error(&error)),
        };
        if let Err(error) = added {
            tracing::debug!(%error, "a progress line is lost");
        }
    }

    async fn progress(
        &self,
        id: &DeploymentId,
        after: i64,
    ) -> Result<Vec<(i64, i64, String)>, StoreError> {
        Ok(progress::after(self.read().await?.as_mut(), id, after).await?)
    }

    async fn prune_progress(&self, before_us: i64) -> Result<u64, StoreError> {
        let mut connection = self.progress.acquire().await.map_err(|e| store_error(&e))?;
        // Of connections that wrote last so long ago that nobody asks any more what became of a commit.
        sqlx::query("DELETE FROM writers WHERE at < clock_timestamp() - INTERVAL '7 days'")
            .execute(&mut *connection)
            .await
            .map_err(|e| store_error(&e))?;
        Ok(progress::prune_before(&mut On(connection), before_us).await?)
    }

    fn generation(&self) -> u64 {
        self.watch();
        self.pulse.count()
    }

    async fn changed(&self, since: u64) {
        self.watch();
        let _ = tokio::time::timeout(PATIENCE, self.pulse.wait(since)).await;
    }

    fn leases(&self) -> Option<Leases> {
        Some(self.leases)
    }

    fn stats(&self) -> Stats {
        self.counters.stats()
    }

    async fn close(&self) {
        if let Some(watching) = self.watching.get() {
            watching.abort();
        }
        let others = [&self.alone, &self.claims, &self.renewals];
        for lane in self.lanes.iter().chain(others) {
            lane.close().await;
        }
        self.readers.close().await;
        self.progress.close().await;
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(watching) = self.watching.get() {
            watching.abort();
        }
    }
}
