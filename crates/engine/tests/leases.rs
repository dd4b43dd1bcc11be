//! Workers share a store by leases: no scope is ever held by two, and who may have lost a lease does nothing any more.
//! Time is tokio's, paused: it goes on by itself, timer by timer.

use async_trait::async_trait;
use belay_driver::{
    Applied, Capabilities, Capacity, Context, Driver, Error, Restorability, Revision, Settled,
    Stage,
};
use belay_engine::lease::Owner;
use belay_engine::ports::{Clock, Drivers, Ports, Store};
use belay_engine::worker::{Options, Stop, Worker};
use belay_model::config::Strategy;
use belay_model::event::{Event, Outcome};
use belay_model::id::{DeploymentId, Scope, ServiceName};
use belay_model::plan::Effect;
use belay_model::release::{Record, Target};
use belay_model::state::{Difference, Goal, State};
use belay_model::summary::Phase;
use belay_testkit::{Crashes, FakeClock, Kind, MemoryStore, Scene, World};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::task::JoinHandle;

const LEASE_MS: u64 = 1_000;

/// How long an effect takes, and how often it calls its platform meanwhile.
const CALLS: u64 = 20;
const CALL_MS: u64 = 100;

/// A clock that can be put forward, as when a machine has slept.
struct Slept {
    inner: Arc<FakeClock>,
    by_ms: AtomicU64,
}

#[async_trait]
impl Clock for Slept {
    fn now_us(&self) -> i64 {
        self.inner.now_us()
    }

    fn monotonic_ms(&self) -> u64 {
        self.inner.monotonic_ms() + self.by_ms.load(Ordering::SeqCst)
    }

    async fn sleep_ms(&self, ms: u64) {
        self.inner.sleep_ms(ms).await;
    }
}

/// One call to a platform.
#[derive(Clone, Debug)]
struct Call {
    worker: String,
    scope: Scope,
    at_ms: u64,
    epoch: u64,
}

/// Everything of a test but its workers.
struct Theatre {
    clock: Arc<FakeClock>,
    store: Arc<MemoryStore>,
    worlds: BTreeMap<Scope, Arc<World>>,
    calls: Arc<Mutex<Vec<Call>>>,
    /// Calls of a worker that had no lease on that scope.
    breaches: Arc<Mutex<Vec<Call>>>,
    scene: Scene,
}

fn scope(n: usize) -> Scope {
    Scope {
        service: ServiceName::new(format!("service{n}")),
        ..Scene::default().scope()
    }
}

impl Theatre {
    async fn with(services: usize) -> Self {
        let crashes = Arc::new(Crashes::default());
        let clock = Arc::new(FakeClock::default());
        let store = MemoryStore::with_leases(crashes.clone(), clock.clone(), LEASE_MS);
        let stage = Self {
            store: Arc::new(store),
            worlds: (0..services)
                .map(|n| {
                    (
                        scope(n),
                        Arc::new(World::new(Kind::SideBySide, crashes.clone(), 2)),
                    )
                })
                .collect(),
            calls: Arc::default(),
            breaches: Arc::default(),
            scene: Scene::new(Strategy::BlueGreen, 2),
            clock,
        };
        let id = stage.scene.deploy(1).await;
        let template = stage.scene.store.journal(&id);
        for scope in stage.worlds.keys() {
            let Event::Created(mut inputs) = template[0].event.clone() else {
                panic!("a journal begins with Created");
            };
            inputs.scope = scope.clone();
            if let Some(record) = &mut inputs.record {
                record.scope = scope.clone();
                record.targets[0].driver = scope.service.to_string();
            }
            let created = Event::Created(inputs);
            let now_us = stage.clock.now_us();
            let id = DeploymentId::new(format!("dep_{}", scope.service));
            let done = stage.store.create(&id, now_us, created, vec![], 1).await;
            done.expect("created");
        }
        stage
    }

    fn ports(&self, worker: &str, clock: Arc<dyn Clock>) -> Ports {
        let watched = |(scope, world): (&Scope, &Arc<World>)| {
            let driver: Arc<dyn Driver> = Arc::new(Watched {
                world: world.clone(),
                worker: worker.to_owned(),
                scope: scope.clone(),
                store: self.store.clone(),
                clock: self.clock.clone(),
                calls: self.calls.clone(),
                breaches: self.breaches.clone(),
            });
            (scope.service.to_string(), driver)
        };
        Ports {
            store: self.store.clone(),
            clock,
            drivers: Arc::new(ByName(self.worlds.iter().map(watched).collect())),
            ..self.scene.ports()
        }
    }

