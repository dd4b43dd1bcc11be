//! A simulated target and its driver: what all kinds of platform share.
//!
//! Every call passes crash points and may meet a fault, so that "before", "sent" (the request is under way), "inside"
//! (half of it happened) and "after" are places where a test can kill a worker or lose an answer. What was sent happens
//! all the same.

use super::Kind;
use super::rules::{AUTOSCALER, Content, HIDDEN, Rules};
use super::work::Platform;
use crate::crash::Crashes;
use belay_model::error::Class;
use belay_model::id::RecordHash;
use belay_model::state::{Health, Resource, State};
use serde_json::json;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// What a call meets.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// It fails and changes nothing.
    Refused(Class),
    /// It fails, and the platform does all of it a little later.
    AnswerLost(Class),
    /// It is broken off half-way. What the platform had only accepted it takes back, if it is of that kind.
    Half(Class),
    /// It changes nothing, and asks to come back after that many milliseconds.
    Throttled(u64),
    /// As if the answer were lost, and the request gets there only after that many milliseconds more.
    Late(u64),
}

/// See the module.
#[derive(Clone)]
pub struct World {
    kind: Kind,
    pub(super) rules: Arc<dyn Rules>,
    platform: Arc<Mutex<Platform>>,
    pub(super) faults: Arc<Mutex<VecDeque<Option<Fault>>>>,
    sick: Arc<Mutex<Vec<String>>>,
    /// Whom it tells of changes, where it does.
    pub(super) told: Arc<Mutex<Option<watch::Sender<()>>>>,
    pub(super) looks: Arc<AtomicUsize>,
    pub(super) locked_out: Arc<Mutex<Option<Class>>>,
    pub(super) crashes: Arc<Crashes>,
}

impl World {
    /// An empty world of a kind, with so many instances per release, whose calls pass through `crashes`.
    pub fn new(kind: Kind, crashes: Arc<Crashes>, instances: u32) -> Self {
        Self {
            kind,
            rules: kind.rules(instances).into(),
            platform: Arc::new(Mutex::new(Platform::new())),
            faults: Arc::default(),
            sick: Arc::default(),
            told: Arc::default(),
            looks: Arc::default(),
            locked_out: Arc::default(),
            crashes,
        }
    }

    /// The same world, as the calls of another worker reach it.
    pub fn reached_through(&self, crashes: Arc<Crashes>) -> Self {
        Self {
            crashes,
            ..self.clone()
        }
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether anything is switched here.
    pub fn takes_traffic(&self) -> bool {
        self.kind != Kind::Workers
    }

    /// What the next applies meet, in order; `None` is no fault. Those that nobody met are forgotten.
    pub fn faults(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        *lock(&self.faults) = faults.into_iter().collect();
    }

    /// How many of them are still to come, passed over ones included.
    pub fn faults_left(&self) -> usize {
        lock(&self.faults).len()
    }

    /// Effects in the order in which they began to happen.
    pub fn log(&self) -> Vec<String> {
        self.platform().log.clone()
    }

    /// Who has traffic, per mille.
    pub fn weights(&self) -> BTreeMap<String, u32> {
        self.rules.weights(&self.platform().truth)
    }

    /// Whom users reach, per mille; nobody is somebody, too. Empty: there is no service.
    pub fn users(&self) -> BTreeMap<String, u32> {
        self.rules.users(&self.platform().truth)
    }

    /// Whom users would reach if that were there, likewise.
    pub fn users_of(&self, state: &State) -> BTreeMap<String, u32> {
        self.rules.users(state)
    }

    /// Groups that have copies, whether users reach them or not.
    pub fn groups(&self) -> Vec<String> {
        self.rules.copies(&self.platform().truth)
    }

    /// What may never happen and did: users without a healthy copy, a step repeated while it could still happen.
    pub fn breaches(&self) -> Vec<String> {
        self.platform().breaches.clone()
    }

    /// How often the service was taken away on purpose.
    pub fn withdrawals(&self) -> u32 {
        self.platform().withdrawals
    }

    /// Whether nothing is under way and no operation is running.
    pub fn is_quiet(&self) -> bool {
        self.platform().is_quiet()
    }

    /// A stranger changes where the traffic goes, as one can on this kind of platform.
    pub fn meddle(&self) {
        self.rules.meddle(&mut self.platform().truth);
    }

    /// A stranger changes the weights.
    pub fn set_weights(&self, weights: BTreeMap<String, u32>) {
        let route = Resource {
            spec: json!({ "weights": weights }),
            ..Resource::default()
        };
        let resources = &mut self.platform().truth.resources;
        resources.insert("route".to_owned(), route);
    }

    /// A stranger scales what is at work.
    pub fn scale(&self, instances: u32) {
        let mut platform = self.platform();
        platform.truth = self.rules.scaled(&platform.truth, instances);
    }

    /// How many instances are asked for; absent: there is no such number here.
    pub fn asked_for(&self) -> Option<u32> {
        let capacity = self.rules.capacity(&self.platform().truth);
        capacity.map(|capacity| capacity.desired)
    }

    /// A stranger sets up an autoscaler that asks for no fewer and no more than that.
    pub fn autoscale(&self, fewest: u32, most: u32) {
        let autoscaler = Resource {
            spec: json!({ "fewest": fewest, "most": most }),
            ..Resource::default()
        };
        let resources = &mut self.platform().truth.resources;
        resources.insert(AUTOSCALER.to_owned(), autoscaler);
    }

    /// A stranger removes a group.
    pub fn remove_group(&self, name: &str) {
        let resources = &mut self.platform().truth.resources;
        resources.remove(&format!("group/{name}"));
    }

    /// From now on nothing can be seen: the platform refuses whoever asks.
    pub fn lock_out(&self, class: Class) {
        *lock(&self.locked_out) = Some(class);
    }

    /// Whoever asks is let in again.
    pub fn let_in(&self) {
        *lock(&self.locked_out) = None;
    }

    /// A group turns unhealthy.
    pub fn sicken(&self, name: &str) {
        lock(&self.sick).push(name.to_owned());
        if let Some(told) = &*lock(&self.told) {
            told.send_replace(());
        }
    }

    /// Whoever wants to know is told of changes of health from now on.
    pub fn tells(&self) {
        *lock(&self.told) = Some(watch::Sender::default());
    }

    /// Nobody is told any more.
    pub fn tells_no_more(&self) {
        *lock(&self.told) = None;
    }

    /// How often it was looked at.
    pub fn looks(&self) -> usize {
        self.looks.load(Ordering::Relaxed)
    }

    /// No copy of that content ever becomes ready.
    pub fn break_release(&self, record: RecordHash) {
        self.platform().broken.insert(record);
    }

    /// The platform as it is now.
    pub(super) fn platform(&self) -> MutexGuard<'_, Platform> {
        let mut platform = lock(&self.platform);
        platform.advance(self.rules.as_ref());
        platform
    }

    /// What can be seen; no call, so nobody is killed here.
    pub fn state(&self) -> State {
        let mut state = self.platform().truth.clone();
        state.resources.retain(|key, _| !key.starts_with(HIDDEN));
        let sick = lock(&self.sick).clone();
        for resource in state.resources.values_mut() {
            let name = Content::at(resource).map(|content| content.name);
            if name.is_some_and(|name| sick.contains(&name)) {
                resource.health = Health::Unhealthy("sick".to_owned());
            }
        }
        state
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
