//! One deployment's journal as its worker holds it: the fold, what is about to be appended, and the append itself.
//!
//! Events gather in `pending` and become durable together, so that `Finished(n)` and `Started(n+1)` share one
//! transaction. Nothing may touch the world while something is pending: the worker flushes first.

use crate::fold::Deployment;
use crate::ports::{Batch, Clock, Store, StoreError, Writer};
use belay_model::environment;
use belay_model::event::Event;
use belay_model::id::DeploymentId;
use std::sync::Arc;

/// See the module.
pub(crate) struct Journal {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    owner: String,
    /// The fold of what is durable.
    durable: Deployment,
    /// The fold with what is pending.
    ahead: Deployment,
    pending: Vec<(i64, Event)>,
    environment: Vec<(i64, environment::Event)>,
    /// Ours, and only ours: a newer one in the journal means that we have no say any more (I6).
    epoch: u64,
    claimed: bool,
    generation: u64,
}

impl Journal {
    /// Loads a journal, as the holder of the lease that `store` is used under: its epoch is ours. The claim is pending
    /// until the first flush: it costs no transaction of its own.
    pub(crate) async fn open(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        owner: &str,
        id: &DeploymentId,
    ) -> Result<Self, StoreError> {
        let generation = store.generation();
        let entries = store.events(id, 0).await?;
        let durable = Deployment::of(id.clone(), &entries);
        let epoch = store.epoch(id).await?;
        let durable_epoch = durable.epoch;
        let mut journal = Self {
            store,
            clock,
            owner: owner.to_owned(),
            ahead: durable.clone(),
            durable,
            pending: Vec::new(),
            environment: Vec::new(),
            // Under one lease we may come back to it.
            claimed: durable_epoch == epoch,
            epoch,
            generation,
        };
        if journal.durable.ended.is_none() && !journal.claimed {
            let owner = journal.owner.clone();
            journal.push(Event::Claimed { owner, epoch });
        }
        Ok(journal)
    }

    /// The fold, pending events included: what the next decision is made from.
    pub(crate) fn state(&self) -> &Deployment {
        &self.ahead
    }

    /// Adds an event to what is about to be appended.
    pub(crate) fn push(&mut self, event: Event) {
        let now_us = self.clock.now_us();
        self.ahead.take(now_us, &event);
        self.pending.push((now_us, event));
    }

    /// Adds an event of the environment stream to the same transaction.
    pub(crate) fn push_environment(&mut self, event: environment::Event) {
        self.environment.push((self.clock.now_us(), event));
    }

    /// Whether there is something to flush.
    pub(crate) fn is_pending(&self) -> bool {
        !self.pending.is_empty() || !self.environment.is_empty()
    }

    /// Makes everything pending durable. Where a signal came in between, it is folded first and the batch appended
    /// behind it: what we append are facts and intents that a signal does not make untrue; the next decision sees it.
    ///
    /// # Errors
    /// Another worker has a newer epoch, or the store cannot be written.
    pub(crate) async fn flush(&mut self) -> Result<(), StoreError> {
        while self.is_pending() {
            let after = self.durable.seq;
            let epoch = self.epoch;
            let writer = if self.claimed {
                Writer::Worker { epoch, after }
            } else {
                Writer::Claim { epoch, after }
            };
            let batch = Batch {
                deployment: self.durable.id.clone(),
                writer,
                events: self.pending.clone(),
                environment: self.environment.clone(),
            };
            match self.store.append(batch).await {
                Ok(entries) => {
                    self.claimed = true;
                    self.pending.clear();
                    self.environment.clear();
                    for entry in &entries {
                        self.durable.apply(entry);
                    }
                    self.ahead = self.durable.clone();
                }
                Err(StoreError::Moved(_)) => {
                    self.refresh().await?;
                }
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }

    /// Whether only the claim is pending: a look that found nothing to do leaves no trace.
    pub(crate) fn is_only_claimed(&self) -> bool {
        !self.claimed && self.pending.len() <= 1 && self.environment.is_empty()
    }

    /// The store's generation before the last refresh: what to wait behind.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Takes in what others appended; answers whether there was anything.
    ///
    /// # Errors
    /// The store cannot be read, or another worker has taken over.
    pub(crate) async fn refresh(&mut self) -> Result<bool, StoreError> {
        self.generation = self.store.generation();
        let entries = self
            .store
            .events(&self.durable.id, self.durable.seq)
            .await?;
        for entry in &entries {
            if matches!(entry.event, Event::Claimed { .. }) {
                return Err(StoreError::Fenced(self.durable.id.to_string()));
            }
            self.durable.apply(entry);
        }
        if !entries.is_empty() {
            self.ahead = self.durable.clone();
            for (at_us, event) in &self.pending {
                self.ahead.take(*at_us, event);
            }
        }
        Ok(!entries.is_empty())
    }

    /// Now, Unix microseconds.
    pub(crate) fn now_us(&self) -> i64 {
        self.clock.now_us()
    }
}