    fn start(&self, name: &str, courses: usize) -> JoinHandle<Stop> {
        self.start_with(name, courses, self.clock.clone())
    }

    fn start_with(&self, name: &str, courses: usize, clock: Arc<dyn Clock>) -> JoinHandle<Stop> {
        let ports = self.ports(name, clock);
        let worker = Worker::with(ports, Owner::from(name), Options { courses });
        tokio::spawn(async move { worker.run().await.expect("it works") })
    }

    fn calls(&self) -> Vec<Call> {
        self.calls.lock().expect("no panic while held").clone()
    }

    async fn until_calls(&self, n: usize) {
        while self.calls().len() < n {
            self.clock.sleep_ms(1).await;
        }
    }

    /// All deployments ended well, and nobody called without a lease.
    async fn all_is_well(&self) {
        let breaches = self.breaches.lock().expect("no panic while held").clone();
        assert!(breaches.is_empty(), "{breaches:?}");
        for (scope, world) in &self.worlds {
            let history = self.store.history(scope, 9).await.expect("memory");
            assert_eq!(history.len(), 1);
            assert_eq!(history[0].phase, Phase::Ended);
            assert_eq!(history[0].outcome, Some(Outcome::Succeeded), "{scope}");
            assert_eq!(world.groups().len(), 1);
            belay_testkit::check_journal(&self.store.journal(&history[0].id));
        }
    }
}

struct ByName(BTreeMap<String, Arc<dyn Driver>>);

impl Drivers for ByName {
    fn driver(&self, name: &str) -> Option<Arc<dyn Driver>> {
        self.0.get(name).cloned()
    }
}

/// A platform that notes who calls it, and under which lease.
struct Watched {
    world: Arc<World>,
    worker: String,
    scope: Scope,
    store: Arc<MemoryStore>,
    clock: Arc<FakeClock>,
    calls: Arc<Mutex<Vec<Call>>>,
    breaches: Arc<Mutex<Vec<Call>>>,
}

impl Watched {
    fn call(&self, cx: &Context) {
        let call = Call {
            worker: self.worker.clone(),
            scope: self.scope.clone(),
            at_ms: self.clock.monotonic_ms(),
            epoch: cx.epoch,
        };
        if self.store.holders().get(&self.scope) != Some(&self.worker) {
            let mut breaches = self.breaches.lock().expect("no panic while held");
            breaches.push(call.clone());
        }
        self.calls.lock().expect("no panic while held").push(call);
    }
}

#[async_trait]
impl Driver for Watched {
    fn capabilities(&self, target: &Target) -> Capabilities {
        self.world.capabilities(target)
    }

    fn desired(&self, record: &Record, target: &Target) -> State {
        self.world.desired(record, target)
    }

    fn plan(
        &self,
        target: &Target,
        from: &State,
        goal: &Goal,
        stage: Stage,
    ) -> Result<Vec<Effect>, Error> {
        self.world.plan(target, from, goal, stage)
    }

    fn after(&self, target: &Target, from: &State, effect: &Effect) -> State {
        self.world.after(target, from, effect)
    }

    fn capacity(&self, target: &Target, state: &State) -> Option<Capacity> {
        self.world.capacity(target, state)
    }

    fn scaled(&self, target: &Target, state: &State, instances: u32) -> State {
        self.world.scaled(target, state, instances)
    }

    fn diff(&self, want: &State, have: &State) -> Difference {
        self.world.diff(want, have)
    }

    async fn observe(&self, cx: &Context, target: &Target) -> Result<State, Error> {
        self.call(cx);
        self.world.observe(cx, target).await
    }

    async fn apply(
        &self,
        cx: &Context,
        target: &Target,
        effect: &Effect,
        seen: &State,
    ) -> Result<Applied, Error> {
        for _ in 0..CALLS {
            self.call(cx);
            self.clock.sleep_ms(CALL_MS).await;
        }
        self.call(cx);
        self.world.apply(cx, target, effect, seen).await
    }

    async fn settle(
        &self,
        cx: &Context,
        target: &Target,
        effect: &Effect,
        handle: Option<&Value>,
    ) -> Result<Settled, Error> {
        self.call(cx);
        self.world.settle(cx, target, effect, handle).await
    }

    async fn restorable(
        &self,
        cx: &Context,
        target: &Target,
        goal: &Goal,
    ) -> Result<Restorability, Error> {
        self.world.restorable(cx, target, goal).await
    }

    async fn history(&self, cx: &Context, target: &Target) -> Result<Vec<Revision>, Error> {
        self.world.history(cx, target).await
    }
}

