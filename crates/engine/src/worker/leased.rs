//! The store as a course sees it: under a lease. Its epoch is the lease's, nothing is appended once that is over, and what
//! changes is what is appended to its scope's journals.

use super::term::Hold;
use crate::lease::{Lease, Owner, Work};
use crate::ports::{Batch, Evidence, Head, Store, StoreError};
use async_trait::async_trait;
use belay_model::environment::{self, View};
use belay_model::event;
use belay_model::id::{DeploymentId, ReleaseNumber, Scope, ServiceName};
use belay_model::release::Release;
use belay_model::summary::Summary;
use std::sync::Arc;

/// See the module.
pub(super) struct Leased {
    pub(super) inner: Arc<dyn Store>,
    pub(super) hold: Arc<Hold>,
}

#[async_trait]
impl Store for Leased {
    async fn append(&self, batch: Batch) -> Result<Vec<event::Entry>, StoreError> {
        if batch.writer.is_worker() && self.hold.is_over() {
            return Err(StoreError::Fenced(batch.deployment.to_string()));
        }
        self.inner.append(batch).await
    }

    async fn append_all(&self, batches: Vec<Batch>) -> Result<(), StoreError> {
        let is_worker = batches.iter().any(|batch| batch.writer.is_worker());
        if is_worker && self.hold.is_over() {
            return Err(StoreError::Fenced(self.hold.lease.scope.to_string()));
        }
        self.inner.append_all(batches).await
    }

    async fn events(
        &self,
        deployment: &DeploymentId,
        after: u64,
    ) -> Result<Vec<event::Entry>, StoreError> {
        self.inner.events(deployment, after).await
    }

    async fn append_environment(
        &self,
        scope: &Scope,
        epoch: Option<u64>,
        events: Vec<(i64, environment::Event)>,
    ) -> Result<(), StoreError> {
        if epoch.is_some() && self.hold.is_over() {
            return Err(StoreError::Fenced(scope.to_string()));
        }
        self.inner.append_environment(scope, epoch, events).await
    }

    async fn environment(
        &self,
        scope: &Scope,
        after: u64,
    ) -> Result<Vec<environment::Entry>, StoreError> {
        self.inner.environment(scope, after).await
    }

    async fn view(&self, scope: &Scope) -> Result<Arc<View>, StoreError> {
        self.inner.view(scope).await
    }

    async fn scopes(&self) -> Result<Vec<Scope>, StoreError> {
        self.inner.scopes().await
    }

    async fn open(&self) -> Result<Vec<Summary>, StoreError> {
        self.inner.open().await
    }

    async fn heads(&self) -> Result<Vec<Head>, StoreError> {
        self.inner.heads().await
    }

    async fn summary(&self, deployment: &DeploymentId) -> Result<Option<Summary>, StoreError> {
        self.inner.summary(deployment).await
    }

    async fn history(&self, scope: &Scope, limit: usize) -> Result<Vec<Summary>, StoreError> {
        self.inner.history(scope, limit).await
    }

    async fn oldest_open(&self, scope: &Scope) -> Result<Option<Summary>, StoreError> {
        self.inner.oldest_open(scope).await
    }

    async fn work(&self, host: &str) -> Result<Work, StoreError> {
        self.inner.work(host).await
    }

    async fn claim(
        &self,
        owner: &Owner,
        held: &[Lease],
        now_us: i64,
        at_most: usize,
    ) -> Result<Vec<Lease>, StoreError> {
        self.inner.claim(owner, held, now_us, at_most).await
    }

    async fn renew(&self, owner: &Owner, held: &[Lease]) -> Result<Vec<Lease>, StoreError> {
        self.inner.renew(owner, held).await
    }

    async fn resign(&self, owner: &Owner) -> Result<(), StoreError> {
        self.inner.resign(owner).await
    }

    fn lease_ms(&self) -> Option<u64> {
        self.inner.lease_ms()
    }

    async fn epoch(&self, _: &DeploymentId) -> Result<u64, StoreError> {
        Ok(self.hold.lease.epoch)
    }

    async fn evidence(
        &self,
        deployment: &DeploymentId,
        evidence: Vec<Evidence>,
    ) -> Result<(), StoreError> {
        self.inner.evidence(deployment, evidence).await
    }

    async fn evidence_of(&self, deployment: &DeploymentId) -> Result<Vec<Evidence>, StoreError> {
        self.inner.evidence_of(deployment).await
    }

    async fn progress(
        &self,
        deployment: &DeploymentId,
        at_us: i64,
        line: &str,
    ) -> Result<(), StoreError> {
        self.inner.progress(deployment, at_us, line).await
    }

    async fn progress_of(
        &self,
        deployment: &DeploymentId,
        after: i64,
    ) -> Result<Vec<(i64, i64, String)>, StoreError> {
        self.inner.progress_of(deployment, after).await
    }

    async fn release(&self, candidate: Release) -> Result<Release, StoreError> {
        self.inner.release(candidate).await
    }

    async fn release_of(
        &self,
        service: &ServiceName,
        number: ReleaseNumber,
    ) -> Result<Option<Release>, StoreError> {
        self.inner.release_of(service, number).await
    }

    async fn releases(&self, service: &ServiceName) -> Result<Vec<Release>, StoreError> {
        self.inner.releases(service).await
    }

    fn generation(&self) -> u64 {
        self.hold.bell.count()
    }

    async fn changed(&self, since: u64) {
        self.hold.bell.rung(since).await;
    }
}
