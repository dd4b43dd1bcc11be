//! The port itself: what workers and commands ask of the store.

use super::leases::Wanted;
use super::{Hints, MemoryStore};
use async_trait::async_trait;
use belay_engine::lease::{Lease, Owner, Work};
use belay_engine::ports::{Batch, Evidence, Head, Store, StoreError};
use belay_model::environment;
use belay_model::event::Entry;
use belay_model::id::{DeploymentId, ReleaseNumber, Scope, ServiceName};
use belay_model::release::Release;
use belay_model::summary::Summary;
use std::collections::BTreeSet;
use std::time::Duration;

/// How often a worker looks that hears no hints.
const POLL: Duration = Duration::from_secs(1);

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
        let all: BTreeSet<Scope> = data.streams.keys().cloned().chain(of_deployments).collect();
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
        self.crashes.look().await;
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
        let wanted = Wanted {
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
