//! The engine's store in memory, with the same rules as the real ones (order, epochs, leases, projections in the append).
//! It is kept honest by the store's conformance suite, which they pass, too.

mod data;
mod leases;

use crate::crash::Crashes;
use crate::told::Told;
use async_trait::async_trait;
use belay_engine::lease::{Lease, Owner, Work};
use belay_engine::ports::{Batch, Clock, Evidence, Head, Store, StoreError};
use belay_model::environment::{self, View};
use belay_model::event::{Entry, Event};
use belay_model::id::{DeploymentId, ReleaseNumber, Scope, ServiceName};
use belay_model::release::Release;
use belay_model::summary::Summary;
use data::Data;
use leases::Lives;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;
use tokio::time::Instant;

/// How often it is asked in one moment before someone turns in a circle, in which time never passes.
const CIRCLE: u32 = 200_000;
/// How often a worker looks that hears no hints.
const POLL: Duration = Duration::from_secs(1);

/// See the module.
pub struct MemoryStore {
    data: Arc<Mutex<Data>>,
    generation: Arc<Told<u64>>,
    /// The last moment in which it was asked, and how often.
    asked: Arc<Mutex<Option<(Instant, u32)>>>,
    crashes: Arc<Crashes>,
    lives: Option<Lives>,
    reach: Told<Reach>,
    hints: Hints,
    /// Told of all that is appended to journals, in the moment in which it is.
    onlooker: Arc<OnceLock<Onlooker>>,
}

type Onlooker = Box<dyn Fn(&DeploymentId, &[Entry]) + Send + Sync>;

/// Whether a worker reaches the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It does.
    Here,
    /// No request gets there, and it is told so.
    Refused,
    /// Requests get there and are served, and no answer comes back until this is over.
    Silent,
}

/// How a worker hears that something was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hints {
    /// At once.
    Prompt,
    /// After that many milliseconds.
    LateBy(u64),
    /// Never: it looks each second.
    Lost,
    /// Now and then although nothing was.
    Doubled,
}

impl MemoryStore {
    /// An empty store whose appends pass through `crashes`.
    pub fn new(crashes: Arc<Crashes>) -> Self {
        Self {
            data: Arc::default(),
            generation: Arc::default(),
            asked: Arc::default(),
            crashes,
            lives: None,
            reach: Told::new(Reach::Here),
            hints: Hints::Prompt,
            onlooker: Arc::default(),
        }
    }

    /// The same store, as another worker reaches it, who hears of it like that.
    pub fn reached_through(&self, crashes: Arc<Crashes>, hints: Hints) -> Self {
        Self {
            data: self.data.clone(),
            generation: self.generation.clone(),
            asked: self.asked.clone(),
            crashes,
            lives: self.lives.clone(),
            reach: Told::new(Reach::Here),
            hints,
            onlooker: self.onlooker.clone(),
        }
    }

    /// From now on that is told of all that is appended to journals. Once.
    pub fn watched_by(&self, onlooker: impl Fn(&DeploymentId, &[Entry]) + Send + Sync + 'static) {
        let set = self.onlooker.set(Box::new(onlooker));
        assert!(set.is_ok(), "it is watched already");
    }

    /// From now on it is reached like that, through here.
    pub fn reach(&self, reach: Reach) {
        self.reach.set(|_| reach);
    }

    /// The same, with leases that end by themselves after `lease_ms`, by this clock.
    pub fn with_leases(crashes: Arc<Crashes>, clock: Arc<dyn Clock>, lease_ms: u64) -> Self {
        Self {
            lives: Some(Lives { clock, lease_ms }),
            ..Self::new(crashes)
        }
    }

    /// From now on no worker reaches it, or they do again. Others do.
    pub fn cut_off(&self, cut_off: bool) {
        self.reach(if cut_off { Reach::Refused } else { Reach::Here });
    }

    /// Whether that worker holds the scope under a lease that lives.
    pub fn is_held_by(&self, scope: &Scope, name: &str) -> bool {
        self.data().is_held_by(scope, name, self.lives.as_ref())
    }

    /// Who holds which scope under a lease that lives.
    pub fn holders(&self) -> BTreeMap<Scope, String> {
        self.data().holders(self.lives.as_ref())
    }

    /// Gives a scope to somebody else, whoever has it.
    pub fn usurp(&self, scope: &Scope, name: &str) {
        self.data().usurp(scope, name, self.lives.as_ref());
    }

    fn within_reach(&self) -> Result<(), StoreError> {
        let now = Instant::now();
        let often = {
            let mut asked = self.asked.lock().unwrap_or_else(|e| e.into_inner());
            let before = asked.filter(|(at, _)| *at == now);
            let often = before.map_or(0, |(_, often)| often) + 1;
            *asked = Some((now, often));
            often
        };
        assert!(often < CIRCLE, "liveness: it turns in a circle");
        match self.reach.get() {
            Reach::Refused => Err(StoreError::Unwritable("it cannot be reached".to_owned())),
            Reach::Here | Reach::Silent => Ok(()),
        }
    }

