//! The engine's store in memory, with the same rules as the real ones (order, epochs, leases, projections in the append).
//! It is kept honest by the store's conformance suite, which they pass, too.

mod data;
mod leases;
mod port;

use crate::crash::Crashes;
use crate::told::Told;
use belay_engine::ports::{Clock, StoreError};
use belay_model::environment::View;
use belay_model::event::{Entry, Event};
use belay_model::id::{DeploymentId, Scope};
use data::Data;
use leases::Lives;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use tokio::time::Instant;

/// How often it is asked in one moment before someone turns in a circle, in which time never passes.
const CIRCLE: u32 = 200_000;

/// See the module.
pub struct MemoryStore {
    data: Arc<Mutex<Data>>,
    generation: Arc<Told<u64>>,
    /// The last moment in which it was asked, and how often.
    asked: Arc<Mutex<Option<(Instant, u32)>>>,
    crashes: Arc<Crashes>,
    lives: Option<Lives>,
    reach: Told<Reach>,
    hints: Hints,
    /// Told of all that is appended to journals, in the moment in which it is.
    onlooker: Arc<OnceLock<Onlooker>>,
}

type Onlooker = Box<dyn Fn(&DeploymentId, &[Entry]) + Send + Sync>;

/// Whether a worker reaches the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It does.
    Here,
    /// No request gets there, and it is told so.
    Refused,
    /// Requests get there and are served, and no answer comes back until this is over.
    Silent,
}

/// How a worker hears that something was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hints {
    /// At once.
    Prompt,
    /// After that many milliseconds.
    LateBy(u64),
    /// Never: it looks each second.
    Lost,
    /// Now and then although nothing was.
    Doubled,
}

impl MemoryStore {
    /// An empty store whose appends pass through `crashes`.
    pub fn new(crashes: Arc<Crashes>) -> Self {
        Self {
            data: Arc::default(),
            generation: Arc::default(),
            asked: Arc::default(),
            crashes,
            lives: None,
            reach: Told::new(Reach::Here),
            hints: Hints::Prompt,
            onlooker: Arc::default(),
        }
    }

    /// The same store, as another worker reaches it, who hears of it like that.
    pub fn reached_through(&self, crashes: Arc<Crashes>, hints: Hints) -> Self {
        Self {
            data: self.data.clone(),
            generation: self.generation.clone(),
            asked: self.asked.clone(),
            crashes,
            lives: self.lives.clone(),
            reach: Told::new(Reach::Here),
            hints,
            onlooker: self.onlooker.clone(),
        }
    }

    /// From now on that is told of all that is appended to journals. Once.
    pub fn watched_by(&self, onlooker: impl Fn(&DeploymentId, &[Entry]) + Send + Sync + 'static) {
        let set = self.onlooker.set(Box::new(onlooker));
        assert!(set.is_ok(), "it is watched already");
    }

    /// From now on it is reached like that, through here.
    pub fn reach(&self, reach: Reach) {
        self.reach.set(|_| reach);
    }

    /// The same, with leases that end by themselves after `lease_ms`, by this clock.
    pub fn with_leases(crashes: Arc<Crashes>, clock: Arc<dyn Clock>, lease_ms: u64) -> Self {
        Self {
            lives: Some(Lives { clock, lease_ms }),
            ..Self::new(crashes)
        }
    }

    /// From now on no worker reaches it, or they do again. Others do.
    pub fn cut_off(&self, cut_off: bool) {
        self.reach(if cut_off { Reach::Refused } else { Reach::Here });
    }

    /// Whether that worker holds the scope under a lease that lives.
    pub fn is_held_by(&self, scope: &Scope, name: &str) -> bool {
        self.data().is_held_by(scope, name, self.lives.as_ref())
    }

    /// Who holds which scope under a lease that lives.
    pub fn holders(&self) -> BTreeMap<Scope, String> {
        self.data().holders(self.lives.as_ref())
    }

    /// Gives a scope to somebody else, whoever has it.
    pub fn usurp(&self, scope: &Scope, name: &str) {
        self.data().usurp(scope, name, self.lives.as_ref());
    }

    fn within_reach(&self) -> Result<(), StoreError> {
        let now = Instant::now();
        let often = {
            let mut asked = self.asked.lock().unwrap_or_else(|e| e.into_inner());
            let before = asked.filter(|(at, _)| *at == now);
            let often = before.map_or(0, |(_, often)| often) + 1;
            *asked = Some((now, often));
            often
        };
        assert!(often < CIRCLE, "liveness: it turns in a circle");
        match self.reach.get() {
            Reach::Refused => Err(StoreError::Unwritable("it cannot be reached".to_owned())),
            Reach::Here | Reach::Silent => Ok(()),
        }
    }

    /// What was asked for is done; its answer comes when answers do.
    async fn answered<T>(&self, answer: T) -> T {
        self.reach.until(|reach| reach != Reach::Silent).await;
        answer
    }

    fn told(&self, id: &DeploymentId, entries: &[Entry]) {
        if let Some(onlooker) = self.onlooker.get() {
            onlooker(id, entries);
        }
    }

    /// Transactions so far.
    pub fn appends(&self) -> u64 {
        self.data().appends
    }

    /// A journal.
    pub fn journal(&self, id: &DeploymentId) -> Vec<Entry> {
        self.data().journals.get(id).cloned().unwrap_or_default()
    }

    /// Whether a journal has such an event; the newest are looked at first.
    pub fn any_event(&self, id: &DeploymentId, is_it: impl Fn(&Event) -> bool) -> bool {
        let data = self.data();
        let mut journal = data.journals.get(id).into_iter().flatten().rev();
        journal.any(|entry| is_it(&entry.event))
    }

    /// What is open in a scope, the oldest first.
    pub fn queue(&self, scope: &Scope) -> Vec<DeploymentId> {
        let data = self.data();
        let open = data.open().filter(|summary| summary.scope == *scope);
        open.map(|summary| summary.id.clone()).collect()
    }

    /// The fold of a scope's stream.
    pub fn view(&self, scope: &Scope) -> View {
        self.data().view(scope).clone()
    }

    fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock().expect("no panic while held")
    }

    fn pulse(&self) {
        self.generation.set(|generation| generation + 1);
    }
}
