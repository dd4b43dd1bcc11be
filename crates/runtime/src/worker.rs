//! The worker process: one per directory, by a lock, and on a shared store as many more as somebody starts to stay. It
//! leaves when nothing is open that it could do, and nothing that was asked for while it left is forgotten.

use crate::lock::WorkerLock;
use crate::{Belay, Error};
use belay_engine::lease::{Owner, Work};
use belay_engine::ports::StoreError;
use belay_engine::worker::Worker;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// How often killed supervisors get another one.
const SWEEP_EVERY: Duration = Duration::from_secs(2);

/// Pause before the lock is tried again once another worker took over.
const AFTER_TAKEOVER: Duration = Duration::from_secs(1);

/// Pause after the store could not be read.
const AFTER_TROUBLE: Duration = Duration::from_millis(500);

/// Why a worker left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Another one is at work on this store.
    AlreadyRunning,
    /// Nothing is open and nothing will be due.
    Idle,
}

/// Works on a store until nothing was open for `idle_ms` (3000 is usual; absent: for ever). A detached process calls [`crate::detach`]
/// first. It may be killed at any moment.
///
/// # Errors
/// The store cannot be used.
pub async fn run_worker(belay: &Belay, idle_ms: Option<u64>) -> Result<Left, Error> {
    belay.require_key().await?;
    let lock = WorkerLock::at(belay.dir());
    loop {
        let held = lock.take().await.map_err(|source| Error::Io {
            what: "take the worker's lock".to_owned(),
            source,
        })?;
        match (&held, idle_ms) {
            (None, Some(_)) => return Ok(Left::AlreadyRunning),
            // That one leaves when nothing is open.
            (None, None) if !belay.is_shared() => {
                sleep(AFTER_TAKEOVER).await;
                continue;
            }
            // Leases keep several of one machine apart. The lock only tells commands that they need not start one.
            _ => {}
        }
        sweep(belay).await;
        let done = tokio::select! {
            done = work(belay, idle_ms) => done,
            () = sweep_until_moved(belay) => Ok(()),
        };
        drop(held);
        if belay.was_moved() {
            return Ok(Left::Idle);
        }
        match done {
            // Someone works without our lock, which a person may have removed. Whoever has the lock now goes on.
            Err(Error::Store(StoreError::Fenced(what))) => {
                tracing::warn!(what, "another worker took over");
                sleep(AFTER_TAKEOVER).await;
            }
            done => done?,
        }
        // What was asked for after we last looked and before the lock was free: whoever asked saw a worker at work.
        if !has_work(belay).await? {
            return Ok(Left::Idle);
        }
    }
}

async fn work(belay: &Belay, idle_ms: Option<u64>) -> Result<(), Error> {
    let host = belay.host().to_owned();
    let name = format!("{host}/{}/{}", std::process::id(), belay.now_us());
    let owner = Owner { name, host };
    let worker = Worker::new(belay.ports(), owner);
    loop {
        worker.run().await?;
        let idle = idle_ms.map(Duration::from_millis);
        if !wait_for_work(belay, idle.map(|idle| Instant::now() + idle)).await? {
            return Ok(());
        }
    }
}

async fn wait_for_work(belay: &Belay, deadline: Option<Instant>) -> Result<bool, Error> {
    let store = belay.store();
    let is_over = || deadline.is_some_and(|deadline| Instant::now() >= deadline);
    loop {
        let generation = store.generation();
        match has_work(belay).await {
            Ok(true) => return Ok(true),
            // Its server may be back before we would leave.
            Err(error @ Error::Store(StoreError::Unwritable(_))) if !is_over() => {
                tracing::warn!(%error, "the store cannot be read; trying again");
                sleep(AFTER_TROUBLE).await;
            }
            Err(error) => return Err(error),
            Ok(false) if is_over() => return Ok(false),
            Ok(false) => {}
        }
        // Over or changed: the next turn tells.
        match deadline {
            Some(deadline) => drop(timeout_at(deadline, store.changed(generation)).await),
            None => store.changed(generation).await,
        }
    }
}

pub(crate) async fn has_work(belay: &Belay) -> Result<bool, Error> {
    Ok(belay.store().work(belay.host()).await? != Work::default())
}

async fn sweep_until_moved(belay: &Belay) {
    loop {
        sleep(SWEEP_EVERY).await;
        if belay.was_moved() {
            return;
        }
        sweep(belay).await;
    }
}

async fn sweep(belay: &Belay) {
    match belay.sweep().await {
        Ok(lines) => {
            for line in lines {
                tracing::warn!("no supervisor could be started: {line}");
            }
        }
        Err(error) => tracing::warn!(%error, "supervisors could not be looked after"),
    }
}
