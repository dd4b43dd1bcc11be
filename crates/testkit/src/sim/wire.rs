//! What lies between a worker and everything else: its clock, its way to the platforms, and whoever looks whether it may
//! still make the calls that it makes.

use super::audit::Audit;
use super::stage::Ground;
use crate::told::Told;
use crate::{FakeClock, MemoryStore, Reach, World};
use async_trait::async_trait;
use belay_driver::{
    Applied, Capabilities, Capacity, Context, Driver, Error, Restorability, Revision, Settled,
    Stage,
};
use belay_engine::ports::{Clock, Drivers};
use belay_model::error::{Class, Effect as Touched};
use belay_model::id::Scope;
use belay_model::plan::Effect;
use belay_model::release::{Record, Target};
use belay_model::state::{Difference, Goal, State};
use serde_json::Value;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

/// How long it takes to find out that there is no way to a platform.
const NO_WAY: Duration = Duration::from_millis(50);

/// A seat's connections; they outlive its workers.
pub(super) struct Link {
    pub(super) is_cut: Told<bool>,
    /// The process stands still.
    pub(super) is_still: Arc<Told<bool>>,
    pub(super) skew_us: AtomicI64,
    pub(super) ahead_ms: AtomicU64,
    store: Mutex<(Reach, Option<Arc<MemoryStore>>)>,
}

impl Link {
    pub(super) fn new() -> Self {
        Self {
            is_cut: Told::new(false),
            is_still: Arc::default(),
            skew_us: AtomicI64::new(0),
            ahead_ms: AtomicU64::new(0),
            store: Mutex::new((Reach::Here, None)),
        }
    }

    /// From now on the store is reached like that, by this worker and the next ones.
    pub(super) fn reach(&self, reach: Reach) {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        store.0 = reach;
        if let Some(store) = &store.1 {
            store.reach(reach);
        }
    }

    /// The next worker sits down.
    pub(super) fn connect(&self, to: &Arc<MemoryStore>) {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        to.reach(store.0);
        store.1 = Some(to.clone());
    }
}

/// A worker's clocks: the wall clock is set by someone, and what counts milliseconds may leap ahead. While the process stands
/// still nobody is woken, and clocks go on.
pub(super) struct Skewed {
    pub(super) inner: Arc<FakeClock>,
    pub(super) link: Arc<Link>,
}

#[async_trait]
impl Clock for Skewed {
    fn now_us(&self) -> i64 {
        self.inner.now_us() + self.link.skew_us.load(Ordering::Relaxed)
    }

    fn monotonic_ms(&self) -> u64 {
        self.inner.monotonic_ms() + self.link.ahead_ms.load(Ordering::Relaxed)
    }

    async fn sleep_ms(&self, ms: u64) {
        self.inner.sleep_ms(ms).await;
        self.link.is_still.until(|is_still| !is_still).await;
    }
}

/// The drivers of a worker, by target.
pub(super) struct Wires(pub(super) BTreeMap<String, Arc<dyn Driver>>);

impl Wires {
    /// Those of a command, which nothing happens to.
    pub(super) fn of(ground: &Ground) -> Self {
        let own = |(name, world): (&String, &World)| {
            let driver: Arc<dyn Driver> = Arc::new(world.clone());
            (name.clone(), driver)
        };
        Self(ground.worlds.iter().map(own).collect())
    }
}

impl Drivers for Wires {
    fn driver(&self, name: &str) -> Option<Arc<dyn Driver>> {
        self.0.get(name).cloned()
    }
}

/// A worker's way to one target.
pub(super) struct Wire {
    pub(super) world: World,
    pub(super) scope: Scope,
    pub(super) owner: String,
    pub(super) store: Arc<MemoryStore>,
    pub(super) link: Arc<Link>,
    pub(super) audit: Arc<Audit>,
}

impl Wire {
    async fn call<T>(
        &self,
        what: &str,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let cut = &self.link.is_cut;
        if cut.get() {
            tokio::time::sleep(NO_WAY).await;
            let message = "reach the platform: there is no way";
            return Err(Error::not_applied(Class::Connectivity, message));
        }
        let mut call = pin!(call);
        // I6: asked before every turn, as a call goes on while its answer is waited for.
        let still = &self.link.is_still;
        let mut wait = None;
        let held = std::future::poll_fn(|cx| {
            if still.get() {
                let going = || Box::pin(still.until(|is_still| !is_still));
                if wait
                    .get_or_insert_with(going)
                    .as_mut()
                    .poll(cx)
                    .is_pending()
                {
                    return Poll::Pending;
                }
            }
            wait = None;
            if !self.store.is_held_by(&self.scope, &self.owner) {
                let (owner, scope) = (&self.owner, &self.scope);
                self.audit.breach(format!(
                    "I6: {owner} goes on with {what} and has no lease on {scope}"
                ));
            }
            call.as_mut().poll(cx)
        });
        tokio::select! {
            biased;
            answer = held => answer,
            () = cut.until(|is_cut| is_cut) => {
                if !self.world.is_quiet() {
                    self.audit.count("late results");
                }
                let message = "hear from the platform: the connection broke";
                Err(Error::maybe_applied(Class::Connectivity, message))
            }
        }
    }
}

#[async_trait]
impl Driver for Wire {
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
        self.call("looking", self.world.observe(cx, target)).await
    }

    async fn apply(
        &self,
        cx: &Context,
        target: &Target,
        effect: &Effect,
        seen: &State,
    ) -> Result<Applied, Error> {
        self.audit.applies(cx, effect);
        let call = self.world.apply(cx, target, effect, seen);
        self.call(&effect.title, call).await
    }

    async fn settle(
        &self,
        cx: &Context,
        target: &Target,
        effect: &Effect,
        handle: Option<&Value>,
    ) -> Result<Settled, Error> {
        let call = self.world.settle(cx, target, effect, handle);
        // Who only asks says of itself that it changed nothing, whatever is under way.
        let asked = self.call("settling", call).await;
        asked.map_err(|error| Error {
            effect: Touched::NotApplied,
            ..error
        })
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
