//! The writer: one task with the only connection that writes. It takes everything that waits, makes it in one
//! transaction with a savepoint each, commits once and answers all: under load many requests share one fsync.
//!
//! It connects when there is something to write and not before: most commands only look.
//!
//! It also tells when the database was changed: by itself at once, by others through `PRAGMA data_version`, which
//! on a connection counts the commits of all other connections.

use super::connection;
use super::error::store_error;
use super::hints::Hints;
use super::sql::On;
use crate::change::{Answer, Change};
use crate::database::Counters;
use crate::error::{Refusal, again, closed};
use crate::mailbox::{Message, Reply};
use crate::plans::Plans;
use belay_engine::ports::StoreError;
use sqlx::{Connection, SqliteConnection, SqlitePool};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// Requests in one transaction at most, so that the first of them does not wait for ever.
const GROUP: usize = 256;

/// Opens the connection that writes.
pub(super) struct Opener {
    dir: PathBuf,
    reserve_bytes: u64,
    /// The readers would not see what is written.
    pub(super) frozen: bool,
}

impl Opener {
    pub(super) fn new(dir: &Path, reserve_bytes: u64) -> Self {
        Self {
            dir: dir.to_owned(),
            reserve_bytes,
            frozen: false,
        }
    }

    /// Needs room and a disk that can be written.
    pub(super) async fn open(&self) -> Result<SqliteConnection, StoreError> {
        self.require_room()?;
        let connection = connection::writer(&self.dir).await?;
        if self.frozen {
            let why =
                "its disk was full or read-only when it was opened, and is not now; try again";
            return Err(StoreError::Unwritable(why.to_owned()));
        }
        Ok(connection)
    }

    fn require_room(&self) -> Result<(), StoreError> {
        let (dir, bytes) = (&self.dir, self.reserve_bytes);
        let free = connection::free_bytes(dir)?;
        if free >= bytes {
            return Ok(());
        }
        Err(StoreError::Unwritable(format!(
            "{} has {free} bytes free on its disk, and {bytes} are needed to be sure that a rollback can be recorded; free some and try again; nothing was changed",
            dir.display()
        )))
    }
}

pub(super) struct Task {
    pub(super) opener: Opener,
    /// None until there is something to write.
    pub(super) connection: Option<SqliteConnection>,
    /// Where commits are seen; those of the writer, too.
    pub(super) watcher: SqlitePool,
    pub(super) inbox: mpsc::Receiver<Message>,
    /// Counts changes, whoever made them.
    pub(super) pulse: watch::Sender<u64>,
    pub(super) hints: Arc<Hints>,
    pub(super) counters: Arc<Counters>,
    pub(super) plans: Plans,
}

impl Task {
    /// Runs until it is told to close or nobody can tell it anything any more.
    pub(super) async fn run(mut self) {
        // Counts on one connection only, so it keeps that one.
        let mut watching = self.watcher.acquire().await.ok();
        let mut version = version(watching.as_deref_mut()).await;
        let mut done = None;
        while done.is_none() {
            let Some(first) = self.inbox.recv().await else {
                break;
            };
            let mut group = Vec::new();
            let mut look = false;
            let mut next = Some(first);
            while let Some(message) = next {
                match message {
                    Message::Change(change, reply) => group.push((*change, reply)),
                    Message::Look => look = true,
                    Message::Require(reply) => {
                        let _ = reply.send(self.require().await);
                    }
                    Message::Close(reply) => done = Some(reply),
                }
                let more = group.len() < GROUP && done.is_none();
                next = more.then(|| self.inbox.try_recv().ok()).flatten();
            }
            if !group.is_empty() {
                self.write(group).await;
            }
            if look {
                let now = self::version(watching.as_deref_mut()).await;
                if now != version {
                    version = now;
                    self.pulse.send_modify(|count| *count += 1);
                }
            }
        }
        drop(watching);
        if let Some(connection) = self.connection.take() {
            let _ = connection.close().await;
        }
        if let Some(done) = done {
            let _ = done.send(());
        }
    }

    async fn require(&mut self) -> Result<(), StoreError> {
        self.opener.require_room()?;
        connection::probe(self.connected().await?).await
    }

