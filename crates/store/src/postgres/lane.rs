//! A lane: a task with a connection that writes. It takes everything that waits, makes it in one transaction with a
//! savepoint each, commits once and answers all: under load many requests share one commit.

use super::error::{fault, lost};
use super::link::Link;
use super::options::Server;
use super::scopes::{Known, Scopes};
use super::sql::On;
use super::watch::Pulse;
use crate::change::{Answer, Change};
use crate::database::Counters;
use crate::error::{Fault, Kind, Refusal, again};
use crate::mailbox::{Mailbox, Message, Reply};
use crate::plans::Plans;
use belay_engine::ports::StoreError;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// Requests in one transaction at most, so that the first of them does not wait for ever.
const GROUP: usize = 256;

/// How often a transaction is made again because of others at the same time.
const TIMES: u32 = 10;

/// A server that does not answer for this long is gone. Longer than any of its own timeouts.
const STUCK: Duration = Duration::from_secs(45);

type Results = Vec<Result<Answer, StoreError>>;

/// Starts a lane. `group`: for journals; requests may share a transaction, and others wait for what comes of them.
pub(super) fn start(server: Server, group: bool, pulse: Pulse, counters: Arc<Counters>) -> Mailbox {
    let (sender, inbox) = mpsc::channel(1024);
    let lane = Lane {
        link: Link::new(server, group),
        known: Known::default(),
        plans: Plans::default(),
        inbox,
        journal: group,
        pulse,
        counters,
        committing: false,
    };
    tokio::spawn(lane.run());
    Mailbox(sender)
}

struct Lane {
    link: Link,
    known: Known,
    plans: Plans,
    inbox: mpsc::Receiver<Message>,
    journal: bool,
    pulse: Pulse,
    counters: Arc<Counters>,
    /// Whether the server was told to commit: from then on a lost connection does not say what became of it.
    committing: bool,
}

impl Lane {
    /// Runs until it is told to close or nobody can tell it anything any more.
    async fn run(mut self) {
        let most = if self.journal { GROUP } else { 1 };
        let mut done = None;
        while done.is_none() {
            let Some(first) = self.inbox.recv().await else {
                break;
            };
            let mut group = Vec::new();
            let mut next = Some(first);
            while let Some(message) = next {
                match message {
                    Message::Change(change, reply) => group.push((*change, reply)),
                    Message::Require(reply) => {
                        let _ = reply.send(self.require().await);
                    }
                    // The server tells by itself.
                    Message::Look => {}
                    Message::Close(reply) => done = Some(reply),
                }
                let more = group.len() < most && done.is_none();
                next = more.then(|| self.inbox.try_recv().ok()).flatten();
            }
            if !group.is_empty() {
                self.write(group).await;
            }
        }
        self.link.close().await;
        if let Some(done) = done {
            let _ = done.send(());
        }
    }

    /// A small write that is committed, so that a replica, a full disk or a missing right is found before anything
    /// depends on it.
    async fn require(&mut self) -> Result<(), StoreError> {
        self.transact(&[]).await.map(drop)
    }

    async fn write(&mut self, group: Vec<(Change, Reply)>) {
        let (changes, replies): (Vec<_>, Vec<_>) = group.into_iter().unzip();
        let results = match self.transact(&changes).await {
            Ok(results) => results,
            Err(error) => changes.iter().map(|_| Err(again(&error))).collect(),
        };
        self.counters.answered(changes.len());
        let changed = self.journal && results.iter().any(Result::is_ok);
        if changed {
            self.pulse.beat();
        }
        for (reply, result) in replies.into_iter().zip(results) {
            // Who asked may be gone; what was committed stays.
            let _ = reply.send(result);
        }
        if changed {
            self.notify().await;
        }
    }

