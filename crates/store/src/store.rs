//! The store as the engine's port, and what else is the same on all databases: checks, progress, closing.

use crate::blobs::{BlobError, Blobs};
use crate::chain::{self, BrokenLink};
use crate::change::{Answer, Change};
use crate::database::{Database, Health, Leases, Stats};
use crate::leases::{self, Claim};
use crate::reader;
use crate::sql::Sql;
use crate::views::Views;
use async_trait::async_trait;
use belay_engine::lease::{Lease, Owner, Work};
use belay_engine::ports::{Batch, Evidence, Head, Store, StoreError};
use belay_model::environment::{self, View};
use belay_model::event::Entry;
use belay_model::id::{DeploymentId, ReleaseNumber, Scope, ServiceName};
use belay_model::release::Release;
use belay_model::summary::Summary;
use std::path::Path;
use std::sync::Arc;

/// The store on a database: [`SqliteStore`](crate::SqliteStore), [`PostgresStore`](crate::PostgresStore).
pub struct SqlStore<D: ?Sized> {
    pub(crate) views: Views,
    pub(crate) database: Arc<D>,
}

/// The name in `meta` under which the store remembers which one it is.
const IDENTITY: &str = "identity";

/// The store on whichever database it is.
pub type AnyStore = SqlStore<dyn Database>;

#[allow(
    private_bounds,
    reason = "there are two databases, and both are made here"
)]
impl<D: Database> SqlStore<D> {
    /// The same store, without saying on which database.
    pub fn any(self) -> AnyStore {
        SqlStore {
            views: self.views,
            database: self.database,
        }
    }
}

impl AnyStore {
    /// Blobs sealed with `key` (64 hex digits, the value of `BELAY_KEY`), else with the key in the file `path`, which
    /// is made on first use. All who use the store need the same key.
    ///
    /// # Errors
    /// When the key is not the one that the store is sealed with, or is not here, or others may read it.
    pub async fn blobs(&self, key: Option<&str>, path: &Path) -> Result<Blobs, BlobError> {
        Blobs::open(self.database.clone(), key, path).await
    }

    /// What tells this store from every other, wherever it is kept: what is moved or restored is the same store.
    /// Made on first use.
    ///
    /// # Errors
    /// The store cannot be read, or, the first time, not written.
    pub async fn identity(&self) -> Result<String, StoreError> {
        let known = reader::meta(self.database.read().await?.as_mut(), IDENTITY).await?;
        if let Some(known) = known {
            return Ok(known);
        }
        let new = format!("store_{:032x}", rand::random::<u128>());
        match self.database.change(Change::Meta(IDENTITY, new)).await? {
            Answer::Text(kept) => Ok(kept),
            other => Err(StoreError::Damaged(format!(
                "the writer answered {other:?}"
            ))),
        }
    }

    /// Whether the key that is here, if any, is the one that the store is sealed with, if it is.
    ///
    /// # Errors
    /// It is another one, no key at all, or others may read it.
    pub async fn check_key(&self, key: Option<&str>, path: &Path) -> Result<(), BlobError> {
        Blobs::check(self.database.as_ref(), key, path).await
    }
}

#[allow(
    private_bounds,
    reason = "there are two databases, and both are made here"
)]
impl<D: Database + ?Sized> SqlStore<D> {
    /// Makes sure that the store can be written: has room and takes a small write. Called before anything is changed
    /// that the store has to know of.
    ///
    /// # Errors
    /// `Unwritable` says why; nothing was changed then.
    pub async fn require_writable(&self) -> Result<(), StoreError> {
        self.database.require_writable().await
    }

    /// What was written so far.
    pub fn stats(&self) -> Stats {
        self.database.stats()
    }

    /// The first link of a deployment's hash chain that does not hold.
    ///
    /// # Errors
    /// `Missing` when there is no such deployment.
    pub async fn verify_chain(&self, id: &DeploymentId) -> Result<Option<BrokenLink>, StoreError> {
        chain::verify_deployment(self.database.snapshot().await?.as_mut(), id).await
    }