#[tokio::test(start_paused = true)]
async fn i6_two_workers_share_the_work_and_never_a_scope() {
    let stage = Theatre::with(8).await;
    let workers = [stage.start("one", 3), stage.start("two", 3)];
    for worker in workers {
        assert_eq!(worker.await.expect("no panic"), Stop::Idle);
    }
    stage.all_is_well().await;
    let mut who: BTreeMap<Scope, BTreeSet<String>> = BTreeMap::new();
    for call in stage.calls() {
        who.entry(call.scope).or_default().insert(call.worker);
    }
    assert!(who.values().all(|workers| workers.len() == 1), "{who:?}");
    let all: BTreeSet<_> = who.values().flatten().collect();
    assert_eq!(all.len(), 2, "both had something to do");
}

#[tokio::test(start_paused = true)]
async fn a_worker_does_no_more_at_once_than_it_may() {
    let stage = Theatre::with(6).await;
    let worker = stage.start("one", 2);
    while !worker.is_finished() {
        assert!(stage.store.holders().len() <= 2);
        stage.clock.sleep_ms(10).await;
    }
    stage.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn i6_a_worker_that_cannot_renew_stops_before_its_leases_end() {
    let stage = Theatre::with(2).await;
    let worker = stage.start("one", 9);
    stage.until_calls(30).await;
    stage.store.cut_off(true);
    let cut_ms = stage.clock.monotonic_ms();
    stage.clock.sleep_ms(10 * LEASE_MS).await;
    let last_ms = stage.calls().last().expect("some").at_ms;
    assert!(last_ms > cut_ms, "it goes on for as long as it may");
    assert!(last_ms < cut_ms + LEASE_MS, "and no longer");
    assert!(stage.store.holders().is_empty());
    let calls = stage.calls().len();
    stage.store.cut_off(false);
    assert_eq!(worker.await.expect("no panic"), Stop::Idle);
    assert!(stage.calls()[calls..].iter().all(|call| call.epoch == 2));
    stage.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_workers_scopes_are_taken_over_soon() {
    let stage = Theatre::with(3).await;
    let first = stage.start("first", 9);
    let second = stage.start("second", 9);
    stage.until_calls(30).await;
    let dead = stage.calls()[0].worker.clone();
    let (dying, living) = match dead.as_str() {
        "first" => (first, second),
        _ => (second, first),
    };
    dying.abort();
    let died_ms = stage.clock.monotonic_ms();
    assert_eq!(living.await.expect("no panic"), Stop::Idle);
    stage.all_is_well().await;
    let calls = stage.calls();
    let taken_over = calls.iter().find(|call| call.worker != dead);
    let after_ms = taken_over.expect("it was").at_ms - died_ms;
    assert!(after_ms <= LEASE_MS + 1_000, "after {after_ms} ms");
}

#[tokio::test(start_paused = true)]
async fn i6_a_worker_that_slept_drops_what_it_was_at() {
    let stage = Theatre::with(1).await;
    let clock = Arc::new(Slept {
        inner: stage.clock.clone(),
        by_ms: AtomicU64::new(0),
    });
    let worker = stage.start_with("sleeper", 9, clock.clone());
    stage.until_calls(10).await;
    clock.by_ms.store(60_000, Ordering::SeqCst);
    let calls = stage.calls().len();
    assert_eq!(worker.await.expect("no panic"), Stop::Idle);
    let after = &stage.calls()[calls..];
    assert!(after.iter().all(|call| call.epoch == 2), "{after:?}");
    stage.all_is_well().await;
}

/// Another worker was given the scope although the first one is alive: as after a restore of the store from a backup.
#[tokio::test(start_paused = true)]
async fn i6_a_worker_that_lost_a_lease_drops_it_and_keeps_the_rest() {
    let stage = Theatre::with(2).await;
    let worker = stage.start("one", 9);
    stage.until_calls(10).await;
    stage.store.usurp(&scope(0), "other");
    let usurped_ms = stage.clock.monotonic_ms();
    stage.clock.sleep_ms(LEASE_MS).await;
    let calls = stage.calls();
    let of = |n: usize| calls.iter().filter(move |call| call.scope == scope(n));
    let last_ms = of(0).next_back().expect("some").at_ms;
    assert!(last_ms <= usurped_ms + LEASE_MS / 3, "it heard of it");
    assert!(of(1).all(|call| call.epoch == 1));
    // Its owner never says anything again: it is free after its time.
    assert_eq!(worker.await.expect("no panic"), Stop::Idle);
    let epochs: BTreeSet<_> = stage.calls().iter().map(|call| call.epoch).collect();
    assert_eq!(epochs, [1, 3].into());
}
