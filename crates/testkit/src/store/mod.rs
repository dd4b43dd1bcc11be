//! The engine's store in memory, with the same rules as the real ones (order, epochs, leases, projections in the append).
//! It is kept honest by the store's conformance suite, which they pass, too.

mod data;
mod leases;

use crate::crash::Crashes;
use async_trait::async_trait;
use belay_engine::lease::{Lease, Owner, Work};
use belay_engine::ports::{Batch, Clock, Evidence, Store, StoreError};
use belay_model::environment::{self, View};
use belay_model::event::Entry;
use belay_model::id::{DeploymentId, ReleaseNumber, Scope, ServiceName};
use belay_model::release::Release;
use belay_model::summary::Summary;
use data::Data;
use leases::Lives;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::watch;

/// See the module.
pub struct MemoryStore {
    data: Mutex<Data>,
    generation: watch::Sender<u64>,
    crashes: Arc<Crashes>,
    lives: Option<Lives>,
    cut_off: AtomicBool,
}

impl MemoryStore {
    /// An empty store whose appends pass through `crashes`.
    pub fn new(crashes: Arc<Crashes>) -> Self {
        Self {
            data: Mutex::default(),
            generation: watch::Sender::new(0),
            crashes,
            lives: None,
            cut_off: AtomicBool::new(false),
        }
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
        self.cut_off.store(cut_off, Ordering::SeqCst);
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
        match self.cut_off.load(Ordering::SeqCst) {
            true => Err(StoreError::Unwritable("it cannot be reached".to_owned())),
            false => Ok(()),
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

    /// The fold of a scope's stream.
    pub fn view(&self, scope: &Scope) -> View {
        self.data().view(scope)
    }

    fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock().expect("no panic while held")
    }

    fn pulse(&self) {
        self.generation.send_modify(|generation| *generation += 1);
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
        let added = self.data().append(batch)?;
        self.pulse();
        if of_worker {
            self.crashes.pass("append", "after").await;
        }
        Ok(added)
    }

    async fn append_all(&self, batches: Vec<Batch>) -> Result<(), StoreError> {
        let of_worker = batches.iter().any(|batch| batch.writer.is_worker());
        if of_worker {
            self.crashes.pass("append", "before").await;
            self.within_reach()?;
        }
        self.data().append_all(batches)?;
        self.pulse();
        if of_worker {
            self.crashes.pass("append", "after").await;
        }
        Ok(())
    }

    async fn events(
        &self,
        deployment: &DeploymentId,
        after: u64,
    ) -> Result<Vec<Entry>, StoreError> {
        let data = self.data();
        let journal = data.journals.get(deployment).into_iter().flatten();
        Ok(journal.filter(|entry| entry.seq > after).cloned().collect())
    }

    async fn append_environment(
        &self,
        scope: &Scope,
        epoch: Option<u64>,
        events: Vec<(i64, environment::Event)>,
    ) -> Result<(), StoreError> {
        self.crashes.pass("append", "before").await;
        self.data().append_environment(scope, epoch, events)?;
        self.pulse();
        self.crashes.pass("append", "after").await;
        Ok(())
    }

    async fn environment(
        &self,
        scope: &Scope,
        after: u64,
    ) -> Result<Vec<environment::Entry>, StoreError> {
        let data = self.data();
        let stream = data.streams.get(scope).into_iter().flatten();
        Ok(stream.filter(|entry| entry.seq > after).cloned().collect())
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
        Ok(self.data().oldest_open(scope).cloned())
    }

    async fn work(&self, _: &str) -> Result<Work, StoreError> {
        Ok(self.data().work())
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
        self.data().claim(&wanted, self.lives.as_ref())
    }

    async fn renew(&self, owner: &Owner, held: &[Lease]) -> Result<Vec<Lease>, StoreError> {
        self.within_reach()?;
        Ok(self.data().renew(owner, held, self.lives.as_ref()))
    }

    async fn resign(&self, owner: &Owner) -> Result<(), StoreError> {
        self.data().resign(owner);
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
        *self.generation.borrow()
    }

    async fn changed(&self, since: u64) {
        let mut generation = self.generation.subscribe();
        let _ = generation.wait_for(|generation| *generation != since).await;
    }
}
