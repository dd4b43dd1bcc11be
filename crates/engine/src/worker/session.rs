//! A session: from a worker's first claim until its leases end, all together. They are renewed together, too.

use super::bell::Heads;
use super::scope::{STORE_PAUSE_MS, Serving};
use super::term::{Hold, Term};
use super::{Stop, Worker};
use crate::lease::{Lease, Work};
use crate::mutant::{self, Mutant};
use crate::ports::StoreError;
use belay_model::id::Scope;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

/// How often we look for leases that ended, milliseconds: nobody tells us.
const LOOK_MS: u64 = 1_000;

/// With this many tasks, claims keep a distance: each of their appends is a change that might be work for us.
const BUSY: usize = 8;
const DISTANCE_MS: u64 = 50;
/// A look at all journals that takes this long is not repeated at once, milliseconds.
const LONG_MS: u64 = 5;

type Tasks = JoinSet<Result<(), StoreError>>;

struct Held {
    hold: Arc<Hold>,
    task: AbortHandle,
}

/// See the module.
pub(super) struct Session<'a> {
    worker: &'a Worker,
    lease_ms: Option<u64>,
    term: Arc<Term>,
    held: Mutex<BTreeMap<Scope, Held>>,
}

impl Drop for Session<'_> {
    /// What was begun in tasks of their own stops, too.
    fn drop(&mut self) {
        self.held().values().for_each(|held| held.hold.end());
    }
}

impl<'a> Session<'a> {
    pub(super) fn new(worker: &'a Worker) -> Self {
        let lease_ms = worker.ports.store.lease_ms();
        Self {
            worker,
            lease_ms,
            term: Arc::new(Term::new(worker.ports.clock.clone(), lease_ms)),
            held: Mutex::default(),
        }
    }

