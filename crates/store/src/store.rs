//! The store on SQLite: opens the parts, offers them as the engine's port, and closes them.

use crate::chain::{self, BrokenLink};
use crate::change::{Answer, Change};
use crate::connection;
use crate::hints::Hints;
use crate::progress::Progress;
use crate::reader::Reader;
use crate::writer::{Counters, Handle, Message, Opener, Stats, Task};
use async_trait::async_trait;
use belay_engine::ports::{Batch, Evidence, Store, StoreError};
use belay_model::environment;
use belay_model::event::{Entry, Event};
use belay_model::id::{DeploymentId, ReleaseNumber, Scope, ServiceName};
use belay_model::release::Release;
use belay_model::summary::Summary;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

/// How often we look for commits of others that sent no hint.
const POLL: Duration = Duration::from_millis(100);

/// `changed` returns after this long at the latest: it is a hint, and hints may be lost.
const PATIENCE: Duration = Duration::from_secs(1);

/// How a store is opened.
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
pub struct SqliteStore {
    dir: PathBuf,
    writer: Handle,
    reader: Reader,
    progress: Progress,
    hints: Arc<Hints>,
    counters: Arc<Counters>,
    pulse: watch::Receiver<u64>,
    watching: OnceLock<AbortHandle>,
}

impl SqliteStore {
    /// Opens the store in `dir` (`.belay/`), and makes it when there is none. A store that is there and up to date is
    /// only read until something is written, so that looking works on a full or read-only disk. Needs a tokio runtime,
    /// and belongs to it.
    ///
    /// # Errors
    /// `Damaged`, or `Newer` when a newer Belay wrote it; `Unwritable` when it has to be made or migrated and cannot
    /// be. Nothing is changed then.
    pub async fn open(dir: &Path, options: Options) -> Result<Self, StoreError> {
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
        let reader = Reader(readers);
        let progress = Progress::open(dir).await;
        let counters = Arc::new(Counters::default());
        let (pulse_sender, pulse) = watch::channel(0);
        let (sender, inbox) = mpsc::channel(1024);
        let task = Task {
            opener,
            connection,
            watcher: reader.0.clone(),
            inbox,
            pulse: pulse_sender,
            hints: hints.clone(),
            counters: counters.clone(),
        };
        tokio::spawn(task.run());
        Ok(Self {
            dir: dir.to_owned(),
            writer: Handle(sender),
            reader,
            progress,
            hints,
            counters,
            pulse,
            watching: OnceLock::new(),
        })
    }

    /// Makes sure that the store can be written: has room, a writable disk, and takes a small write. Called before
    /// anything is changed that the store has to know of.
    ///
    /// # Errors
    /// `Unwritable` says why; nothing was changed then.
    pub async fn require_writable(&self) -> Result<(), StoreError> {
        self.writer.require().await
    }

    /// Bytes that are free on its disk.
    ///
    /// # Errors
    /// The disk does not tell.
    pub fn free_bytes(&self) -> Result<u64, StoreError> {
        connection::free_bytes(&self.dir)
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What the writer did so far.
    pub fn stats(&self) -> Stats {
        self.counters.stats()
    }

    /// The first link of a deployment's hash chain that does not hold.
    ///
    /// # Errors
    /// `Missing` when there is no such deployment.
    pub async fn verify_chain(&self, id: &DeploymentId) -> Result<Option<BrokenLink>, StoreError> {
        chain::verify_deployment(&self.reader.0, id).await
    }

    /// The first link of an environment stream's hash chain that does not hold.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn verify_environment(
        &self,
        scope: &Scope,
    ) -> Result<Option<BrokenLink>, StoreError> {
        chain::verify_scope(&self.reader.0, scope).await
    }

    /// Looks at everything: the file, and all hash chains. One line for each thing found; empty: all is well.
    ///
    /// # Errors
    /// When the store cannot be read at all.
    pub async fn check(&self) -> Result<Vec<String>, StoreError> {
        let mut found = self.reader.quick_check().await?;
        for id in self.reader.deployments().await? {
            if let Some(broken) = self.verify_chain(&id).await? {
                found.push(format!("event {} of {id}: {}", broken.seq, broken.why));
            }
        }
        for scope in self.reader.scopes().await? {
            if let Some(broken) = self.verify_environment(&scope).await? {
                found.push(format!("event {} of {scope}: {}", broken.seq, broken.why));
            }
        }
        Ok(found)
    }

