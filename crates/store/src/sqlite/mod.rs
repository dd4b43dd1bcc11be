//! The store on SQLite: one file in `.belay/`, one connection that writes, hints between processes.

mod connection;
mod error;
mod hints;
pub(crate) mod leases;
mod progress;
mod sql;
mod writer;

use crate::blobs::{BlobError, Blobs};
use crate::change::{Answer, Change};
use crate::database::{Counters, Database, Health, Stats};
use crate::mailbox::{Mailbox, Message};
use crate::plans::Plans;
use crate::sql::Sql;
use crate::store::SqlStore;
use crate::views::Views;
use async_trait::async_trait;
use belay_engine::ports::StoreError;
use belay_model::id::DeploymentId;
use error::store_error;
use hints::Hints;
use progress::Progress;
use sql::On;
use sqlx::SqlitePool;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use writer::{Opener, Task};

/// How often we look for commits of others that sent no hint.
const POLL: Duration = Duration::from_millis(100);

/// `changed` returns after this long at the latest: it is a hint, and hints may be lost.
const PATIENCE: Duration = Duration::from_secs(1);

/// How a store on SQLite is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes that must be free on its disk; fewer: refused before anything changes. A rollback has to be journalled,
    /// too.
    pub reserve_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            reserve_bytes: 8 << 20,
        }
    }
}

/// The store in `.belay/`.
pub type SqliteStore = SqlStore<Sqlite>;

/// A SQLite file, opened.
pub struct Sqlite {
    dir: PathBuf,
    writer: Mailbox,
    readers: SqlitePool,
    progress: Progress,
    hints: Arc<Hints>,
    counters: Arc<Counters>,
    pulse: watch::Receiver<u64>,
    watching: OnceLock<AbortHandle>,
}

impl SqlStore<Sqlite> {
    /// Opens the store in `dir` (`.belay/`), and makes it when there is none. A store that is there and up to date is
    /// only read until something is written, so that looking works on a full or read-only disk. Needs a tokio runtime,
    /// and belongs to it.
    ///
    /// # Errors
    /// `Damaged`, or `Newer` when a newer Belay wrote it; `Unwritable` when it has to be made or migrated and cannot
    /// be. Nothing is changed then.
    pub async fn open(dir: &Path, options: Options) -> Result<Self, StoreError> {
        let database = Arc::new(Sqlite::open(dir, options).await?);
        Ok(Self {
            views: Views::default(),
            database,
        })
    }

    /// Bytes that are free on its disk.
    ///
    /// # Errors
    /// The disk does not tell.
    pub fn free_bytes(&self) -> Result<u64, StoreError> {
        connection::free_bytes(self.dir())
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.database.dir
    }

    /// Blobs sealed with `key` (64 hex digits, the value of `BELAY_KEY`), else with the key file beside the store,
    /// which is made on first use.
    ///
    /// # Errors
    /// When the key is not the one that the store is sealed with, or is gone, or others may read it.
    pub async fn blobs(&self, key: Option<&str>) -> Result<Blobs, BlobError> {
        let path = self.dir().join("key");
        Blobs::open(self.database.clone(), key, &path).await
    }
}

impl Sqlite {
    async fn open(dir: &Path, options: Options) -> Result<Self, StoreError> {
        let mut opener = Opener::new(dir, options.reserve_bytes);
        let connection = if connection::is_current(dir).await? {
            None
        } else {
            connection::make_directory(dir)?;
            Some(opener.open().await?)
        };
        let hints = Arc::new(Hints::open(dir));
        let (readers, frozen) = connection::readers(dir).await?;
        opener.frozen = frozen;
        let progress = Progress::open(dir).await;
        let counters = Arc::new(Counters::default());
        let (pulse_sender, pulse) = watch::channel(0);
        let (sender, inbox) = mpsc::channel(1024);
        let task = Task {
            opener,
            connection,
            watcher: readers.clone(),
            inbox,
            pulse: pulse_sender,
            hints: hints.clone(),
            counters: counters.clone(),
            plans: Plans::default(),
        };
        tokio::spawn(task.run());
        Ok(Self {
            dir: dir.to_owned(),
            writer: Mailbox(sender),
            readers,
            progress,
            hints,
            counters,
            pulse,
            watching: OnceLock::new(),
        })
    }

