//! A scene: one world, one store, one worker at a time; what tests of the engine are written with.

use crate::{Crashes, FakeClock, MemoryStore, Runs, Script, World, worlds};
use async_trait::async_trait;
use belay_driver::{Driver, Material};
use belay_engine::fold::Deployment;
use belay_engine::goal;
use belay_engine::ports::{Clock, Drivers, Ports, Retention, Secrets, Store, StoreError};
use belay_engine::queue::{self, Entrant};
use belay_engine::targets::Targets;
use belay_engine::worker::Worker;
use belay_model::back::{Back, Risk, Trigger};
use belay_model::config::{BackOrder, Check, FirstFailure, Inconclusive, Queue, Strategy};
use belay_model::environment::{self, Standing, View};
use belay_model::event::{Ask, Event, Inputs, Kind, PhaseInput};
use belay_model::id::{
    ArtifactDigest, BlobId, DeploymentId, EnvironmentName, ReleaseNumber, Scope, ServiceName,
    StepId,
};
use belay_model::plan::Approval;
use belay_model::policy::Rule;
use belay_model::promotion::Promotion;
use belay_model::release::{Record, Target};
use belay_model::state::Goal;
use belay_model::summary::{Phase, Summary};
use belay_model::takeover::Hotfix;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Longest that anything may take here, by the test's clock: what would wait for ever fails.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

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

/// A driver for each target, so that each has a world of its own.
struct Worlds(BTreeMap<String, Arc<World>>);

impl Drivers for Worlds {
    fn driver(&self, name: &str) -> Option<Arc<dyn Driver>> {
        let world = self.0.get(name)?;
        Some(world.clone())
    }
}

pub(crate) struct NoSecrets;

#[async_trait]
impl Secrets for NoSecrets {
    async fn material(&self, record: &Record) -> Result<Material, StoreError> {
        Ok(Material {
            record: record.clone(),
            secrets: BTreeMap::new(),
        })
    }
}

