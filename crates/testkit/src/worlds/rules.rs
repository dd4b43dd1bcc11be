//! What one kind of platform does, as pure functions of its state.

use belay_driver::{Capabilities, Capacity, Error, Revision, Stage};
use belay_model::id::RecordHash;
use belay_model::plan::{Effect, Verb, Wave};
use belay_model::release::Record;
use belay_model::state::{Goal, Health, Resource, State, Weight};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What hits no copy that works.
pub(super) const NOBODY: &str = "nobody";
/// Key of what scales by itself, where there is such a thing.
pub(super) const AUTOSCALER: &str = "autoscaler";
/// Keys of what the platform keeps for itself begin with this; a driver never sees them.
pub(super) const HIDDEN: &str = "~";

/// Records whose copies never become ready.
pub(super) type Broken = BTreeSet<RecordHash>;

/// See the module. The truth of a world is a [`State`], so that what a driver foresees ([`belay_driver::Driver::after`])
/// and what happens are one function; keys that begin with [`HIDDEN`] are the platform's own.
pub(super) trait Rules: Send + Sync {
    fn capabilities(&self) -> Capabilities;
    fn desired(&self, record: &Record) -> State;
    fn plan(
        &self,
        from: &State,
        want: &State,
        goal: &Goal,
        stage: Stage,
    ) -> Result<Vec<Effect>, Error>;
    /// As [`belay_driver::Driver::capacity`].
    fn capacity(&self, _: &State) -> Option<Capacity> {
        None
    }
    /// As [`belay_driver::Driver::scaled`].
    fn scaled(&self, state: &State, _instances: u32) -> State {
        state.clone()
    }
    /// How many atomic changes an effect consists of.
    fn parts(&self, there: &State, effect: &Effect) -> usize;
    /// Makes one of them, counted from 0, on what is there at that moment.
    fn make(&self, there: &mut State, effect: &Effect, part: usize, broken: &Broken);
    /// Whether the platform goes on with it when nobody asks any more: it is accepted, and followed by a handle.
    fn goes_on_by_itself(&self, effect: &Effect) -> bool;
    /// Whether the platform takes it back when something breaks on the way, rather than going on.
    fn gives_up(&self, _: &Effect) -> bool {
        false
    }
    /// Whether the platform breaks it off there, because of what it finds.
    fn breaks_off(&self, _there: &State, _: &Effect, _part: usize) -> bool {
        false
    }
    /// Whether the platform takes no other request while it works on one.
    fn is_exclusive(&self) -> bool {
        false
    }
    /// Whether requests carry a mark that lets the platform refuse those of a worker that was replaced.
    fn fences(&self) -> bool;
    /// Whether a change of this resource by someone else stands in the way of a switch that does not touch it.
    fn guards(&self, _key: &str) -> bool {
        false
    }
    /// How much a difference at that key matters.
    fn weight(&self, want: &State, have: &State, key: &str) -> Weight;
    /// Whom users reach, per mille; [`NOBODY`]: what is sent where nothing works. Empty: there is no service.
    fn users(&self, there: &State) -> BTreeMap<String, u32>;
    /// Contents that have copies, by name.
    fn copies(&self, there: &State) -> Vec<String>;
    /// Someone else changes where the traffic goes.
    fn meddle(&self, there: &mut State);

    /// Where traffic is sent, per mille, whether anything is there or not.
    fn weights(&self, there: &State) -> BTreeMap<String, u32> {
        self.users(there)
    }

    /// The platform's own versions, newest first.
    fn history(&self, _: &State) -> Vec<Revision> {
        Vec::new()
    }

    /// What is there when all of an effect is done.
    fn after(&self, from: &State, effect: &Effect) -> State {
        whole_after(self, from, effect)
    }
}

/// What is there when all parts of an effect happened, and nothing of it is stuck.
pub(super) fn whole_after<R: Rules + ?Sized>(rules: &R, from: &State, effect: &Effect) -> State {
    let mut after = from.clone();
    for part in 0..rules.parts(from, effect) {
        rules.make(&mut after, effect, part, &Broken::new());
    }
    after.resources.retain(|key, _| !key.starts_with(HIDDEN));
    after
}

