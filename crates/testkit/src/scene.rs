//! A scene: one world, one store, one worker at a time; what tests of the engine are written with.

use crate::{Crashes, FakeClock, MemoryStore, Script, SideBySide};
use async_trait::async_trait;
use belay_driver::{Driver, Material};
use belay_engine::goal;
use belay_engine::ports::{
    Batch, Clock, Drivers, Ports, Retention, Secrets, Store, StoreError, Writer,
};
use belay_engine::worker::Worker;
use belay_model::config::{Check, FirstFailure, Inconclusive, Strategy};
use belay_model::environment::{self, View};
use belay_model::event::{Ask, Event, Inputs, Kind};
use belay_model::id::{
    ArtifactDigest, BlobId, DeploymentId, EnvironmentName, ReleaseNumber, Scope, ServiceName,
};
use belay_model::release::{Record, Target};
use belay_model::summary::{Phase, Summary};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// See the module.
pub struct Scene {
    /// Where workers are killed.
    pub crashes: Arc<Crashes>,
    /// What is durable.
    pub store: Arc<MemoryStore>,
    /// The platform.
    pub world: Arc<SideBySide>,
    /// What verification says.
    pub script: Arc<Script>,
    clock: Arc<FakeClock>,
    next: AtomicU32,
    owners: AtomicU32,
    /// What new deployments start with.
    pub strategy: Strategy,
    /// Bake, milliseconds.
    pub bake_ms: u64,
    /// Checks.
    pub checks: Vec<Check>,
    /// What inconclusive means.
    pub inconclusive: Inconclusive,
    /// What becomes of a first deployment that fails.
    pub on_first_failure: FirstFailure,
}

struct One(Arc<SideBySide>);

impl Drivers for One {
    fn driver(&self, _: &str) -> Option<Arc<dyn Driver>> {
        Some(self.0.clone())
    }
}

struct NoSecrets;

#[async_trait]
impl Secrets for NoSecrets {
    async fn material(&self, record: &Record) -> Result<Material, StoreError> {
        Ok(Material {
            record: record.clone(),
            secrets: BTreeMap::new(),
        })
    }
}

struct KeepAll;