    /// None: its leases ended; what it was at is dropped with it.
    pub(super) async fn run(&self) -> Result<Option<Stop>, StoreError> {
        let mut tasks = Tasks::new();
        tokio::select! {
            biased;
            () = self.term.over() => Ok(None),
            never = self.renew() => match never {},
            never = self.ring() => match never {},
            done = self.serve(&mut tasks) => done,
        }
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<Scope, Held>> {
        self.held.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn leases(&self) -> Vec<Lease> {
        let held = self.held();
        held.values().map(|one| one.hold.lease.clone()).collect()
    }

    /// Claims and starts, and takes note of what has ended.
    async fn serve(&self, tasks: &mut Tasks) -> Result<Option<Stop>, StoreError> {
        let (store, clock) = (&self.worker.ports.store, &self.worker.ports.clock);
        loop {
            let generation = store.generation();
            while let Some(done) = tasks.try_join_next_with_id() {
                self.ended(done)?;
            }
            if self.term.is_over() && !mutant::is(Mutant::TurnsInCircles) {
                // A clock that leapt ahead wakes nobody: what was claimed now would be over, too, again and again.
                return Ok(None);
            }
            let work = match self.claim(tasks).await {
                Ok(()) => store.work(&self.worker.owner.host).await,
                Err(error) => Err(error),
            };
            let work = match work {
                Ok(work) => work,
                Err(StoreError::Fenced(_)) if self.lease_ms.is_some() => return Ok(None),
                Err(error @ StoreError::Unwritable(_)) => {
                    tracing::error!(%error, "the store cannot be used; trying again");
                    clock.sleep_ms(STORE_PAUSE_MS).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if tasks.is_empty() && work == Work::default() {
                // Nothing is lost where it cannot be: what it held ends by itself.
                let _ = store.resign(&self.worker.owner).await;
                self.worker.collect().await;
                return Ok(Some(Stop::Idle));
            }
            tokio::select! {
                biased;
                Some(done) = tasks.join_next_with_id() => self.ended(done)?,
                () = store.changed(generation) => {}
                () = self.due(work) => {}
            }
            if tasks.len() >= BUSY {
                clock.sleep_ms(DISTANCE_MS).await;
            }
        }
    }

    async fn claim(&self, tasks: &mut Tasks) -> Result<(), StoreError> {
        let Worker {
            ports,
            owner,
            options,
        } = self.worker;
        let held = self.leases();
        if held.is_empty() {
            self.term.clear();
        }
        let room = options.courses.saturating_sub(held.len());
        let sent_ms = ports.clock.monotonic_ms();
        let leases = ports.store.claim(owner, &held, ports.clock.now_us(), room);
        let leases = leases.await?;
        if !leases.is_empty() {
            self.term.begin(sent_ms);
        }
        for lease in leases {
            let scope = lease.scope.clone();
            let hold = Arc::new(Hold::new(lease, self.term.clone()));
            let serving = Serving::new(ports, &owner.name, hold.clone());
            let task = tasks.spawn(serving.run());
            self.held().insert(scope, Held { hold, task });
        }
        Ok(())
    }

    /// What became of a scope's task. A panic outside of a course is a bug that nobody else could answer.
    fn ended(
        &self,
        done: Result<(Id, Result<(), StoreError>), JoinError>,
    ) -> Result<(), StoreError> {
        let (id, done) = match done {
            Ok(done) => done,
            Err(error) if error.is_cancelled() => (error.id(), Ok(())),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        self.held().retain(|_, held| held.task.id() != id);
        match done {
            // Its scope is another worker's now; the others are still ours.
            Err(StoreError::Fenced(what)) if self.lease_ms.is_some() => {
                tracing::warn!(what, "another worker took over");
                Ok(())
            }
            done => done,
        }
    }

    /// Resolves when there may be something to claim that nobody tells of.
    async fn due(&self, work: Work) {
        let clock = &self.worker.ports.clock;
        let now_ms = clock.now_us() / 1000;
        let cleanup_ms = work.next_cleanup_ms.map(|due_ms| {
            // What is due already and was not ours to claim may be so a while longer.
            let rest = u64::try_from(due_ms - now_ms).unwrap_or(0);
            if rest == 0 { LOOK_MS } else { rest }
        });
        // A tenth: a lease that ended unnoticed is found well within a second of its end.
        let look_ms = self.lease_ms.map(|ms| LOOK_MS.min(ms / 10));
        match cleanup_ms.into_iter().chain(look_ms).min() {
            Some(ms) => clock.sleep_ms(ms).await,
            None => std::future::pending().await,
        }
    }

    /// Rings for ever where something was appended. A look that takes a while is followed by a pause as long: what it is
    /// about wants to be worked at, too.
    async fn ring(&self) -> Infallible {
        let (store, clock) = (&self.worker.ports.store, &self.worker.ports.clock);
        let mut heads = Heads::default();
        loop {
            let (generation, began_ms) = (store.generation(), clock.monotonic_ms());
            if !self.held().is_empty() {
                match store.heads().await {
                    Ok(now) => {
                        let moved = heads.moved(now);
                        let held = self.held();
                        let moved = moved.iter().filter_map(|scope| held.get(scope));
                        moved.for_each(|held| held.hold.bell.ring());
                    }
                    Err(error) => {
                        tracing::debug!(%error, "the journals cannot be looked at; trying again");
                        clock.sleep_ms(STORE_PAUSE_MS).await;
                        continue;
                    }
                }
                let took_ms = clock.monotonic_ms().saturating_sub(began_ms);
                if took_ms >= LONG_MS {
                    clock.sleep_ms(took_ms).await;
                }
            }
            store.changed(generation).await;
        }
    }

    /// Renews for ever, where leases end by themselves.
    async fn renew(&self) -> Infallible {
        let Some(lease_ms) = self.lease_ms else {
            return std::future::pending().await;
        };
        let Worker { ports, owner, .. } = self.worker;
        let mut pause_ms = lease_ms / 3;
        loop {
            ports.clock.sleep_ms(pause_ms).await;
            pause_ms = lease_ms / 3;
            let held = self.leases();
            if held.is_empty() {
                continue;
            }
            let sent_ms = ports.clock.monotonic_ms();
            match ports.store.renew(owner, &held).await {
                Ok(lost) => {
                    self.term.extend(sent_ms);
                    lost.iter().for_each(|lease| self.lose(lease));
                }
                Err(error) => {
                    tracing::warn!(%error, "leases could not be renewed; trying again");
                    pause_ms = lease_ms / 10;
                }
            }
        }
    }

    /// Drops what was done under a lease, at once.
    fn lose(&self, lease: &Lease) {
        let held = self.held();
        let same = |held: &&Held| held.hold.lease == *lease;
        if let Some(held) = held.get(&lease.scope).filter(same) {
            tracing::warn!(scope = %lease.scope, "another worker took over");
            held.hold.end();
            held.task.abort();
        }
    }
}