    /// The first link of an environment stream's hash chain that does not hold.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn verify_environment(
        &self,
        scope: &Scope,
    ) -> Result<Option<BrokenLink>, StoreError> {
        chain::verify_scope(self.database.snapshot().await?.as_mut(), scope).await
    }

    /// Looks at everything: the database's own check, bounds, and all hash chains. One line for each thing found; empty: all
    /// is well.
    ///
    /// # Errors
    /// When the store cannot be read at all.
    pub async fn check(&self) -> Result<Vec<String>, StoreError> {
        let mut found = self.database.self_check().await?;
        found.extend(reader::over_bounds(self.read().await?.as_mut()).await?);
        for id in reader::deployments(self.read().await?.as_mut()).await? {
            if let Some(broken) = self.verify_chain(&id).await? {
                found.push(format!("event {} of {id}: {}", broken.seq, broken.why));
            }
        }
        for scope in self.scopes().await? {
            if let Some(broken) = self.verify_environment(&scope).await? {
                found.push(format!("event {} of {scope}: {}", broken.seq, broken.why));
            }
        }
        Ok(found)
    }

    /// Whose workers a deployment is for; absent: anyone's, or there is no such deployment.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn host_of(&self, id: &DeploymentId) -> Result<Option<String>, StoreError> {
        reader::host(self.read().await?.as_mut(), id).await
    }

    /// Whether what the database runs on keeps what it acknowledges.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn health(&self) -> Result<Vec<Health>, StoreError> {
        self.database.health().await
    }

    /// Removes progress lines older than a time (Unix microseconds); answers how many.
    ///
    /// # Errors
    /// When they cannot be removed.
    pub async fn prune_progress(&self, before_us: i64) -> Result<u64, StoreError> {
        self.database.prune_progress(before_us).await
    }

    /// Closes all connections. Requests that come later are refused.
    pub async fn close(&self) {
        self.database.close().await;
    }

    pub(crate) async fn read(&self) -> Result<Box<dyn Sql>, StoreError> {
        self.database.read().await
    }
}

fn micros(leases: Option<Leases>) -> i64 {
    leases.map_or(0, |leases| {
        i64::try_from(leases.each.as_micros()).unwrap_or(i64::MAX)
    })
}

pub(crate) fn unexpected(answer: &Answer) -> StoreError {
    StoreError::Damaged(format!("the writer answered {answer:?}"))
}

#[async_trait]
impl<D: Database + ?Sized> Store for SqlStore<D> {
    async fn append(&self, batch: Batch) -> Result<Vec<Entry>, StoreError> {
        match self.database.change(Change::Append(batch)).await? {
            Answer::Entries(entries) => Ok(entries),
            other => Err(unexpected(&other)),
        }
    }

    async fn append_all(&self, batches: Vec<Batch>) -> Result<(), StoreError> {
        let changes: Result<Vec<_>, _> = batches.into_iter().map(Change::of).collect();
        let change = Change::All(changes?);
        self.database.change(change).await.map(drop)
    }

    async fn events(&self, id: &DeploymentId, after: u64) -> Result<Vec<Entry>, StoreError> {
        reader::events(self.read().await?.as_mut(), id, after).await
    }

    async fn append_environment(
        &self,
        scope: &Scope,
        epoch: Option<u64>,
        events: Vec<(i64, environment::Event)>,
    ) -> Result<(), StoreError> {
        let change = Change::Environment(scope.clone(), epoch, events);
        self.database.change(change).await.map(drop)
    }

    async fn environment(
        &self,
        scope: &Scope,
        after: u64,
    ) -> Result<Vec<environment::Entry>, StoreError> {
        let stretch = reader::environment(self.read().await?.as_mut(), scope, after).await?;
        Ok(stretch.entries)
    }

    async fn view(&self, scope: &Scope) -> Result<Arc<View>, StoreError> {
        self.views.of(self.read().await?.as_mut(), scope).await
    }

    async fn scopes(&self) -> Result<Vec<Scope>, StoreError> {
        reader::scopes(self.read().await?.as_mut()).await
    }

    async fn open(&self) -> Result<Vec<Summary>, StoreError> {
        reader::open(self.read().await?.as_mut()).await
    }

    async fn heads(&self) -> Result<Vec<Head>, StoreError> {
        reader::heads(self.read().await?.as_mut()).await
    }