    /// Removes progress lines older than a time (Unix microseconds); answers how many.
    ///
    /// # Errors
    /// When they cannot be removed.
    pub async fn prune_progress(&self, before_us: i64) -> Result<u64, StoreError> {
        self.progress.prune_before(before_us).await
    }

    /// Closes all files. Requests that come later are refused.
    pub async fn close(&self) {
        if let Some(watching) = self.watching.get() {
            watching.abort();
        }
        self.writer.close().await;
        self.reader.0.close().await;
        self.progress.close().await;
    }

    pub(crate) fn writer(&self) -> &Handle {
        &self.writer
    }

    pub(crate) fn reader(&self) -> &Reader {
        &self.reader
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

impl Drop for SqliteStore {
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

fn unexpected(answer: &Answer) -> StoreError {
    StoreError::Damaged(format!("the writer answered {answer:?}"))
}

#[async_trait]
impl Store for SqliteStore {
    async fn create(
        &self,
        id: &DeploymentId,
        at_us: i64,
        created: Event,
        environment: Vec<(i64, environment::Event)>,
        limit: usize,
    ) -> Result<(), StoreError> {
        let change = Change::Create {
            id: id.clone(),
            at_us,
            created: Box::new(created),
            environment,
            limit,
        };
        self.writer.change(change).await.map(drop)
    }

    async fn append(&self, batch: Batch) -> Result<Vec<Entry>, StoreError> {
        match self.writer.change(Change::Append(batch)).await? {
            Answer::Entries(entries) => Ok(entries),
            other => Err(unexpected(&other)),
        }
    }

    async fn events(&self, id: &DeploymentId, after: u64) -> Result<Vec<Entry>, StoreError> {
        self.reader.events(id, after).await
    }

    async fn append_environment(
        &self,
        scope: &Scope,
        events: Vec<(i64, environment::Event)>,
    ) -> Result<(), StoreError> {
        let change = Change::Environment(scope.clone(), events);
        self.writer.change(change).await.map(drop)
    }

    async fn environment(
        &self,
        scope: &Scope,
        after: u64,
    ) -> Result<Vec<environment::Entry>, StoreError> {
        self.reader.environment(scope, after).await
    }

    async fn scopes(&self) -> Result<Vec<Scope>, StoreError> {
        self.reader.scopes().await
    }

    async fn open(&self) -> Result<Vec<Summary>, StoreError> {
        self.reader.open().await
    }

    async fn summary(&self, id: &DeploymentId) -> Result<Option<Summary>, StoreError> {
        self.reader.summary(id).await
    }

    async fn history(&self, scope: &Scope, limit: usize) -> Result<Vec<Summary>, StoreError> {
        self.reader.history(scope, limit).await
    }

    async fn epoch(&self, id: &DeploymentId) -> Result<u64, StoreError> {
        self.reader.epoch(id).await
    }

    async fn evidence(&self, id: &DeploymentId, evidence: Vec<Evidence>) -> Result<(), StoreError> {
        let change = Change::Evidence(id.clone(), evidence);
        self.writer.change(change).await.map(drop)
    }

    async fn evidence_of(&self, id: &DeploymentId) -> Result<Vec<Evidence>, StoreError> {
        self.reader.evidence(id).await
    }

    /// Adding progress does not wake `changed`: who shows lines asks for them when it likes.
    async fn progress(&self, id: &DeploymentId, at_us: i64, line: &str) -> Result<(), StoreError> {
        self.progress.add(id, at_us, line).await;
        Ok(())
    }

    async fn progress_of(
        &self,
        id: &DeploymentId,
        after: i64,
    ) -> Result<Vec<(i64, i64, String)>, StoreError> {
        self.progress.after(id, after).await
    }

    async fn release(&self, candidate: Release) -> Result<Release, StoreError> {
        let change = Change::Release(Box::new(candidate));
        match self.writer.change(change).await? {
            Answer::Release(release) => Ok(*release),
            other => Err(unexpected(&other)),
        }
    }

    async fn release_of(
        &self,
        service: &ServiceName,
        number: ReleaseNumber,
    ) -> Result<Option<Release>, StoreError> {
        self.reader.release(service, number).await
    }

    async fn releases(&self, service: &ServiceName) -> Result<Vec<Release>, StoreError> {
        self.reader.releases(service).await
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
}
