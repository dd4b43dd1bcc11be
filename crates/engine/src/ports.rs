//! What the engine needs of the world, as traits. Implemented by the store, the sources and the runtime; by the
//! testkit in tests.

use crate::lease::{Lease, Owner, Work};
use async_trait::async_trait;
use belay_driver::{Driver, Material, Progress};
use belay_model::config::Check;
use belay_model::environment::{self, View};
use belay_model::error::Failure;
use belay_model::event::{self, Event};
use belay_model::id::{DeploymentId, RecordHash, ReleaseNumber, Scope, ServiceName, StepId};
use belay_model::plan::{Call, Look};
use belay_model::release::{Record, Release, Target};
use belay_model::state::State;
use belay_model::summary::Summary;
use belay_model::verdict::Verdict;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Someone appended in between; load what is new and decide again.
    #[error("the journal of {0} has moved on")]
    Moved(DeploymentId),
    /// Something was said in an environment stream that a batch counted on ([`Batch::unmoved`]); look again and decide again.
    #[error("the stream of {0} has moved on")]
    Stale(Scope),
    /// Another worker has a newer epoch; whoever reads this must stop issuing calls (I6).
    #[error("{0} was taken over by another worker")]
    Fenced(String),
    /// There is no such thing.
    #[error("there is no {0}")]
    Missing(String),
    /// No room, read-only, or an input/output error: nothing of the transaction was kept.
    #[error("the store cannot be written: {0}")]
    Unwritable(String),
    /// What is stored cannot be right.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// Over a limit (I11).
    #[error("over a limit: {0}")]
    TooLarge(String),
    /// Written by a newer Belay.
    #[error("the store was written by a newer version ({0})")]
    Newer(String),
}

/// Most bytes of an event as JSON (I11), and of the plan of a release.
pub const MAX_EVENT: usize = 1 << 20;
/// Most bytes of an event that holds a plan. The engine keeps those of releases to [`MAX_EVENT`]: what could go out has to be
/// able to go back, and the plan of that says more.
pub const MAX_PLANNED: usize = 4 * MAX_EVENT;

/// Most bytes of this event as JSON.
pub fn most_bytes(event: &Event) -> usize {
    match event {
        Event::Planned { .. } | Event::RollbackPlanned { .. } => MAX_PLANNED,
        _ => MAX_EVENT,
    }
}

/// Who appends, and what it believes.
#[derive(Clone, Debug)]
pub enum Writer {
    /// A worker: its epoch must be that of its lease and the deployment's, and the journal must end at `after`.
    Worker {
        /// Fencing number.
        epoch: u64,
        /// Last sequence number it has folded.
        after: u64,
    },
    /// A worker that takes the deployment over: its `Claimed` is in the batch, with the epoch of its lease, which must be
    /// above the deployment's.
    Claim {
        /// The new fencing number.
        epoch: u64,
        /// Last sequence number it has folded.
        after: u64,
    },
    /// Anyone with a signal: appended at the end, whatever that is.
    Anyone,
    /// Anyone who has seen the journal up to there: it must end there. For what is only true while nothing comes between.
    Seen {
        /// Last sequence number they have folded.
        after: u64,
    },
    /// Whoever asks for the deployment: the batch begins with its `Created`.
    New {
        /// How many may be open in the scope, this one included (I11).
        limit: usize,
    },
}

impl Writer {
    /// Whether it writes under a lease.
    pub fn is_worker(&self) -> bool {
        matches!(self, Self::Worker { .. } | Self::Claim { .. })
    }
}

/// One transaction about one deployment. Everything in it becomes durable together, or nothing does.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Which deployment.
    pub deployment: DeploymentId,
    /// Who.
    pub writer: Writer,
    /// Events with their times (Unix microseconds).
    pub events: Vec<(i64, Event)>,
    /// Events of its environment's stream.
    pub environment: Vec<(i64, environment::Event)>,
    /// Environment streams, of its own scope or of others, that must end at these positions before it: what it says was
    /// decided on them. Of several batches that are appended together the first one has them: own events move a stream, too.
    pub unmoved: Vec<(Scope, u64)>,
}

/// How far an open deployment's journal is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its scope.
    pub scope: Scope,
    /// Which deployment.
    pub deployment: DeploymentId,
    /// Position of its last entry.
    pub seq: u64,
}

/// What the evidence ledger keeps: what a verdict was made from.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// Which verification.
    pub step: StepId,
    /// When, Unix microseconds.
    pub at_us: i64,
    /// How far the source was read.
    pub cursor: String,
    /// Counts.
    pub counts: Value,
}

