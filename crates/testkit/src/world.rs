//! A world of groups side by side with weights, as local processes and most platforms are.
//!
//! Every call passes crash points and may meet a fault, so that "before", "inside" (half of it happened) and "after"
//! are places where a test can kill a worker or lose an answer.

use crate::crash::Crashes;
use async_trait::async_trait;
use belay_driver::{
    Applied, Capabilities, Context, Driver, Error, Old, Restorability, Revision, Settled, Stage,
};
use belay_model::error::Class;
use belay_model::id::{DeploymentId, RecordHash};
use belay_model::plan::{Effect, Verb, Wave};
use belay_model::release::{Record, Target};
use belay_model::state::{Difference, DifferenceEntry, Goal, Health, Resource, State, Weight};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

/// What a call meets.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// It fails and changes nothing.
    Refused(Class),
    /// It fails after it has changed everything.
    AnswerLost(Class),
    /// It fails half-way.
    Half(Class),
    /// It changes nothing, and asks to come back after that many milliseconds.
    Throttled(u64),
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Groups {
    /// Name -> (record, instances).
    groups: BTreeMap<String, (RecordHash, u32)>,
    weights: BTreeMap<String, u32>,
}

#[derive(Serialize, Deserialize)]
enum Params {
    Grow(String, RecordHash, u32),
    Weights(BTreeMap<String, u32>),
    Shrink(String),
}

/// See the module.
pub struct SideBySide {
    world: Mutex<Groups>,
    faults: Mutex<VecDeque<Option<Fault>>>,
    sick: Mutex<Vec<String>>,
    log: Mutex<Vec<String>>,
    locked_out: Mutex<Option<Class>>,
    /// Epoch and deployment of the last settling: nothing older of it can still happen.
    settled: Mutex<BTreeMap<DeploymentId, u64>>,
    crashes: Arc<Crashes>,
    /// Instances per group.
    instances: u32,
    /// Without it groups work as soon as they are there: nothing is switched, and nothing stands by.
    takes_traffic: bool,
}

impl SideBySide {
    /// An empty world whose calls pass through `crashes`.
    pub fn new(crashes: Arc<Crashes>, instances: u32) -> Self {
        Self {
            world: Mutex::default(),
            faults: Mutex::default(),
            sick: Mutex::default(),
            log: Mutex::default(),
            locked_out: Mutex::default(),
            settled: Mutex::default(),
            crashes,
            instances,
            takes_traffic: true,
        }
    }

    /// The same without traffic, as queue workers are.
    pub fn without_traffic(self) -> Self {
        Self {
            takes_traffic: false,
            ..self
        }
    }

    /// Whether anything is switched here.
    pub fn takes_traffic(&self) -> bool {
        self.takes_traffic
    }

    /// A group that is only kept warm at this goal.
    fn is_warm(&self, want: &Groups, name: &str) -> bool {
        self.takes_traffic && !want.weights.contains_key(name)
    }

    /// What the next applies meet, in order; `None` is no fault. Those that nobody met are forgotten.
    pub fn faults(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        *lock(&self.faults) = faults.into_iter().collect();
    }

    /// Effects in the order in which they happened.
    pub fn log(&self) -> Vec<String> {
        lock(&self.log).clone()
    }

    /// Who has traffic, per mille.
    pub fn weights(&self) -> BTreeMap<String, u32> {
        lock(&self.world).weights.clone()
    }

    /// Groups that have instances.
    pub fn groups(&self) -> Vec<String> {
        lock(&self.world).groups.keys().cloned().collect()
    }

    /// A stranger changes the weights.
    pub fn set_weights(&self, weights: BTreeMap<String, u32>) {
        lock(&self.world).weights = weights;
    }

    /// A stranger removes a group.
    pub fn remove_group(&self, name: &str) {
        lock(&self.world).groups.remove(name);
    }

    /// From now on nothing can be seen: the platform refuses whoever asks.
    pub fn lock_out(&self, class: Class) {
        *lock(&self.locked_out) = Some(class);
    }

    /// A group turns unhealthy.
    pub fn sicken(&self, name: &str) {
        lock(&self.sick).push(name.to_owned());
    }

    fn observed(&self) -> State {
        state(&lock(&self.world), &lock(&self.sick))
    }

