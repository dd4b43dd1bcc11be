//! What a worker does under one lease: the scope's deployments in the order they were asked for, and its clean-ups when
//! nothing is open. The oldest open deployment of a scope holds its lock: there is no lock apart from the journal that
//! could be left behind.

use super::guarded::GuardedDrivers;
use super::leased::Leased;
use super::term::Hold;
use crate::cleanup;
use crate::course::{Course, Left, Rest};
use crate::mutant::{self, Mutant};
use crate::ports::{Batch, Ports, StoreError, Writer};
use belay_model::event::Event;
use belay_model::id::DeploymentId;
use belay_model::summary::Phase;
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// Pause after the store could not be used, milliseconds.
pub(super) const STORE_PAUSE_MS: u64 = 500;

/// See the module.
pub(super) struct Serving {
    ports: Ports,
    owner: String,
    hold: Arc<Hold>,
}

impl Serving {
    pub(super) fn new(ports: &Ports, owner: &str, hold: Arc<Hold>) -> Self {
        let leased = Leased {
            inner: ports.store.clone(),
            hold: hold.clone(),
        };
        let guarded = GuardedDrivers {
            inner: ports.drivers.clone(),
            hold: hold.clone(),
            clock: ports.clock.clone(),
        };
        Self {
            ports: Ports {
                store: Arc::new(leased),
                drivers: Arc::new(guarded),
                ..ports.clone()
            },
            owner: owner.to_owned(),
            hold,
        }
    }

    /// Goes on until there is nothing to do here, or the lease is over.
    ///
    /// # Errors
    /// `Fenced`: another worker has the scope.
    pub(super) async fn run(self) -> Result<(), StoreError> {
        let done = self.hold.during(Box::pin(self.serve())).await;
        self.hold.end();
        done.unwrap_or_else(|| Err(StoreError::Fenced(self.hold.lease.scope.to_string())))
    }

    async fn serve(&self) -> Result<(), StoreError> {
        loop {
            match self.next().await {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(fenced @ StoreError::Fenced(_)) => return Err(fenced),
                Err(error) => {
                    let scope = &self.hold.lease.scope;
                    tracing::error!(%scope, %error, "the store cannot be used; trying again");
                    self.ports.clock.sleep_ms(STORE_PAUSE_MS).await;
                }
            }
        }
    }

    /// One deployment to its end, or one clean-up; false: there is nothing to do here now.
    async fn next(&self) -> Result<bool, StoreError> {
        let store = &self.ports.store;
        let scope = &self.hold.lease.scope;
        let generation = store.generation();
        let mut first = store.oldest_open(scope).await?;
        if mutant::is(Mutant::ServesTheNewest) {
            let mut open = store.open().await?.into_iter();
            first = open.rfind(|summary| summary.scope == *scope);
        }
        // Boxed, and only its id: this waits for as long as a bake takes, and there may be thousands.
        let Some(id) = first.map(|first| first.id) else {
            return Box::pin(cleanup::next(&self.ports, &self.hold.lease)).await;
        };
        Box::pin(cleanup::settle_begun(&self.ports, &self.hold.lease)).await?;
        if matches!(self.course(&id).await?, Left::Ended) {
            return Ok(true);
        }
        let summary = store.summary(&id).await?;
        if summary.is_some_and(|summary| summary.phase == Phase::NeedsOperator) {
            // Whoever answers it makes it work again, for whichever worker is there then.
            return Ok(false);
        }
        store.changed(generation).await;
        Ok(true)
    }

    async fn course(&self, id: &DeploymentId) -> Result<Left, StoreError> {
        let mut rested = None;
        loop {
            let left = Box::pin(self.stretch(id, rested)).await?;
            let Left::Rests(rest) = left else {
                return Ok(left);
            };
            rest.over(&self.ports).await;
            rested = Some(rest);
        }
    }

    /// Until its end, until it waits for a person, or until all of it is at rest.
    async fn stretch(&self, id: &DeploymentId, rested: Option<Rest>) -> Result<Left, StoreError> {
        let running = async {
            let ports = self.ports.clone();
            let course = Course::take(ports, &self.owner, id).await?;
            let mut course = match rested {
                Some(rest) => course.after(rest),
                None => course,
            };
            course.run().await
        };
        match AssertUnwindSafe(running).catch_unwind().await {
            // It would be as large the next time.
            Ok(Err(StoreError::TooLarge(what))) => {
                let why = format!("what comes next cannot be written down: {what}");
                self.park(id, why).await
            }
            Ok(left) => left,
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text =
                    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                let text = text.unwrap_or_default();
                tracing::error!(deployment = %id, text, "a bug in Belay");
                self.park(id, format!("a bug in Belay stopped it: {text}"))
                    .await
            }
        }
    }

    /// What stops one deployment stops no other; a person decides.
    async fn park(&self, id: &DeploymentId, why: String) -> Result<Left, StoreError> {
        let now_us = self.ports.clock.now_us();
        let entries = self.ports.store.events(id, 0).await?;
        let after = entries.last().map_or(0, |entry| entry.seq);
        let epoch = self.hold.lease.epoch;
        let has_claimed = entries
            .iter()
            .any(|entry| matches!(entry.event, Event::Claimed { epoch: own, .. } if own == epoch));
        let mut events = vec![(now_us, Event::parked(None, why))];
        let mut writer = Writer::Worker { epoch, after };
        if !has_claimed {
            let owner = self.owner.clone();
            events.insert(0, (now_us, Event::Claimed { owner, epoch }));
            writer = Writer::Claim { epoch, after };
        }
        let batch = Batch {
            deployment: id.clone(),
            writer,
            events,
            environment: Vec::new(),
            unmoved: Vec::new(),
        };
        self.ports.store.append(batch).await?;
        Ok(Left::Parked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<F>(_: impl FnOnce(Serving) -> F) -> usize {
        size_of::<F>()
    }

    /// There is one for each scope with something open, however little it has to do.
    #[test]
    fn what_waits_is_small() {
        let all = bytes(Serving::run) + bytes(async move |serving: Serving| serving.serve().await);
        assert!(all < 3_000, "{all}");
    }
}
