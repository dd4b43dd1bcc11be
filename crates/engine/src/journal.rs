//! One deployment's journal as its worker holds it: the fold, what is about to be appended, and the append itself.
//!
//! Events gather in `pending` and become durable together, so that `Finished(n)` and `Started(n+1)` share one
//! transaction. Nothing may touch the world while something is pending: the worker flushes first.

use crate::ahead::Ahead;
use crate::fold::Deployment;
use crate::freeze::may_hold_up;
use crate::mutant::{self, Mutant};
use crate::ports::{Batch, Clock, Store, StoreError, Writer};
use belay_model::environment;
use belay_model::event::{Ask, Entry, Event};
use belay_model::id::{DeploymentId, Scope};
use std::sync::Arc;

/// See the module.
pub(crate) struct Journal {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    owner: String,
    ahead: Ahead,
    environment: Vec<(i64, environment::Event)>,
    /// Where among what is pending, of both kinds, that begins which concludes the deployment.
    conclusion: Option<(usize, usize)>,
    premise: Option<Premise>,
    /// Ours, and only ours: a newer one in the journal means that we have no say any more (I6).
    epoch: u64,
    claimed: bool,
    generation: u64,
}

/// What was looked at before something was pushed.
struct Premise {
    /// Where among what is pending, of both kinds, that begins which was decided on it.
    from: (usize, usize),
    /// Environment streams, and where they ended.
    streams: Vec<(Scope, u64)>,
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
        let state = Deployment::of(id.clone(), &entries);
        let epoch = store.epoch(id).await?;
        let mut journal = Self {
            store,
            clock,
            owner: owner.to_owned(),
            environment: Vec::new(),
            conclusion: None,
            premise: None,
            // Under one lease we may come back to it.
            claimed: state.epoch == epoch,
            ahead: Ahead::new(state),
            epoch,
            generation,
        };
        if journal.state().ended.is_none() && !journal.claimed {
            let owner = journal.owner.clone();
            journal.push(Event::Claimed { owner, epoch });
        }
        Ok(journal)
    }

    /// The fold, pending events included: what the next decision is made from.
    pub(crate) fn state(&self) -> &Deployment {
        self.ahead.state()
    }

    /// Adds an event to what is about to be appended.
    pub(crate) fn push(&mut self, event: Event) {
        self.ahead.push(self.clock.now_us(), event);
    }

    /// Adds an event of the environment stream to the same transaction.
    pub(crate) fn push_environment(&mut self, event: environment::Event) {
        self.environment.push((self.clock.now_us(), event));
    }

    /// What is pushed from now on says how it ends, or where it goes back to and what begins there: nothing that was seen in
    /// the world. It is not said where someone asked for a way back meanwhile: that is heard first, or it would be lost.
    pub(crate) fn conclude(&mut self) {
        // Of a way back that ends at once the end counts on the way, and both on that nobody asked for another one.
        let from = (self.ahead.pending().len(), self.environment.len());
        self.conclusion.get_or_insert(from);
    }

    /// What is pushed from now on was decided on these environment streams, which ended at these positions. Where something
    /// that matters was said in one of them since, none of it is said, and it is to be decided anew.
    pub(crate) fn decided_on(&mut self, streams: Vec<(Scope, u64)>) {
        let from = (self.ahead.pending().len(), self.environment.len());
        self.premise = Some(Premise { from, streams });
    }

    /// Whether there is something to flush.
    pub(crate) fn is_pending(&self) -> bool {
        !self.ahead.pending().is_empty() || !self.environment.is_empty()
    }

    /// What is pending, as it is written.
    pub(crate) fn batch(&self) -> Batch {
        let (epoch, after) = (self.epoch, self.state().seq);
        let writer = if self.claimed {
            Writer::Worker { epoch, after }
        } else {
            Writer::Claim { epoch, after }
        };
        Batch {
            deployment: self.state().id.clone(),
            writer,
            events: self.ahead.pending().to_vec(),
            environment: self.environment.clone(),
            unmoved: self
                .premise
                .iter()
                .flat_map(|premise| premise.streams.clone())
                .collect(),
        }
    }

    /// Who writes.
    pub(crate) fn owner(&self) -> &str {
        &self.owner
    }

    /// Makes everything pending durable. Where a signal came in between, it is folded first and the batch appended
    /// behind it: what we append are facts and intents that a signal does not make untrue; the next decision sees it. After
    /// a conclusion there may be none ([`Journal::conclude`]). Answers whether all of it was said: where it was not, it is
    /// to be decided anew.
    ///
    /// # Errors
    /// Another worker has a newer epoch, or the store cannot be written.
    pub(crate) async fn flush(&mut self) -> Result<bool, StoreError> {
        let mut is_all = true;
        while self.is_pending() {
            let after = self.state().seq;
            match self.store.append(self.batch()).await {
                Ok(entries) => {
                    self.claimed = true;
                    self.environment.clear();
                    self.conclusion = None;
                    self.premise = None;
                    self.ahead
                        .appended(entries.last().map_or(after, |last| last.seq));
                }
                Err(StoreError::Moved(_)) => {
                    let pending = self.ahead.pending().len();
                    self.refresh().await?;
                    is_all &= self.ahead.pending().len() == pending;
                }
                Err(StoreError::Stale(_)) if self.premise.is_some() => {
                    is_all &= self.holds_still().await?;
                }
                Err(missing @ StoreError::Missing(_)) => {
                    // Replaced by a newer one before it had begun, perhaps.
                    self.refresh().await?;
                    if self.state().ended.is_none() {
                        return Err(missing);
                    }
                    is_all = false;
                }
                Err(other) => return Err(other),
            }
        }
        Ok(is_all)
    }

    /// Whether nothing was said that changes what was decided; else that is not pending any more.
    async fn holds_still(&mut self) -> Result<bool, StoreError> {
        let Some(mut premise) = self.premise.take() else {
            return Ok(true);
        };
        let mut holds = true;
        for (scope, seen) in &mut premise.streams {
            for entry in self.store.environment(scope, *seen).await? {
                *seen = entry.seq;
                holds &= !may_hold_up(&entry.event);
            }
        }
        if holds {
            self.premise = Some(premise);
            return Ok(true);
        }
        let (id, seq) = (self.state().id.clone(), self.state().seq);
        let mut entries = self.store.events(&id, 0).await?;
        // What others appended meanwhile is taken in where that is looked at.
        entries.retain(|entry| entry.seq <= seq);
        let (events, said) = premise.from;
        self.environment.truncate(said);
        self.conclusion = self.conclusion.filter(|(from, _)| *from <= events);
        self.ahead.moved(&entries, events);
        Ok(false)
    }

    /// Whether only the claim is pending: a look that found nothing to do leaves no trace.
    pub(crate) fn is_only_claimed(&self) -> bool {
        !self.claimed && self.ahead.pending().len() <= 1 && self.environment.is_empty()
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
        let (id, seq) = (self.state().id.clone(), self.state().seq);
        let entries = self.store.events(&id, self.ahead.after()).await?;
        let mut new = entries.iter().filter(|entry| entry.seq > seq).peekable();
        if new.peek().is_none() {
            return Ok(false);
        }
        if new.any(|entry| matches!(entry.event, Event::Claimed { .. })) {
            return Err(StoreError::Fenced(id.to_string()));
        }
        let mut keep = usize::MAX;
        if let Some((events, said)) = self.conclusion
            && entries
                .iter()
                .any(|entry| entry.seq > seq && self.is_heard_first(entry))
        {
            keep = events;
            self.environment.truncate(said);
            self.conclusion = None;
            self.premise = self.premise.take().filter(|it| it.from.0 < events);
        }
        self.ahead.moved(&entries, keep);
        if self.state().ended.is_some() && self.ahead.pending().is_empty() {
            // Others ended it: what this belonged to is not said any more.
            self.environment.clear();
            self.premise = None;
        }
        Ok(true)
    }

    /// Whether it asks for what the pending conclusion leaves out.
    fn is_heard_first(&self, entry: &Entry) -> bool {
        let Event::Signal { ask, back, .. } = &entry.event else {
            return false;
        };
        if mutant::is(Mutant::MissesTheWord) {
            return false;
        }
        let goes_back = |event: &Event| matches!(event, Event::RollbackPlanned { .. });
        let mut pending = self.ahead.pending().iter();
        match ask {
            Ask::Abort | Ask::Reject => {
                back.to.is_some() || !pending.any(|(_, event)| goes_back(event))
            }
            // An answer, before the time for it was over.
            Ask::Retry | Ask::Skip | Ask::Stop | Ask::Abandon => true,
            _ => false,
        }
    }

    /// Now, Unix microseconds.
    pub(crate) fn now_us(&self) -> i64 {
        self.clock.now_us()
    }
}
