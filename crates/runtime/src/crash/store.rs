//! The store with points before and after whatever appends to a journal: of a deployment, or of an environment.

use super::Points;
use async_trait::async_trait;
use belay_engine::lease::{Lease, Owner, Work};
use belay_engine::ports::{Batch, Evidence, Head, Store, StoreError};
use belay_model::environment::{self, View};
use belay_model::event;
use belay_model::event::Entry;
use belay_model::id::{DeploymentId, ReleaseNumber, Scope, ServiceName};
use belay_model::release::Release;
use belay_model::summary::Summary;
use std::sync::Arc;

/// The same store, with points where a test asks for them.
pub(crate) fn store(inner: Arc<dyn Store>) -> Arc<dyn Store> {
    match super::points() {
        Some(points) => Arc::new(Pointed { inner, points }),
        None => inner,
    }
}

struct Pointed {
    inner: Arc<dyn Store>,
    points: &'static Points,
}

impl Pointed {
    async fn around<T>(
        &self,
        about: String,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.points.pass("append.before", &about);
        let done = call.await;
        // Refused is no append: whoever asked tries again, and that one counts.
        if done.is_ok() {
            self.points.pass("append.after", &about);
        }
        done
    }
}

/// `claimed, started`: the kinds of these events.
fn kinds<T: serde::Serialize>(events: &[(i64, T)]) -> String {
    let kind = |(_, event): &(i64, T)| {
        let json = serde_json::to_value(event).unwrap_or_default();
        let object = json.as_object().and_then(|object| object.keys().next());
        object.cloned().unwrap_or_default()
    };
    events.iter().map(kind).collect::<Vec<_>>().join(", ")
}

#[async_trait]
impl Store for Pointed {
    async fn append(&self, batch: Batch) -> Result<Vec<Entry>, StoreError> {
        let about = kinds(&batch.events);
        self.around(about, self.inner.append(batch)).await
    }

    async fn append_all(&self, batches: Vec<Batch>) -> Result<(), StoreError> {
        let about = batches.iter().map(|batch| kinds(&batch.events));
        let about = about.collect::<Vec<_>>().join("; ");
        self.around(about, self.inner.append_all(batches)).await
    }

    async fn append_environment(
        &self,
        scope: &Scope,
        epoch: Option<u64>,
        events: Vec<(i64, environment::Event)>,
    ) -> Result<(), StoreError> {
        let about = kinds(&events);
        let call = self.inner.append_environment(scope, epoch, events);
        self.around(about, call).await
    }

    async fn events(
        &self,
        deployment: &DeploymentId,
        after: u64,
    ) -> Result<Vec<event::Entry>, StoreError> {
        self.inner.events(deployment, after).await
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

    async fn epoch(&self, deployment: &DeploymentId) -> Result<u64, StoreError> {
        self.inner.epoch(deployment).await
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
        self.inner.generation()
    }

    async fn changed(&self, since: u64) {
        self.inner.changed(since).await;
    }
}
