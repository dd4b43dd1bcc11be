//! A scene: one world, one store, one worker at a time; what tests of the engine are written with.

mod ports;
mod requests;
mod shown;
mod words;
mod work;

pub(crate) use ports::{KeepAll, NoSecrets};

use crate::{Crashes, FakeClock, MemoryStore, Runs, Script, World, worlds};
use belay_engine::ports::{Clock, Ports};
use belay_model::config::{BackOrder, Check, FirstFailure, Inconclusive, Queue, Strategy};
use belay_model::environment::View;
use belay_model::event::PhaseInput;
use belay_model::id::{ArtifactDigest, EnvironmentName, ReleaseNumber, Scope, ServiceName};
use belay_model::plan::Approval;
use belay_model::policy::Rule;
use belay_model::promotion::Promotion;
use belay_model::release::{Record, Target};
use ports::Worlds;
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
    /// The platform; where there are several targets, that of the first.
    pub world: Arc<World>,
    /// The platforms, one for each target.
    pub worlds: BTreeMap<String, Arc<World>>,
    /// What verification says.
    pub script: Arc<Script>,
    /// What users bring.
    pub runner: Arc<Runs>,
    clock: Arc<FakeClock>,
    next: AtomicU32,
    owners: AtomicU32,
    /// What new deployments start with.
    pub strategy: Strategy,
    /// Instances of releases that do not have as many as the others.
    pub instances: BTreeMap<u32, u32>,
    /// Configuration that all releases have.
    pub config: BTreeMap<String, String>,
    /// Bake, milliseconds.
    pub bake_ms: u64,
    /// Checks.
    pub checks: Vec<Check>,
    /// What inconclusive means.
    pub inconclusive: Inconclusive,
    /// What becomes of a first deployment that fails.
    pub on_first_failure: FirstFailure,
    /// How many targets are served side by side.
    pub parallel: u16,
    /// Phases that someone wrote.
    pub phases: Vec<PhaseInput>,
    /// In which order they go back.
    pub back_order: BackOrder,
    /// Who has to say yes.
    pub approve: Option<Approval>,
    /// What is done when a step fails.
    pub on_failure: Vec<Rule>,
    /// What becomes of those that wait when a new one is asked for.
    pub queue: Queue,
    /// Whether hotfixes go out although releases are held up.
    pub hotfix_passes_freeze: bool,
    /// Where releases had proved themselves.
    pub promotion: Option<Promotion>,
}

impl Default for Scene {
    fn default() -> Self {
        Self::new(Strategy::BlueGreen, 2)
    }
}

impl Scene {
    /// One target with groups side by side, and nothing on it.
    pub fn new(strategy: Strategy, instances: u32) -> Self {
        Self::of(worlds::Kind::SideBySide, strategy, instances)
    }

    /// One target of a kind, with nothing on it.
    pub fn of(kind: worlds::Kind, strategy: Strategy, instances: u32) -> Self {
        Self::across(strategy, instances, &[("shop/test", kind)])
    }

    /// Several targets with groups side by side, and nothing on them.
    pub fn spread(strategy: Strategy, instances: u32, targets: &[&str]) -> Self {
        let targets: Vec<_> = targets
            .iter()
            .map(|name| (*name, worlds::Kind::SideBySide))
            .collect();
        Self::across(strategy, instances, &targets)
    }

    /// One target without traffic, with nothing on it.
    pub fn workers(strategy: Strategy, instances: u32) -> Self {
        Self::of(worlds::Kind::Workers, strategy, instances)
    }

    /// Several targets, each of a kind, with nothing on them.
    pub fn across(strategy: Strategy, instances: u32, targets: &[(&str, worlds::Kind)]) -> Self {
        let crashes = Arc::new(Crashes::default());
        let clock = Arc::new(FakeClock::default());
        let world = |(name, kind): &(&str, worlds::Kind)| {
            let world = World::new(*kind, crashes.clone(), instances);
            ((*name).to_owned(), Arc::new(world))
        };
        let worlds: BTreeMap<_, _> = targets.iter().map(world).collect();
        Self {
            world: worlds[targets[0].0].clone(),
            worlds,
            store: Arc::new(MemoryStore::new(crashes.clone())),
            script: Arc::new(Script::new(clock.clone())),
            runner: Arc::new(Runs::new(crashes.clone())),
            crashes,
            clock,
            next: AtomicU32::new(1),
            owners: AtomicU32::new(0),
            strategy,
            instances: BTreeMap::new(),
            config: BTreeMap::new(),
            bake_ms: 1000,
            checks: Vec::new(),
            inconclusive: Inconclusive::RollBack,
            on_first_failure: FirstFailure::Remove,
            parallel: 1,
            phases: Vec::new(),
            back_order: BackOrder::default(),
            approve: None,
            on_failure: Vec::new(),
            queue: Queue::All,
            hotfix_passes_freeze: false,
            promotion: None,
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
        let mut config = self.config.clone();
        config.extend(
            self.instances
                .get(&release)
                .map_or_else(BTreeMap::new, worlds::instances),
        );
        Record {
            format: 1,
            scope: self.scope(),
            release: ReleaseNumber(release),
            artifact: ArtifactDigest::new(format!("sha256:{release:064}")),
            config,
            secrets: BTreeMap::new(),
            sealed: None,
            targets: self.worlds.keys().map(|name| self.target(name)).collect(),
        }
    }

    fn target(&self, name: &str) -> Target {
        Target {
            driver: name.to_owned(),
            name: name.to_owned(),
            host: None,
            settings: Value::Null,
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
            runner: self.runner.clone(),
            secrets: Arc::new(NoSecrets),
            retention: Arc::new(KeepAll),
            drivers: Arc::new(Worlds(self.worlds.clone())),
        }
    }

    /// The name of a worker that never was before: who comes new takes over.
    pub fn owner(&self) -> String {
        format!("worker-{}", self.owners.fetch_add(1, Ordering::SeqCst))
    }

    /// What time it is, Unix milliseconds.
    pub fn now_ms(&self) -> i64 {
        self.clock.now_us() / 1000
    }

    /// Time passes.
    pub async fn pass(&self, ms: u64) {
        self.clock.sleep_ms(ms).await;
    }
}