    async fn summary(&self, id: &DeploymentId) -> Result<Option<Summary>, StoreError> {
        reader::summary(self.read().await?.as_mut(), id).await
    }

    async fn history(&self, scope: &Scope, limit: usize) -> Result<Vec<Summary>, StoreError> {
        reader::history(self.read().await?.as_mut(), scope, limit).await
    }

    async fn oldest_open(&self, scope: &Scope) -> Result<Option<Summary>, StoreError> {
        reader::oldest_open(self.read().await?.as_mut(), scope).await
    }

    async fn work(&self, host: &str) -> Result<Work, StoreError> {
        Ok(leases::work(self.read().await?.as_mut(), host).await?)
    }

    async fn claim(
        &self,
        owner: &Owner,
        held: &[Lease],
        now_us: i64,
        at_most: usize,
    ) -> Result<Vec<Lease>, StoreError> {
        let lives = self.database.leases();
        let claim = Claim {
            owner: owner.clone(),
            held: held.to_owned(),
            now_us,
            at_most,
            lives_us: micros(lives),
            per_environment: lives.map_or(usize::MAX, |lives| lives.per_environment),
        };
        if !claim.is_worth_it(self.read().await?.as_mut()).await? {
            return Ok(Vec::new());
        }
        match self.database.change(Change::Claim(Box::new(claim))).await? {
            Answer::Leases(leases) => Ok(leases),
            other => Err(unexpected(&other)),
        }
    }

    async fn renew(&self, owner: &Owner, held: &[Lease]) -> Result<Vec<Lease>, StoreError> {
        let lives_us = micros(self.database.leases());
        let change = Change::Renew(owner.clone(), lives_us);
        let has = match self.database.change(change).await? {
            Answer::Leases(leases) => leases,
            other => return Err(unexpected(&other)),
        };
        let lost = held.iter().filter(|lease| !has.contains(lease));
        Ok(lost.cloned().collect())
    }

    async fn resign(&self, owner: &Owner) -> Result<(), StoreError> {
        let change = Change::Resign(owner.clone());
        self.database.change(change).await.map(drop)
    }

    fn lease_ms(&self) -> Option<u64> {
        let lives = self.database.leases()?;
        Some(u64::try_from(lives.each.as_millis()).unwrap_or(u64::MAX))
    }

    async fn epoch(&self, id: &DeploymentId) -> Result<u64, StoreError> {
        reader::epoch(self.read().await?.as_mut(), id).await
    }

    async fn evidence(&self, id: &DeploymentId, evidence: Vec<Evidence>) -> Result<(), StoreError> {
        let change = Change::Evidence(id.clone(), evidence);
        self.database.change(change).await.map(drop)
    }

    async fn evidence_of(&self, id: &DeploymentId) -> Result<Vec<Evidence>, StoreError> {
        reader::evidence(self.read().await?.as_mut(), id).await
    }

    /// Adding progress does not wake `changed`: who shows lines asks for them when it likes.
    async fn progress(&self, id: &DeploymentId, at_us: i64, line: &str) -> Result<(), StoreError> {
        self.database.add_progress(id, at_us, line).await;
        Ok(())
    }

    async fn progress_of(
        &self,
        id: &DeploymentId,
        after: i64,
    ) -> Result<Vec<(i64, i64, String)>, StoreError> {
        self.database.progress(id, after).await
    }

    async fn release(&self, candidate: Release) -> Result<Release, StoreError> {
        let change = Change::Release(Box::new(candidate));
        match self.database.change(change).await? {
            Answer::Release(release) => Ok(*release),
            other => Err(unexpected(&other)),
        }
    }

    async fn release_of(
        &self,
        service: &ServiceName,
        number: ReleaseNumber,
    ) -> Result<Option<Release>, StoreError> {
        reader::release(self.read().await?.as_mut(), service, number).await
    }

    async fn releases(&self, service: &ServiceName) -> Result<Vec<Release>, StoreError> {
        reader::releases(self.read().await?.as_mut(), service).await
    }

    fn generation(&self) -> u64 {
        self.database.generation()
    }

    async fn changed(&self, since: u64) {
        self.database.changed(since).await;
    }
}