    fn do_it(&self, effect: &Effect, half: bool) {
        let params: Params = serde_json::from_value(effect.params.clone()).expect("own parameters");
        let mut world = lock(&self.world);
        match params {
            Params::Grow(name, record, count) => {
                // Growing never takes away what is there, however it breaks.
                let there = world.groups.get(&name).map_or(0, |(_, there)| *there);
                let count = if half { there.max(count / 2) } else { count };
                if count > 0 {
                    world.groups.insert(name, (record, count));
                }
            }
            Params::Weights(weights) => {
                for name in weights.keys() {
                    // P4, checked by the world itself: traffic never goes where nothing is.
                    assert!(
                        world.groups.contains_key(name),
                        "traffic sent to {name}, which is not there"
                    );
                }
                if !half {
                    world.weights = weights;
                }
            }
            Params::Shrink(name) => {
                assert!(
                    !world.weights.contains_key(&name),
                    "{name} removed while it had traffic"
                );
                if half {
                    if let Some((_, count)) = world.groups.get_mut(&name) {
                        *count = (*count / 2).max(1);
                    }
                } else {
                    world.groups.remove(&name);
                }
            }
        }
        lock(&self.log).push(effect.title.clone());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn state(world: &Groups, sick: &[String]) -> State {
    let mut state = State::default();
    for (name, (record, count)) in &world.groups {
        let health = if sick.contains(name) {
            Health::Unhealthy("sick".to_owned())
        } else {
            Health::Healthy
        };
        let resource = Resource {
            spec: json!({ "record": record, "instances": count }),
            facts: Value::Null,
            health,
        };
        state.resources.insert(format!("group/{name}"), resource);
    }
    if !world.weights.is_empty() {
        let spec = json!({ "weights": world.weights });
        state.resources.insert(
            "route".to_owned(),
            Resource {
                spec,
                ..Resource::default()
            },
        );
    }
    state
}

fn parse(state: &State) -> Groups {
    let mut world = Groups::default();
    for (key, resource) in &state.resources {
        match key.strip_prefix("group/") {
            Some(name) => {
                let record = RecordHash::new(resource.spec["record"].as_str().unwrap_or_default());
                let count =
                    u32::try_from(resource.spec["instances"].as_u64().unwrap_or(0)).unwrap_or(0);
                world.groups.insert(name.to_owned(), (record, count));
            }
            None => {
                world.weights =
                    serde_json::from_value(resource.spec["weights"].clone()).unwrap_or_default();
            }
        }
    }
    world
}

fn effect(
    verb: Verb,
    wave: Wave,
    title: String,
    params: &Params,
    records: Vec<RecordHash>,
) -> Effect {
    let params = serde_json::to_value(params).expect("plain data");
    Effect {
        verb,
        wave,
        title,
        params,
        records,
        idempotent: true,
        residue: None,
    }
}

#[async_trait]
impl Driver for SideBySide {
    fn capabilities(&self, _: &Target) -> Capabilities {
        Capabilities {
            weights: self.takes_traffic,
            warm_standby: self.takes_traffic,
            units: self.instances,
        }
    }

    fn desired(&self, record: &Record, _: &Target) -> State {
        let name = record.group();
        let groups = BTreeMap::from([(name.clone(), (record.hash(), self.instances))]);
        let weight = self.takes_traffic.then_some((name, 1000));
        let weights = weight.into_iter().collect();
        state(&Groups { groups, weights }, &[])
    }

    fn plan(
        &self,
        target: &Target,
        from: &State,
        goal: &Goal,
        stage: Stage,
    ) -> Result<Vec<Effect>, Error> {
        let (now, want) = (parse(from), parse(goal.want.of(&target.name)));
        let mut effects = Vec::new();
        for (name, (record, count)) in want
            .groups
            .iter()
            .filter(|(name, _)| !self.is_warm(&want, name))
        {
            let needed = (count * stage.capacity).div_ceil(1000);
            if now
                .groups
                .get(name)
                .is_none_or(|(_, there)| *there < needed)
            {
                let params = Params::Grow(name.clone(), record.clone(), needed);
                let title = format!("grow {name} to {needed}");
                effects.push(effect(
                    Verb::Stage,
                    Wave::Grow,
                    title,
                    &params,
                    vec![record.clone()],
                ));
            }
        }
        let mut weights = want.weights.clone();
        if stage.share < 1000 {
            let old = now
                .weights
                .keys()
                .find(|name| !want.weights.contains_key(*name))
                .cloned();
            if let Some(old) = old {
                for weight in weights.values_mut() {
                    *weight = *weight * stage.share / 1000;
                }
                let rest = 1000 - weights.values().sum::<u32>();
                weights.insert(old, rest);
            }
        }
        if weights != now.weights {
            let title = format!("weights {weights:?}");
            effects.push(effect(
                Verb::Promote,
                Wave::Switch,
                title,
                &Params::Weights(weights),
                Vec::new(),
            ));
        }
        if stage.old == Old::Remove {
            for name in now
                .groups
                .keys()
                .filter(|name| !want.groups.contains_key(*name))
            {
                let title = format!("remove {name}");
                effects.push(effect(
                    Verb::Retire,
                    Wave::Shrink,
                    title,
                    &Params::Shrink(name.clone()),
                    Vec::new(),
                ));
            }
        }
        Ok(effects)
    }

    fn after(&self, _: &Target, from: &State, effect: &Effect) -> State {
        let mut world = parse(from);
        match serde_json::from_value(effect.params.clone()).expect("own parameters") {
            Params::Grow(name, record, count) => {
                world.groups.insert(name, (record, count));
            }
            Params::Weights(weights) => world.weights = weights,
            Params::Shrink(name) => {
                world.groups.remove(&name);
            }
        }
        state(&world, &[])
    }

    fn diff(&self, want: &State, have: &State) -> Difference {
        let keys: std::collections::BTreeSet<_> =
            want.resources.keys().chain(have.resources.keys()).collect();
        let spec = |state: &State, key: &str| {
            state
                .resources
                .get(key)
                .map_or(Value::Null, |one| one.spec.clone())
        };
        let entries = keys
            .into_iter()
            .filter(|key| spec(want, key) != spec(have, key));
        // As on real platforms, a group without traffic may be gone: it was only kept warm.
        let wanted = parse(want);
        let weight = |key: &str| {
            let name = key.strip_prefix("group/");
            let is_warm = name.is_some_and(|name| self.is_warm(&wanted, name));
            if is_warm && spec(have, key).is_null() {
                Weight::Informational
            } else {
                Weight::Must
            }
        };
        Difference(
            entries
                .map(|key| DifferenceEntry {
                    weight: weight(key),
                    key: key.clone(),
                    want: spec(want, key),
                    have: spec(have, key),
                })
                .collect(),
        )
    }

    async fn observe(&self, _: &Context, _: &Target) -> Result<State, Error> {
        self.crashes.pass("observe", "before").await;
        if let Some(class) = *lock(&self.locked_out) {
            return Err(Error::not_applied(class, "locked out by the test"));
        }
        Ok(self.observed())
    }

    async fn apply(
        &self,
        cx: &Context,
        _: &Target,
        effect: &Effect,
        seen: &State,
    ) -> Result<Applied, Error> {
        self.crashes.pass("apply", "before").await;
        let settled = lock(&self.settled).get(&cx.deployment).copied();
        if settled.is_some_and(|epoch| cx.epoch < epoch) {
            let message = "this call was settled by another worker";
            return Err(Error::not_applied(Class::Conflict, message));
        }
        if effect.wave == Wave::Switch {
            let (now, before) = (lock(&self.world).weights.clone(), parse(seen).weights);
            let wanted = parse(&self.after(&target(), seen, effect)).weights;
            if now != before && now != wanted {
                let message = "someone else changed the weights";
                return Err(Error::not_applied(Class::Conflict, message));
            }
        }
        let fault = lock(&self.faults).pop_front().flatten();
        match fault {
            Some(Fault::Refused(class)) => {
                return Err(Error::not_applied(class, "refused by the test"));
            }
            Some(Fault::Throttled(ms)) => {
                let mut error = Error::not_applied(Class::Quota, "too many requests");
                error.retry_after_ms = Some(ms);
                return Err(error);
            }
            Some(Fault::Half(class)) => {
                self.do_it(effect, true);
                return Err(Error::maybe_applied(class, "broken half-way by the test"));
            }
            Some(Fault::AnswerLost(class)) => {
                self.do_it(effect, false);
                return Err(Error::maybe_applied(class, "answer lost by the test"));
            }
            None => {}
        }
        if effect.wave != Wave::Switch {
            // A switch is one atomic change and has no inside.
            self.crashes.pass("apply", "inside").await;
        }
        self.do_it(effect, false);
        self.crashes.pass("apply", "after").await;
        Ok(Applied::Done {
            times: BTreeMap::new(),
        })
    }

    async fn settle(
        &self,
        cx: &Context,
        _: &Target,
        _: &Effect,
        _: Option<&Value>,
    ) -> Result<Settled, Error> {
        self.crashes.pass("settle", "before").await;
        lock(&self.settled).insert(cx.deployment.clone(), cx.epoch);
        Ok(Settled::Quiet)
    }

    async fn restorable(&self, _: &Context, _: &Target, _: &Goal) -> Result<Restorability, Error> {
        Ok(Restorability::Exact { millis: None })
    }

    async fn history(&self, _: &Context, _: &Target) -> Result<Vec<Revision>, Error> {
        Ok(Vec::new())
    }
}

fn target() -> Target {
    Target {
        driver: "world".to_owned(),
        name: "world".to_owned(),
        host: None,
        settings: Value::Null,
    }
}