    async fn connected(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        if self.connection.is_none() {
            self.connection = Some(self.opener.open().await?);
        }
        self.connection.as_mut().ok_or_else(closed)
    }

    async fn write(&mut self, group: Vec<(Change, Reply)>) {
        let (changes, replies): (Vec<_>, Vec<_>) = group.into_iter().unzip();
        let results = match self.transaction(&changes).await {
            Ok(results) => results,
            Err(error) => changes.iter().map(|_| Err(again(&error))).collect(),
        };
        self.counters.answered(changes.len());
        if results.iter().any(Result::is_ok) {
            self.pulse.send_modify(|count| *count += 1);
            self.hints.send();
        }
        for (reply, result) in replies.into_iter().zip(results) {
            // Who asked may be gone; what was committed stays.
            let _ = reply.send(result);
        }
    }

    /// All changes in one transaction; an error means that nothing of it was kept.
    async fn transaction(
        &mut self,
        changes: &[Change],
    ) -> Result<Vec<Result<Answer, StoreError>>, StoreError> {
        self.connected().await?;
        // Who holds what need not outlive the machine: then nobody holds anything. It lies before whatever is synced next.
        let is_passing = changes.iter().all(Change::is_passing);
        if is_passing {
            self.run_sql("PRAGMA synchronous = NORMAL").await?;
        }
        let results = self.in_one(changes).await;
        if is_passing && let Err(error) = self.run_sql("PRAGMA synchronous = FULL").await {
            // Nothing that matters may be committed on this one any more.
            self.connection = None;
            return Err(error);
        }
        results
    }

    async fn in_one(
        &mut self,
        changes: &[Change],
    ) -> Result<Vec<Result<Answer, StoreError>>, StoreError> {
        self.run_sql("BEGIN IMMEDIATE").await?;
        let mut results = Vec::with_capacity(changes.len());
        let is_alone = changes.len() == 1;
        for change in changes {
            match self.savepoint(change, is_alone).await {
                Ok(result) => results.push(result),
                Err(error) => return Err(self.give_up(error).await),
            }
        }
        if results.iter().all(Result::is_err) {
            self.run_sql("ROLLBACK").await?;
            return Ok(results);
        }
        if let Err(error) = self.run_sql("COMMIT").await {
            return Err(self.give_up(error).await);
        }
        self.counters.committed();
        Ok(results)
    }

    /// One change: its refusal undoes it alone. Where it is the only one, the transaction is undone. The outer error is the storage's.
    async fn savepoint(
        &mut self,
        change: &Change,
        is_alone: bool,
    ) -> Result<Result<Answer, StoreError>, StoreError> {
        if !is_alone {
            self.run_sql("SAVEPOINT change").await?;
        }
        let connection = self.connection.as_mut().ok_or_else(closed)?;
        match change.apply(&mut On(connection), &mut self.plans).await {
            Ok(answer) => {
                if !is_alone {
                    self.run_sql("RELEASE change").await?;
                }
                Ok(Ok(answer))
            }
            Err(Refusal::Change(error)) => {
                self.plans.forget();
                if !is_alone {
                    self.run_sql("ROLLBACK TO change").await?;
                    self.run_sql("RELEASE change").await?;
                }
                Ok(Err(error))
            }
            Err(Refusal::Storage(fault)) => Err(fault.error),
        }
    }

    /// Leaves no transaction open behind an error. SQLite has rolled back by itself after some.
    async fn give_up(&mut self, error: StoreError) -> StoreError {
        self.plans.forget();
        let _ = self.run_sql("ROLLBACK").await;
        error
    }

    async fn run_sql(&mut self, sql: &'static str) -> Result<(), StoreError> {
        let run = sqlx::query(sql).execute(self.connected().await?).await;
        run.map(drop).map_err(|e| store_error(&e))
    }
}

async fn version(connection: Option<&mut SqliteConnection>) -> Option<i64> {
    let query = sqlx::query_as("PRAGMA data_version");
    let row: Result<(i64,), _> = query.fetch_one(connection?).await;
    row.ok().map(|(version,)| version)
}