    /// What was asked for is done; its answer comes when answers do.
    async fn answered<T>(&self, answer: T) -> T {
        self.reach.until(|reach| reach != Reach::Silent).await;
        answer
    }

    fn told(&self, id: &DeploymentId, entries: &[Entry]) {
        if let Some(onlooker) = self.onlooker.get() {
            onlooker(id, entries);
        }
    }

    /// Transactions so far.
    pub fn appends(&self) -> u64 {
        self.data().appends
    }

    /// A journal.
    pub fn journal(&self, id: &DeploymentId) -> Vec<Entry> {
        self.data().journals.get(id).cloned().unwrap_or_default()
    }

    /// Whether a journal has such an event; the newest are looked at first.
    pub fn any_event(&self, id: &DeploymentId, is_it: impl Fn(&Event) -> bool) -> bool {
        let data = self.data();
        let mut journal = data.journals.get(id).into_iter().flatten().rev();
        journal.any(|entry| is_it(&entry.event))
    }

    /// What is open in a scope, the oldest first.
    pub fn queue(&self, scope: &Scope) -> Vec<DeploymentId> {
        let data = self.data();
        let open = data.open().filter(|summary| summary.scope == *scope);
        open.map(|summary| summary.id.clone()).collect()
    }

    /// The fold of a scope's stream.
    pub fn view(&self, scope: &Scope) -> View {
        self.data().view(scope).clone()
    }

    fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock().expect("no panic while held")
    }

    fn pulse(&self) {
        self.generation.set(|generation| generation + 1);
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn append(&self, batch: Batch) -> Result<Vec<Entry>, StoreError> {
        let of_worker = batch.writer.is_worker();
        if of_worker {
            self.crashes.pass("append", "before").await;
            self.within_reach()?;
        }
        let id = batch.deployment.clone();
        let added = self.data().append(batch)?;
        self.told(&id, &added);
        self.pulse();
        if !of_worker {
            return Ok(added);
        }
        self.crashes.pass("append", "after").await;
        Ok(self.answered(added).await)
    }

    async fn append_all(&self, batches: Vec<Batch>) -> Result<(), StoreError> {
        let of_worker = batches.iter().any(|batch| batch.writer.is_worker());
        if of_worker {
            self.crashes.pass("append", "before").await;
            self.within_reach()?;
        }
        let ids = batches.iter();
        let ids = ids.map(|batch| (batch.deployment.clone(), batch.events.len()));
        let ids: Vec<_> = ids.collect();
        self.data().append_all(batches)?;
        for (id, added) in ids {
            let journal = self.journal(&id);
            self.told(&id, &journal[journal.len() - added..]);
        }
        self.pulse();
        if of_worker {
            self.crashes.pass("append", "after").await;
            self.answered(()).await;
        }
        Ok(())
    }

    async fn events(
        &self,
        deployment: &DeploymentId,
        after: u64,
    ) -> Result<Vec<Entry>, StoreError> {
        self.within_reach()?;
        let found = {
            let data = self.data();
            let journal = data.journals.get(deployment).into_iter().flatten();
            journal.filter(|entry| entry.seq > after).cloned().collect()
        };
        Ok(self.answered(found).await)
    }

    async fn append_environment(
        &self,
        scope: &Scope,
        epoch: Option<u64>,
        events: Vec<(i64, environment::Event)>,
    ) -> Result<(), StoreError> {
        self.crashes.pass("append", "before").await;
        self.within_reach()?;
        self.data().append_environment(scope, epoch, events)?;
        self.pulse();
        self.crashes.pass("append", "after").await;
        self.answered(()).await;
        Ok(())
    }

    async fn environment(
        &self,
        scope: &Scope,
        after: u64,
    ) -> Result<Vec<environment::Entry>, StoreError> {
        self.within_reach()?;
        let found = {
            let data = self.data();
            let stream = data.streams.get(scope).into_iter().flatten();
            stream.filter(|entry| entry.seq > after).cloned().collect()
        };
        Ok(self.answered(found).await)
    }

    async fn scopes(&self) -> Result<Vec<Scope>, StoreError> {
        let data = self.data();
        let of_deployments = data.summaries.values().map(|summary| summary.scope.clone());
        let all: std::collections::BTreeSet<Scope> =
            data.streams.keys().cloned().chain(of_deployments).collect();
        Ok(all.into_iter().collect())
    }

    async fn open(&self) -> Result<Vec<Summary>, StoreError> {
        let data = self.data();
        Ok(data.open().cloned().collect())
    }

    async fn heads(&self) -> Result<Vec<Head>, StoreError> {
        self.within_reach()?;
        let heads = self.data().heads();
        Ok(self.answered(heads).await)
    }

    async fn summary(&self, deployment: &DeploymentId) -> Result<Option<Summary>, StoreError> {
        Ok(self.data().summaries.get(deployment).cloned())
    }

    async fn history(&self, scope: &Scope, limit: usize) -> Result<Vec<Summary>, StoreError> {
        let data = self.data();
        let all = data
            .order
            .iter()
            .rev()
            .filter_map(|id| data.summaries.get(id));
        Ok(all
            .filter(|summary| summary.scope == *scope)
            .take(limit)
            .cloned()
            .collect())
    }

    async fn oldest_open(&self, scope: &Scope) -> Result<Option<Summary>, StoreError> {
        self.within_reach()?;
        let oldest = self.data().oldest_open(scope).cloned();
        Ok(self.answered(oldest).await)
    }

    async fn work(&self, _: &str) -> Result<Work, StoreError> {
        self.within_reach()?;
        let work = self.data().work();
        Ok(self.answered(work).await)
    }

    async fn claim(
        &self,
        owner: &Owner,
        held: &[Lease],
        now_us: i64,
        at_most: usize,
    ) -> Result<Vec<Lease>, StoreError> {
        self.within_reach()?;
        let wanted = leases::Wanted {
            owner,
            held,
            now_us,
            at_most,
        };
        let claimed = self.data().claim(&wanted, self.lives.as_ref())?;
        Ok(self.answered(claimed).await)
    }

    async fn renew(&self, owner: &Owner, held: &[Lease]) -> Result<Vec<Lease>, StoreError> {
        self.within_reach()?;
        let lost = self.data().renew(owner, held, self.lives.as_ref());
        Ok(self.answered(lost).await)
    }

    async fn resign(&self, owner: &Owner) -> Result<(), StoreError> {
        self.within_reach()?;
        self.data().resign(owner);
        self.answered(()).await;
        Ok(())
    }

    fn lease_ms(&self) -> Option<u64> {
        self.lives.as_ref().map(|lives| lives.lease_ms)
    }

    async fn epoch(&self, deployment: &DeploymentId) -> Result<u64, StoreError> {
        self.data().epoch(deployment)
    }

    async fn evidence(
        &self,
        deployment: &DeploymentId,
        evidence: Vec<Evidence>,
    ) -> Result<(), StoreError> {
        self.data()
            .evidence
            .entry(deployment.clone())
            .or_default()
            .extend(evidence);
        Ok(())
    }

    async fn evidence_of(&self, deployment: &DeploymentId) -> Result<Vec<Evidence>, StoreError> {
        Ok(self
            .data()
            .evidence
            .get(deployment)
            .cloned()
            .unwrap_or_default())
    }

    async fn progress(&self, _: &DeploymentId, _: i64, _: &str) -> Result<(), StoreError> {
        Ok(())
    }

    async fn progress_of(
        &self,
        _: &DeploymentId,
        _: i64,
    ) -> Result<Vec<(i64, i64, String)>, StoreError> {
        Ok(Vec::new())
    }

    async fn release(&self, candidate: Release) -> Result<Release, StoreError> {
        let mut data = self.data();
        let releases = data.releases.entry(candidate.service.clone()).or_default();
        let same =
            |one: &&Release| one.artifact == candidate.artifact && one.config == candidate.config;
        if let Some(there) = releases.iter().find(same) {
            return Ok(there.clone());
        }
        let number = ReleaseNumber(u32::try_from(releases.len()).unwrap_or(u32::MAX) + 1);
        let release = Release {
            number,
            ..candidate
        };
        releases.push(release.clone());
        Ok(release)
    }

    async fn release_of(
        &self,
        service: &ServiceName,
        number: ReleaseNumber,
    ) -> Result<Option<Release>, StoreError> {
        let all = self.releases(service).await?;
        Ok(all.into_iter().find(|release| release.number == number))
    }

    async fn releases(&self, service: &ServiceName) -> Result<Vec<Release>, StoreError> {
        Ok(self
            .data()
            .releases
            .get(service)
            .into_iter()
            .flatten()
            .rev()
            .cloned()
            .collect())
    }

    fn generation(&self) -> u64 {
        self.generation.get()
    }

    async fn changed(&self, since: u64) {
        let moved = self.generation.until(|generation| generation != since);
        match self.hints {
            Hints::Prompt => moved.await,
            Hints::LateBy(ms) => {
                moved.await;
                tokio::time::sleep(Duration::from_millis(ms)).await;
            }
            Hints::Lost => loop {
                tokio::time::sleep(POLL).await;
                if self.generation() != since {
                    break;
                }
            },
            Hints::Doubled => {
                tokio::select! {
                    biased;
                    () = moved => {}
                    () = tokio::time::sleep(POLL) => {}
                }
            }
        }
        self.crashes.is_going().await;
    }
}