/// What runs: a record, and how people call its copies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Content {
    pub(super) record: RecordHash,
    pub(super) name: String,
}

impl Content {
    pub(super) fn of(record: &Record) -> Self {
        Self {
            record: record.hash(),
            name: record.group(),
        }
    }

    /// Of a resource that tells its record.
    pub(super) fn at(resource: &Resource) -> Option<Self> {
        Some(Self {
            record: RecordHash::new(resource.spec["record"].as_str()?),
            name: resource.facts["name"].as_str().unwrap_or("?").to_owned(),
        })
    }

    pub(super) fn stranger() -> Self {
        Self {
            record: RecordHash::new("5".repeat(64)),
            name: "stranger".to_owned(),
        }
    }
}

/// Key of a record's settings that says how many instances it has.
const INSTANCES: &str = "INSTANCES";

/// The settings of a release that has another number of instances than is usual in its world.
pub(crate) fn instances(number: &u32) -> BTreeMap<String, String> {
    BTreeMap::from([(INSTANCES.to_owned(), number.to_string())])
}

/// How many instances a record has.
pub(super) fn instances_of(record: &Record, usual: u32) -> u32 {
    let own = record.config.get(INSTANCES);
    own.and_then(|own| own.parse().ok()).unwrap_or(usual)
}

/// A resource that is meant to be so, whose content has that name.
pub(super) fn resource(spec: Value, name: &str, is_ready: bool) -> Resource {
    let health = if is_ready {
        Health::Healthy
    } else {
        Health::Unhealthy("it never became ready".to_owned())
    };
    Resource {
        spec,
        facts: json!({ "name": name }),
        health,
    }
}

pub(super) fn is_ready(resource: &Resource) -> bool {
    !matches!(resource.health, Health::Unhealthy(_))
}

pub(super) fn number(spec: &Value, key: &str) -> u32 {
    u32::try_from(spec[key].as_u64().unwrap_or(0)).unwrap_or(0)
}

/// The same content at that key, and more of it than is wanted, by the numbers of that name.
pub(super) fn is_more(want: &State, have: &State, key: &str, counts: &[&str]) -> bool {
    let at = |state: &State| state.resources.get(key).map(|it| it.spec.clone());
    let (Some(want), Some(have)) = (at(want), at(have)) else {
        return false;
    };
    let mut alike = have.clone();
    for count in counts {
        alike[*count] = want[*count].clone();
    }
    let less = |count: &&str| number(&have, count) < number(&want, count);
    alike == want && have != want && !counts.iter().any(less)
}

/// An effect that may be repeated.
pub(super) fn effect(
    verb: Verb,
    wave: Wave,
    title: String,
    params: &impl Serialize,
    records: Vec<RecordHash>,
) -> Effect {
    Effect {
        verb,
        wave,
        title,
        params: serde_json::to_value(params).expect("plain data"),
        records,
        idempotent: true,
        residue: None,
    }
}

/// The weights that a stage asks for: the goal's, and the rest with one that has traffic now.
pub(super) fn shared(
    want: &BTreeMap<String, u32>,
    now: &BTreeMap<String, u32>,
    share: u32,
) -> BTreeMap<String, u32> {
    let has: u32 = want.keys().filter_map(|name| now.get(name)).sum();
    let share = share.max(has);
    let mut weights = want.clone();
    let old = now.keys().find(|name| !want.contains_key(*name));
    if let Some(old) = old.filter(|_| share < 1000) {
        for weight in weights.values_mut() {
            *weight = *weight * share / 1000;
        }
        let rest = 1000 - weights.values().sum::<u32>();
        weights.insert(old.clone(), rest);
    }
    weights
}

/// The change to new weights; without any the service is taken away.
pub(super) fn move_traffic(params: &impl Serialize, weights: &BTreeMap<String, u32>) -> Effect {
    let verb = if weights.is_empty() {
        Verb::Retire
    } else {
        Verb::Promote
    };
    let title = format!("weights {weights:?}");
    effect(verb, Wave::Switch, title, params, Vec::new())
}