/// The durable places.
#[async_trait]
pub trait Store: Send + Sync {
    /// Creates a deployment: `Created` and what goes with it, in one transaction. `limit`: how many may be open in
    /// the scope, this one included (I11).
    async fn create(
        &self,
        id: &DeploymentId,
        at_us: i64,
        created: Event,
        environment: Vec<(i64, environment::Event)>,
        limit: usize,
    ) -> Result<(), StoreError> {
        let new = Batch {
            deployment: id.clone(),
            writer: Writer::New { limit },
            events: vec![(at_us, created)],
            environment,
            unmoved: Vec::new(),
        };
        self.append_all(vec![new]).await
    }
    /// Appends; answers the entries as stored.
    async fn append(&self, batch: Batch) -> Result<Vec<event::Entry>, StoreError>;
    /// Appends to several journals, and makes new ones, in this order. All of it becomes durable together, or nothing.
    async fn append_all(&self, batches: Vec<Batch>) -> Result<(), StoreError>;
    /// Entries after `after`, in order.
    async fn events(
        &self,
        deployment: &DeploymentId,
        after: u64,
    ) -> Result<Vec<event::Entry>, StoreError>;
    /// Appends to an environment stream alone (clean-ups, lifting). `epoch`: a worker's, which must be that of the scope's
    /// lease; absent for everyone else.
    async fn append_environment(
        &self,
        scope: &Scope,
        epoch: Option<u64>,
        events: Vec<(i64, environment::Event)>,
    ) -> Result<(), StoreError>;
    /// Entries of an environment stream after `after`, in order.
    async fn environment(
        &self,
        scope: &Scope,
        after: u64,
    ) -> Result<Vec<environment::Entry>, StoreError>;
    /// The fold of an environment stream.
    async fn view(&self, scope: &Scope) -> Result<Arc<View>, StoreError> {
        let entries = self.environment(scope, 0).await?;
        Ok(Arc::new(View::of(&entries)))
    }
    /// Scopes that have a stream or a deployment.
    async fn scopes(&self) -> Result<Vec<Scope>, StoreError>;
    /// Summaries of deployments that have not ended, in the order of their creation.
    async fn open(&self) -> Result<Vec<Summary>, StoreError>;
    /// How far the journals of deployments are that have not ended, in the order of their creation.
    async fn heads(&self) -> Result<Vec<Head>, StoreError>;
    /// One summary.
    async fn summary(&self, deployment: &DeploymentId) -> Result<Option<Summary>, StoreError>;
    /// Newest summaries of a scope first.
    async fn history(&self, scope: &Scope, limit: usize) -> Result<Vec<Summary>, StoreError>;
    /// The deployment of a scope that holds its lock: the oldest that has not ended.
    async fn oldest_open(&self, scope: &Scope) -> Result<Option<Summary>, StoreError>;
    /// What is left to do for workers of a host, whoever of them does it. Where there is one worker at a time it is for
    /// that one, whatever its host is called.
    async fn work(&self, host: &str) -> Result<Work, StoreError>;
    /// Takes at most `at_most` scopes that have work and that no living worker holds, of services that were not served for
    /// longest first. Work is an open deployment that does not wait for a person, or a clean-up that is due by `now_us`
    /// (Unix microseconds) where nothing is open. What the owner has and does not name in `held` is handed back. New leases
    /// live no longer than those in `held`; where there are none, for [`Store::lease_ms`].
    ///
    /// # Errors
    /// `Fenced` where there is one worker at a time, and another one has come.
    async fn claim(
        &self,
        owner: &Owner,
        held: &[Lease],
        now_us: i64,
        at_most: usize,
    ) -> Result<Vec<Lease>, StoreError>;
    /// Lets all leases of an owner live on for [`Store::lease_ms`] from now; answers which of `held` are lost.
    async fn renew(&self, owner: &Owner, held: &[Lease]) -> Result<Vec<Lease>, StoreError>;
    /// Hands back everything; the owner may claim again.
    async fn resign(&self, owner: &Owner) -> Result<(), StoreError>;
    /// How long a lease lives without being renewed, milliseconds, by the store's clock. Absent: it does not end by
    /// itself, because something else proves that there is one worker at a time; the next one takes over at once.
    fn lease_ms(&self) -> Option<u64>;
    /// Present epoch of a deployment's scope; 0: never claimed.
    async fn epoch(&self, deployment: &DeploymentId) -> Result<u64, StoreError>;
    /// Adds to the evidence ledger.
    async fn evidence(
        &self,
        deployment: &DeploymentId,
        evidence: Vec<Evidence>,
    ) -> Result<(), StoreError>;
    /// The evidence of a deployment, in order.
    async fn evidence_of(&self, deployment: &DeploymentId) -> Result<Vec<Evidence>, StoreError>;
    /// Adds progress lines: prunable, not synced, never load-bearing.
    async fn progress(
        &self,
        deployment: &DeploymentId,
        at_us: i64,
        line: &str,
    ) -> Result<(), StoreError>;
    /// Progress lines after a position: (position, time, line).
    async fn progress_of(
        &self,
        deployment: &DeploymentId,
        after: i64,
    ) -> Result<Vec<(i64, i64, String)>, StoreError>;
    /// The release of that content if there is one, else a new one with the next number.
    async fn release(&self, candidate: Release) -> Result<Release, StoreError>;
    /// One release.
    async fn release_of(
        &self,
        service: &ServiceName,
        number: ReleaseNumber,
    ) -> Result<Option<Release>, StoreError>;
    /// Releases of a service, newest first.
    async fn releases(&self, service: &ServiceName) -> Result<Vec<Release>, StoreError>;
    /// A number that grows whenever something may have been appended by anyone. Read it before reading what it is
    /// about, and give it to `changed`: then nothing is missed, however many wait.
    fn generation(&self) -> u64;
    /// Returns when the generation is not `since` any more; a hint, never the truth.
    async fn changed(&self, since: u64);
}