    /// Starts to look for commits of others, on the first call that wants to know.
    fn watch(&self) {
        self.watching.get_or_init(|| {
            let writer = self.writer.0.downgrade();
            let hints = self.hints.clone();
            let watching = async move {
                let socket = hints
                    .bind()
                    .inspect_err(|error| tracing::debug!(%error, "no hints here; polling alone"))
                    .ok();
                while let Some(writer) = writer.upgrade() {
                    if writer.send(Message::Look).await.is_err() {
                        break;
                    }
                    drop(writer);
                    hint_or_poll(socket.as_ref()).await;
                }
            };
            tokio::spawn(watching).abort_handle()
        });
    }
}

#[async_trait]
impl Database for Sqlite {
    async fn read(&self) -> Result<Box<dyn Sql>, StoreError> {
        let connection = self.readers.acquire().await.map_err(|e| store_error(&e))?;
        Ok(Box::new(On(connection)))
    }

    async fn snapshot(&self) -> Result<Box<dyn Sql>, StoreError> {
        let transaction = self.readers.begin().await.map_err(|e| store_error(&e))?;
        Ok(Box::new(On(transaction)))
    }

    async fn bulk(&self) -> Result<Box<dyn Sql>, StoreError> {
        let mut tx = On(Box::new(connection::writer(&self.dir).await?));
        tx.execute("BEGIN IMMEDIATE", &[]).await?;
        Ok(Box::new(tx))
    }

    async fn change(&self, change: Change) -> Result<Answer, StoreError> {
        self.writer.change(change).await
    }

    async fn require_writable(&self) -> Result<(), StoreError> {
        self.writer.require().await
    }

    async fn self_check(&self) -> Result<Vec<String>, StoreError> {
        let rows: Vec<(String,)> = sqlx::query_as("PRAGMA quick_check(10)")
            .fetch_all(&self.readers)
            .await
            .map_err(|e| store_error(&e))?;
        let lines = rows.into_iter().map(|(line,)| line);
        Ok(lines.filter(|line| line != "ok").collect())
    }

    async fn health(&self) -> Result<Vec<Health>, StoreError> {
        let found = self.self_check().await?;
        let (ok, text) = match found.first() {
            None => (true, "the file is whole".to_owned()),
            Some(line) => (false, format!("{line}: restore a backup")),
        };
        let about = "store";
        Ok(vec![Health { about, ok, text }])
    }

    async fn add_progress(&self, id: &DeploymentId, at_us: i64, line: &str) {
        self.progress.add(id, at_us, line).await;
    }

    async fn progress(
        &self,
        id: &DeploymentId,
        after: i64,
    ) -> Result<Vec<(i64, i64, String)>, StoreError> {
        self.progress.after(id, after).await
    }

    async fn prune_progress(&self, before_us: i64) -> Result<u64, StoreError> {
        self.progress.prune_before(before_us).await
    }

    fn generation(&self) -> u64 {
        self.watch();
        *self.pulse.borrow()
    }

    async fn changed(&self, since: u64) {
        self.watch();
        let mut pulse = self.pulse.clone();
        let wait = async { pulse.wait_for(|count| *count != since).await.is_ok() };
        let gone = matches!(tokio::time::timeout(PATIENCE, wait).await, Ok(false));
        if gone {
            // The writer is gone: nothing will change any more, and nobody shall spin on that.
            tokio::time::sleep(PATIENCE).await;
        }
    }

    fn stats(&self) -> Stats {
        self.counters.stats()
    }

    async fn close(&self) {
        if let Some(watching) = self.watching.get() {
            watching.abort();
        }
        self.writer.close().await;
        self.readers.close().await;
        self.progress.close().await;
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        if let Some(watching) = self.watching.get() {
            watching.abort();
        }
    }
}

async fn hint_or_poll(socket: Option<&tokio::net::UnixDatagram>) {
    let Some(socket) = socket else {
        return tokio::time::sleep(POLL).await;
    };
    let mut byte = [0; 1];
    if let Ok(Ok(_)) = tokio::time::timeout(POLL, socket.recv(&mut byte)).await {
        // Ten hints say no more than one.
        while socket.try_recv(&mut byte).is_ok() {}
    }
}