pub(crate) struct KeepAll;

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
        Record {
            format: 1,
            scope: self.scope(),
            release: ReleaseNumber(release),
            artifact: ArtifactDigest::new(format!("sha256:{release:064}")),
            config: self
                .instances
                .get(&release)
                .map_or_else(BTreeMap::new, worlds::instances),
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

    /// Asks for a release.
    pub async fn deploy(&self, release: u32) -> DeploymentId {
        self.create(Kind::Deploy, Some(self.record(release)), None)
            .await
    }

    /// Asks for a release that waits for nobody.
    ///
    /// # Errors
    /// What runs goes back.
    pub async fn hotfix(&self, release: u32) -> Result<DeploymentId, queue::Error> {
        let hotfix = Hotfix {
            passes_freeze: self.hotfix_passes_freeze,
        };
        self.enter(Kind::Deploy, Some(self.record(release)), None, Some(hotfix))
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

    /// What a deployment found when a record served.
    pub fn before(&self, id: &DeploymentId, record: &Record) -> goal::Before {
        let deployment = Deployment::of(id.clone(), &self.store.journal(id));
        let drivers = Worlds(self.worlds.clone());
        let targets = Targets::of(&drivers, &record.targets).expect("each has a driver");
        let before = deployment.baseline_goal.expect("it was planned");
        goal::by_hand(&targets, &self.view(), record, &before)
    }

    /// Asks to return to a record as it was found; what the command does when it had been changed by hand.
    pub async fn return_to(&self, record: &Record, goal: Goal) -> DeploymentId {
        let leaves = self.view().serving_since().cloned();
        let kind = Kind::Return { leaves };
        self.create(kind, Some(record.clone()), Some(goal)).await
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
        let entered = self.enter(kind, record, goal, None).await;
        entered.expect("created")
    }

    async fn enter(
        &self,
        kind: Kind,
        record: Option<Record>,
        goal: Option<belay_model::state::Goal>,
        hotfix: Option<Hotfix>,
    ) -> Result<DeploymentId, queue::Error> {
        let id = DeploymentId::new(format!("dep_{}", self.next.fetch_add(1, Ordering::SeqCst)));
        let recorded = record.iter().map(|record| environment::Event::Recorded {
            record: Box::new(record.clone()),
        });
        let environment = recorded.collect();
        let promotion = self.promotion.clone().filter(|_| kind == Kind::Deploy);
        let inputs = Inputs {
            kind,
            scope: self.scope(),
            record,
            goal,
            strategy: self.strategy.clone(),
            parallel: self.parallel,
            phases: self.phases.clone(),
            back_order: self.back_order,
            approve: self.approve.clone(),
            on_failure: self.on_failure.clone(),
            checks: self.checks.clone(),
            bake_ms: self.bake_ms,
            warm_ms: 10_000,
            keep_good: 5,
            inconclusive: self.inconclusive,
            on_first_failure: self.on_first_failure,
            hotfix,
            promotion,
            actor: "test".to_owned(),
            reason: None,
            back: Back::default(),
        };
        let new = Entrant {
            id,
            at_us: self.clock.now_us(),
            inputs,
            environment,
            limit: 100,
        };
        queue::enter(&*self.store, &new, self.queue).await?;
        Ok(new.id)
    }

    /// Something is said of an environment.
    pub async fn say(&self, scope: &Scope, event: environment::Event) {
        let events = vec![(self.clock.now_us(), event)];
        let kept = self.store.append_environment(scope, None, events).await;
        kept.expect("memory");
    }

    /// The quarantine of a release is lifted by hand.
    pub async fn lift(&self, release: u32) {
        let known = self.view().records.remove(&self.record(release).hash());
        let known = known.filter(|known| known.standing == Standing::Quarantined);
        for event in known.expect("it is quarantined").lift(None, "test", None) {
            self.say(&self.scope(), event).await;
        }
    }

    /// What time it is, Unix milliseconds.
    pub fn now_ms(&self) -> i64 {
        self.clock.now_us() / 1000
    }

    /// Time passes.
    pub async fn pass(&self, ms: u64) {
        self.clock.sleep_ms(ms).await;
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
        self.signal_of("test", id, ask).await;
    }

    /// Somebody sends a signal.
    pub async fn signal_of(&self, actor: &str, id: &DeploymentId, ask: Ask) {
        self.signal_with(actor, id, ask, Back::default()).await;
    }

    /// Somebody tells a deployment to go back, to a release of their choice.
    pub async fn abort_to(&self, id: &DeploymentId, release: u32, accept: &[Risk]) {
        let back = Back {
            to: Some(self.record(release).hash()),
            accept: accept.to_vec(),
            trigger: Some(Trigger::Slow),
        };
        self.signal_with("test", id, Ask::Abort, back).await;
    }

    async fn signal_with(&self, actor: &str, id: &DeploymentId, ask: Ask, back: Back) {
        let event = Event::Signal {
            actor: actor.to_owned(),
            ask,
            reason: Some("because".to_owned()),
            back,
        };
        let told = queue::tell(&*self.store, id, self.clock.now_us(), &event).await;
        told.expect("signalled");
    }

    /// Works until everything ended or waits for a person, over kills; answers how many workers were killed.
    pub async fn work(&self) -> u32 {
        in_a_day("it comes to rest", self.work_over_kills()).await
    }

    /// The same; a worker stands still at the n-th point from now while something else happens. Answers what came of that,
    /// and how many workers were killed; none: nobody came to that point.
    pub async fn work_and_hold<T>(
        &self,
        point: usize,
        meanwhile: impl Future<Output = T>,
    ) -> Option<(T, u32)> {
        self.crashes.hold_at(point);
        let working = self.work();
        tokio::pin!(working);
        tokio::select! {
            biased;
            () = self.crashes.held() => {}
            _ = &mut working => return None,
        }
        let done = meanwhile.await;
        self.crashes.let_go();
        Some((done, working.await))
    }

    async fn work_over_kills(&self) -> u32 {
        let mut killed = 0;
        loop {
            let worker = Worker::new(self.ports(), self.owner());
            let mut running = tokio::spawn(async move { worker.run().await });
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
                done = &mut running => {
                    let done = done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
                    done.expect("a worker goes on as long as there is something to do");
                }
            }
        }
    }

    /// Resolves when a deployment waits for a person.
    pub async fn until_parked(&self, id: &DeploymentId) {
        self.until(id, Phase::NeedsOperator).await;
    }

    /// Resolves when a deployment stands there.
    pub async fn until(&self, id: &DeploymentId, phase: Phase) {
        let stands = async || (self.summary(id).await.phase == phase).then_some(());
        self.until_so(&format!("{id} is {phase:?}"), stands).await;
    }

    /// Resolves when time is what a deployment waits for, at another step than that one.
    pub async fn until_time(&self, id: &DeploymentId, other: Option<StepId>) -> Option<StepId> {
        let waits = async || {
            let deployment = Deployment::of(id.clone(), &self.store.journal(id));
            let step = self.summary(id).await.step;
            (deployment.waits_for_time() && step != other).then_some(step)
        };
        self.until_so(&format!("{id} waits for time"), waits).await
    }

    /// Resolves when a deployment waits on a target for people to say yes.
    pub async fn until_asked(&self, id: &DeploymentId, target: &str) {
        let asks = async || {
            let deployment = Deployment::of(id.clone(), &self.store.journal(id));
            let summary = self.summary(id).await;
            let here = summary.step.and_then(|step| deployment.target_of(step)) == Some(target);
            (here && summary.phase == Phase::Waiting).then_some(())
        };
        self.until_so(&format!("{id} waits for people on {target}"), asks)
            .await;
    }

    async fn until_so<T>(&self, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
        let found = async {
            loop {
                let generation = self.store.generation();
                if let Some(found) = look().await {
                    return found;
                }
                self.store.changed(generation).await;
            }
        };
        in_a_day(what, found).await
    }

    /// Works for that long, and stops.
    pub async fn work_for(&self, ms: u64) {
        let worker = Worker::new(self.ports(), "worker");
        tokio::select! {
            _ = worker.run() => {}
            () = self.clock.sleep_ms(ms) => {}
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

    /// The group that has all the traffic; where there is none, the one that works alone.
    pub fn serving(&self) -> Option<String> {
        if !self.world.takes_traffic() {
            let mut groups = self.world.groups();
            return groups.pop().filter(|_| groups.is_empty());
        }
        let weights = self.world.weights();
        weights
            .iter()
            .find(|(_, weight)| **weight == 1000)
            .map(|(name, _)| name.clone())
    }
}

async fn in_a_day<T>(what: &str, happens: impl Future<Output = T>) -> T {
    let happens = tokio::time::timeout(DAY, happens).await;
    happens.unwrap_or_else(|_| panic!("in a day, by the test's clock: {what}"))
}