/// Time. Everything in the engine that waits or dates asks it.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Now, Unix microseconds.
    fn now_us(&self) -> i64;
    /// Milliseconds since some moment: never set, and going on while the machine sleeps.
    fn monotonic_ms(&self) -> u64;
    /// Waits.
    async fn sleep_ms(&self, ms: u64);
}

/// Values of secrets for records.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// Everything needed to run a record. The newest values where `newest` and their source still has them.
    async fn material(&self, record: &Record) -> Result<Material, StoreError>;
}

/// What a verification is about.
#[derive(Clone)]
pub struct Question {
    /// For which deployment.
    pub deployment: DeploymentId,
    /// Which step asks.
    pub step: StepId,
    /// Where to look.
    pub look: Look,
    /// What to check.
    pub checks: Vec<Check>,
    /// How long to watch, milliseconds; zero: until every check has an answer.
    pub hold_ms: u64,
    /// When watching began, Unix microseconds (before a crash, perhaps).
    pub since_us: i64,
    /// The target.
    pub target: Target,
    /// What is there, as last observed.
    pub state: State,
    /// The record in question.
    pub record: Record,
    /// The record it is compared with, if one serves beside it or did.
    pub against: Option<Record>,
}

/// Where evidence goes while a verification watches.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Keeps it.
    async fn keep(&self, evidence: Evidence);
}

/// Answers verifications.
#[async_trait]
pub trait Verifier: Send + Sync {
    /// Watches until it can decide. Must be safe to drop at any await and to call again after a crash. It returns at
    /// once on fail; on pass only when `hold_ms` is over; inconclusive when the time is over without enough evidence.
    async fn verify(
        &self,
        question: &Question,
        ledger: &dyn Ledger,
        progress: Arc<dyn Progress>,
    ) -> Verdict;
    /// Whether what it says of a question is known within some seconds or is only a matter of time, as nobody is asked in
    /// between: then it need not be at it meanwhile.
    fn only_waits(&self, question: &Question) -> bool {
        question.checks.is_empty()
    }
}

/// Something of the user's own, and for what it is run.
#[derive(Clone, Debug)]
pub struct Running {
    /// For which deployment.
    pub deployment: DeploymentId,
    /// Which step.
    pub step: StepId,
    /// From 1.
    pub attempt: u32,
    /// The record that goes out, with its secrets; absent: a rollback to nothing.
    pub material: Option<Material>,
    /// How long it may take, milliseconds.
    pub timeout_ms: u64,
    /// What is run.
    pub call: Call,
}

impl Running {
    /// The record that goes out.
    pub fn record(&self) -> Option<&Record> {
        self.material.as_ref().map(|material| &material.record)
    }
}

/// Runs what users bring: commands and calls over HTTP.
#[async_trait]
pub trait Runner: Send + Sync {
    /// Runs it to its end. Dropping it stops it where that is possible.
    ///
    /// # Errors
    /// It failed, or took too long; whether it may have had an effect is said.
    async fn run(&self, running: &Running, progress: Arc<dyn Progress>) -> Result<(), Failure>;
}

/// What is kept, and what is not needed any more.
#[async_trait]
pub trait Retention: Send + Sync {
    /// Removes what no record that is kept and no open deployment names. Called when nothing is open; may be cut off
    /// anywhere, and takes up the rest next time.
    async fn collect(&self) -> Result<(), StoreError>;
}

/// Drivers by name.
pub trait Drivers: Send + Sync {
    /// The driver of that name, if this Belay has it.
    fn driver(&self, name: &str) -> Option<Arc<dyn Driver>>;
}

/// The ports together.
#[derive(Clone)]
pub struct Ports {
    /// Durable places.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Verification.
    pub verifier: Arc<dyn Verifier>,
    /// What users bring.
    pub runner: Arc<dyn Runner>,
    /// Secrets.
    pub secrets: Arc<dyn Secrets>,
    /// What is kept.
    pub retention: Arc<dyn Retention>,
    /// Platforms.
    pub drivers: Arc<dyn Drivers>,
}

/// Material by record.
pub type Materials = Arc<BTreeMap<RecordHash, Material>>;