    /// Makes the transaction, again where others were in the way. An error means that nothing of it was kept.
    async fn transact(&mut self, changes: &[Change]) -> Result<Results, StoreError> {
        let mut tried = 0;
        let mut reconnected = false;
        loop {
            tried += 1;
            self.committing = false;
            let mut begun = false;
            let mut results = Vec::with_capacity(changes.len());
            let attempt = self.transaction(changes, &mut begun, &mut results);
            let fault = match timeout(STUCK, attempt).await {
                Ok(Ok(())) => return Ok(results),
                Ok(Err(fault)) => fault,
                Err(_) => lost("it does not answer"),
            };
            self.plans.forget();
            if self.committing && fault.kind != Kind::Again {
                return self.find_out(fault, results).await;
            }
            match fault.kind {
                Kind::Again if tried < TIMES => {
                    let _ = self.link.run("ROLLBACK").await;
                    // Not all at the same time again.
                    let most = 2_u64 << tried;
                    sleep(Duration::from_millis(rand::random_range(1..=most))).await;
                }
                Kind::Lost => {
                    self.link.cut();
                    // The connection was lost while nothing was asked of it: the server was restarted since.
                    if begun || reconnected {
                        return Err(fault.error);
                    }
                    reconnected = true;
                }
                Kind::Again | Kind::Final => {
                    if self.link.run("ROLLBACK").await.is_err() {
                        self.link.cut();
                    }
                    return Err(fault.error);
                }
            }
        }
    }

    /// The answer to COMMIT was lost. Nothing is said before it is known whether it happened.
    async fn find_out(&mut self, fault: Fault, results: Results) -> Result<Results, StoreError> {
        match self.link.has_committed().await {
            Some(true) => {
                self.counters.committed();
                Ok(results)
            }
            Some(false) => Err(fault.error),
            None => Err(StoreError::Unwritable(
                "the connection failed at a commit, and whether it was kept cannot be found out now; look again before you repeat it".to_owned(),
            )),
        }
    }

    /// All changes in one transaction. `begun`: whether the server has begun it. `results`: what will be answered once it
    /// is committed.
    async fn transaction(
        &mut self,
        changes: &[Change],
        begun: &mut bool,
        results: &mut Results,
    ) -> Result<(), Fault> {
        let scopes = Scopes::of(changes);
        let connection = self.link.get().await;
        let connection = connection.map_err(|e| Fault::new(Kind::Final, e))?;
        scopes.make(connection, &mut self.known).await?;
        self.link
            .run("BEGIN ISOLATION LEVEL READ COMMITTED")
            .await?;
        *begun = true;
        let connection = self.link.get().await;
        let connection = connection.map_err(|e| Fault::new(Kind::Lost, e))?;
        scopes.lock(connection, &mut self.known).await?;
        let alone = changes.len() == 1;
        for change in changes {
            if !alone {
                self.link.run("SAVEPOINT change").await?;
            }
            let connection = self.link.get().await;
            let connection = connection.map_err(|e| Fault::new(Kind::Lost, e))?;
            match change.apply(&mut On(connection), &mut self.plans).await {
                Ok(answer) => results.push(Ok(answer)),
                Err(Refusal::Change(error)) => {
                    self.plans.forget();
                    results.push(Err(error));
                    if !alone {
                        self.link.run("ROLLBACK TO SAVEPOINT change").await?;
                    }
                }
                Err(Refusal::Storage(fault)) => return Err(fault),
            }
            if !alone {
                self.link.run("RELEASE SAVEPOINT change").await?;
            }
        }
        if !results.is_empty() && results.iter().all(Result::is_err) {
            return self.link.run("ROLLBACK").await;
        }
        self.link.mark().await?;
        self.committing = true;
        self.link.run("COMMIT").await?;
        self.counters.committed();
        Ok(())
    }

    /// Tells others, outside of the transaction: notifications make commits wait for each other. A hint may be lost.
    async fn notify(&mut self) {
        let Ok(connection) = self.link.get().await else {
            return;
        };
        let told = sqlx::query("SELECT pg_notify('belay', '')").execute(connection);
        match timeout(STUCK, told).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::debug!(error = %fault(&error).error, "a hint is lost");
                self.link.cut();
            }
            Err(_) => self.link.cut(),
        }
    }
}
