//! The engine's store in memory, with the same rules as the real one (order, epochs, projections in the append). It
//! is kept honest by the store's conformance suite, which the real one passes, too.

use crate::crash::Crashes;
use async_trait::async_trait;
use belay_engine::ports::{Batch, Evidence, Store, StoreError, Writer};
use belay_model::environment::{self, View};
use belay_model::event::{Entry, Event, FORMAT};
use belay_model::id::{DeploymentId, ReleaseNumber, Scope, ServiceName};
use belay_model::release::Release;
use belay_model::summary::{Phase, Summary};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::watch;

#[derive(Default)]
struct Data {
    order: Vec<DeploymentId>,
    journals: BTreeMap<DeploymentId, Vec<Entry>>,
    epochs: BTreeMap<DeploymentId, u64>,
    summaries: BTreeMap<DeploymentId, Summary>,
    streams: BTreeMap<Scope, Vec<environment::Entry>>,
    releases: BTreeMap<ServiceName, Vec<Release>>,
    evidence: BTreeMap<DeploymentId, Vec<Evidence>>,
    appends: u64,
}

/// See the module.
pub struct MemoryStore {
    data: Mutex<Data>,
    generation: watch::Sender<u64>,
    crashes: Arc<Crashes>,
}

impl MemoryStore {
    /// An empty store whose appends pass through `crashes`.
    pub fn new(crashes: Arc<Crashes>) -> Self {
        Self {
            data: Mutex::default(),
            generation: watch::Sender::new(0),
            crashes,
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
        View::of(self.data().streams.get(scope).into_iter().flatten())
    }

    fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock().expect("no panic while held")
    }

    fn pulse(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }
}

impl Data {
    fn add(&mut self, id: &DeploymentId, events: Vec<(i64, Event)>) -> Vec<Entry> {
        let journal = self.journals.entry(id.clone()).or_default();
        let mut added = Vec::new();
        for (at_us, event) in events {
            let entry = Entry {
                seq: journal.len() as u64 + 1,
                at_us,
                format: FORMAT,
                event,
            };
            match self.summaries.get_mut(id) {
                Some(summary) => summary.apply(&entry),
                None => {
                    let begun =
                        Summary::begin(id.clone(), &entry).expect("a journal begins with Created");
                    self.summaries.insert(id.clone(), begun);
                }
            }
            journal.push(entry.clone());
            added.push(entry);
        }
        self.appends += 1;
        added
    }

    fn stream(&mut self, scope: &Scope, events: Vec<(i64, environment::Event)>) {
        let stream = self.streams.entry(scope.clone()).or_default();
        for (at_us, event) in events {
            stream.push(environment::Entry {
                seq: stream.len() as u64 + 1,
                at_us,
                format: 1,
                event,
            });
        }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn create(
        &self,
        id: &DeploymentId,
        at_us: i64,
        created: Event,
        environment: Vec<(i64, environment::Event)>,
        limit: usize,
    ) -> Result<(), StoreError> {
        let Event::Created(inputs) = &created else {
            return Err(StoreError::Damaged("not Created".to_owned()));
        };
        let scope = inputs.scope.clone();
        let open = self
            .open()
            .await?
            .into_iter()
            .filter(|summary| summary.scope == scope)
            .count();
        if open >= limit {
            return Err(StoreError::TooLarge(format!(
                "{open} deployments are open in {scope}"
            )));
        }
        let mut data = self.data();
        data.order.push(id.clone());
        data.stream(&scope, environment);
        data.add(id, vec![(at_us, created)]);
        drop(data);
        self.pulse();
        Ok(())
    }

    async fn append(&self, batch: Batch) -> Result<Vec<Entry>, StoreError> {
        let of_worker = !matches!(batch.writer, Writer::Anyone);
        if of_worker {
            self.crashes.pass("append", "before").await;
        }
        let added = {
            let mut data = self.data();
            let id = &batch.deployment;
            let head = data
                .journals
                .get(id)
                .map_or(0, |journal| journal.len() as u64);
            let has_ended = data
                .summaries
                .get(id)
                .is_some_and(|summary| summary.phase == Phase::Ended);
            if has_ended && !batch.events.is_empty() {
                return Err(StoreError::Missing(format!(
                    "open deployment {id}: it has ended"
                )));
            }
            let stored = data.epochs.get(id).copied().unwrap_or(0);
            match batch.writer {
                Writer::Worker { epoch, .. } if epoch != stored => {
                    return Err(StoreError::Fenced(id.clone()));
                }
                Writer::Claim { epoch, .. } if epoch != stored + 1 => {
                    return Err(StoreError::Fenced(id.clone()));
                }
                Writer::Worker { after, .. } | Writer::Claim { after, .. } if after != head => {
                    return Err(StoreError::Moved(id.clone()));
                }
                Writer::Claim { epoch, .. } => {
                    data.epochs.insert(id.clone(), epoch);
                }
                Writer::Worker { .. } | Writer::Anyone => {}
            }
            let scope = data.summaries.get(id).map(|summary| summary.scope.clone());
            let scope = scope.ok_or_else(|| StoreError::Missing(id.to_string()))?;
            data.stream(&scope, batch.environment);
            data.add(id, batch.events)
        };
        self.pulse();
        if of_worker {
            self.crashes.pass("append", "after").await;
        }
        Ok(added)
    }

    async fn events(
        &self,
        deployment: &DeploymentId,
        after: u64,
    ) -> Result<Vec<Entry>, StoreError> {
        let data = self.data();
        let journal = data
            .journals
            .get(deployment)
            .ok_or_else(|| StoreError::Missing(deployment.to_string()))?;
        Ok(journal
            .iter()
            .filter(|entry| entry.seq > after)
            .cloned()
            .collect())
    }

    async fn append_environment(
        &self,
        scope: &Scope,
        events: Vec<(i64, environment::Event)>,
    ) -> Result<(), StoreError> {
        self.crashes.pass("append", "before").await;
        self.data().stream(scope, events);
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
        let all = data.order.iter().filter_map(|id| data.summaries.get(id));
        Ok(all
            .filter(|summary| summary.phase != Phase::Ended)
            .cloned()
            .collect())
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

    async fn epoch(&self, deployment: &DeploymentId) -> Result<u64, StoreError> {
        Ok(self.data().epochs.get(deployment).copied().unwrap_or(0))
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