#[async_trait]
impl Retention for KeepAll {
    async fn collect(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Default for Scene {
    fn default() -> Self {
        Self::new(Strategy::BlueGreen, 2)
    }
}

impl Scene {
    /// An empty world.
    pub fn new(strategy: Strategy, instances: u32) -> Self {
        let crashes = Arc::new(Crashes::default());
        let clock = Arc::new(FakeClock::default());
        Self {
            store: Arc::new(MemoryStore::new(crashes.clone())),
            world: Arc::new(SideBySide::new(crashes.clone(), instances)),
            script: Arc::new(Script::new(clock.clone())),
            crashes,
            clock,
            next: AtomicU32::new(1),
            owners: AtomicU32::new(0),
            strategy,
            bake_ms: 1000,
            checks: Vec::new(),
            inconclusive: Inconclusive::RollBack,
            on_first_failure: FirstFailure::Remove,
        }
    }

    /// The scope that everything happens in.
    pub fn scope(&self) -> Scope {
        Scope {
            service: ServiceName::new("shop"),
            environment: EnvironmentName::new("test"),
        }
    }

    /// The record of a release number.
    pub fn record(&self, release: u32) -> Record {
        Record {
            format: 1,
            scope: self.scope(),
            release: ReleaseNumber(release),
            artifact: ArtifactDigest::new(format!("sha256:{release:064}")),
            config: BTreeMap::new(),
            secrets: BTreeMap::new(),
            sealed: None,
            target: Target {
                driver: "world".to_owned(),
                name: "shop/test".to_owned(),
                host: None,
                settings: Value::Null,
            },
        }
    }

    /// What is known of the environment.
    pub fn view(&self) -> View {
        self.store.view(&self.scope())
    }

    /// The ports.
    pub fn ports(&self) -> Ports {
        Ports {
            store: self.store.clone(),
            clock: self.clock.clone(),
            verifier: self.script.clone(),
            secrets: Arc::new(NoSecrets),
            retention: Arc::new(KeepAll),
            drivers: Arc::new(One(self.world.clone())),
        }
    }

    /// The name of a worker that never was before: who comes new takes over.
    pub fn owner(&self) -> String {
        format!("worker-{}", self.owners.fetch_add(1, Ordering::SeqCst))
    }

    /// Asks for a release.
    pub async fn deploy(&self, release: u32) -> DeploymentId {
        self.create(Kind::Deploy, Some(self.record(release)), None)
            .await
    }

    /// Asks to return to a release; what the command does when nothing runs.
    pub async fn go_back(&self, to: Option<u32>) -> DeploymentId {
        let view = self.view();
        let record = goal::choose(&view, to.map(ReleaseNumber)).record;
        let leaves = view.serving_since().cloned();
        self.create(
            Kind::Return { leaves },
            Some(record.expect("something good to return to")),
            None,
        )
        .await
    }

    /// Asks to take a deployment back to its baseline.
    pub async fn undo(&self, of: &DeploymentId) -> DeploymentId {
        let journal = self.store.journal(of);
        let goal = journal.iter().find_map(|entry| match &entry.event {
            Event::Planned { baseline_goal, .. } => Some((**baseline_goal).clone()),
            _ => None,
        });
        let goal = goal.expect("it was planned");
        let record = goal
            .record
            .as_ref()
            .and_then(|hash| goal.records.get(hash))
            .cloned();
        self.create(Kind::Undo { of: of.clone() }, record, Some(goal))
            .await
    }

    async fn create(
        &self,
        kind: Kind,
        record: Option<Record>,
        goal: Option<belay_model::state::Goal>,
    ) -> DeploymentId {
        let id = DeploymentId::new(format!("dep_{}", self.next.fetch_add(1, Ordering::SeqCst)));
        let recorded = record.iter().map(|record| {
            (
                self.clock.now_us(),
                environment::Event::Recorded {
                    record: Box::new(record.clone()),
                },
            )
        });
        let recorded = recorded.collect();
        let inputs = Inputs {
            kind,
            scope: self.scope(),
            record,
            goal,
            strategy: self.strategy.clone(),
            checks: self.checks.clone(),
            bake_ms: self.bake_ms,
            warm_ms: 10_000,
            keep_good: 5,
            inconclusive: self.inconclusive,
            on_first_failure: self.on_first_failure,
            actor: "test".to_owned(),
            reason: None,
        };
        let created = Event::Created(Box::new(inputs));
        self.store
            .create(&id, self.clock.now_us(), created, recorded, 100)
            .await
            .expect("created");
        id
    }

    /// Newer values of a release's secrets are sealed under that name.
    pub async fn reseal(&self, release: u32, blob: &str) -> BlobId {
        let blob = BlobId::new(blob);
        let record = Box::new(Record {
            sealed: Some(blob.clone()),
            ..self.record(release)
        });
        let event = environment::Event::Recorded { record };
        let events = vec![(self.clock.now_us(), event)];
        let kept = self
            .store
            .append_environment(&self.scope(), None, events)
            .await;
        kept.expect("memory");
        blob
    }

    /// Sends a signal.
    pub async fn signal(&self, id: &DeploymentId, ask: Ask) {
        let event = Event::Signal {
            actor: "test".to_owned(),
            ask,
            reason: Some("because".to_owned()),
        };
        let batch = Batch {
            deployment: id.clone(),
            writer: Writer::Anyone,
            events: vec![(self.clock.now_us(), event)],
            environment: Vec::new(),
        };
        self.store.append(batch).await.expect("signalled");
    }

    /// Works until everything ended or waits for a person, over kills; answers how many workers were killed.
    pub async fn work(&self) -> u32 {
        let mut killed = 0;
        loop {
            let worker = Worker::new(self.ports(), self.owner());
            let running = tokio::spawn(async move { worker.run().await });
            let resting = self.at_rest();
            tokio::select! {
                biased;
                () = self.crashes.killed() => {
                    running.abort();
                    let _ = running.await;
                    killed += 1;
                    assert!(killed < 100, "killed for ever");
                    self.crashes.revive();
                }
                () = resting => {
                    running.abort();
                    let _ = running.await;
                    return killed;
                }
            }
        }
    }

    /// Resolves when a deployment waits for a person.
    pub async fn until_parked(&self, id: &DeploymentId) {
        loop {
            let generation = self.store.generation();
            if self.summary(id).await.phase == Phase::NeedsOperator {
                return;
            }
            self.store.changed(generation).await;
        }
    }

    /// Resolves when nothing is open but what waits for a person, and no clean-up is owed.
    pub async fn at_rest(&self) {
        loop {
            let generation = self.store.generation();
            let open = self.store.open().await.expect("memory");
            let parked = !open.is_empty() && open[0].phase == Phase::NeedsOperator;
            if parked || (open.is_empty() && self.view().cleanups.is_empty()) {
                return;
            }
            self.store.changed(generation).await;
        }
    }

    /// A deployment's projection.
    pub async fn summary(&self, id: &DeploymentId) -> Summary {
        self.store
            .summary(id)
            .await
            .expect("memory")
            .expect("it exists")
    }

    /// The release that has all the traffic.
    pub fn serving(&self) -> Option<String> {
        let weights = self.world.weights();
        weights
            .iter()
            .find(|(_, weight)| **weight == 1000)
            .map(|(name, _)| name.clone())
    }
}
