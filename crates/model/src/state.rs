//! What a driver observes of a target, and what it shall become.

use crate::id::RecordHash;
use crate::release::Record;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Whether something serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Health {
    /// Serves.
    Healthy,
    /// Does not, and why.
    Unhealthy(String),
    /// Nobody looked, or nobody could.
    #[default]
    Unknown,
}

/// One resource of a target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    /// What is meant to be: compared, key by key. An absent key of a map counts as null.
    pub spec: Value,
    /// What is true for the moment (pids, ports, table numbers, times, who wrote what): shown, never compared; a driver may
    /// weigh a difference by it.
    pub facts: Value,
    /// Whether it serves.
    pub health: Health,
}

/// The resource that says how the traffic is split. Where it is absent the platform splits nothing.
pub const ROUTE: &str = "route";

/// What a driver observes of a target, normalised, by resource key. An absent resource is absent from the map;
/// a target with nothing on it is the empty state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Format of this type, now 1.
    pub format: u16,
    /// Resources by key, such as `group/r2-1a2b3c4d` or `route`. A group whose `spec` says `traffic: false` works without.
    pub resources: BTreeMap<String, Resource>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            format: 1,
            resources: BTreeMap::new(),
        }
    }
}

impl State {
    /// Nothing is there.
    pub fn is_absent(&self) -> bool {
        self.resources.is_empty()
    }

    /// What serves badly here, as `key: why`.
    pub fn unhealthy(&self) -> Vec<String> {
        let bad = self
            .resources
            .iter()
            .filter_map(|(key, resource)| match &resource.health {
                Health::Unhealthy(why) => Some(format!("{key}: {why}")),
                _ => None,
            });
        bad.collect()
    }
}

/// States by target. A target that is not in it was not looked at, or could not be.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct States(BTreeMap<String, State>);

/// The name under which a state stands that was kept before there could be several targets (journal format 2): it is
/// that of the only one.
const ONLY: &str = "";

impl States {
    /// One target's state.
    pub fn one(target: &str, state: State) -> Self {
        Self(BTreeMap::from([(target.to_owned(), state)]))
    }

    /// A target's state; none: nobody knows.
    pub fn get(&self, target: &str) -> Option<&State> {
        self.0.get(target).or_else(|| self.0.get(ONLY))
    }

    /// A target's state as a goal means it: what it does not mention shall not be there.
    pub fn of(&self, target: &str) -> &State {
        static NOTHING: State = State {
            format: 1,
            resources: BTreeMap::new(),
        };
        self.get(target).unwrap_or(&NOTHING)
    }

    /// What is there now.
    pub fn set(&mut self, target: &str, state: State) {
        self.0.insert(target.to_owned(), state);
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &State)> {
        self.0.iter().map(|(name, state)| (name.as_str(), state))
    }

    /// Nothing is there, anywhere.
    pub fn is_absent(&self) -> bool {
        self.0.values().all(State::is_absent)
    }

    /// The keys of all resources.
    pub fn keys(&self) -> impl Iterator<Item = &String> {
        self.0.values().flat_map(|state| state.resources.keys())
    }

    /// What serves badly, as `key: why`.
    pub fn unhealthy(&self) -> Vec<String> {
        self.0.values().flat_map(State::unhealthy).collect()
    }
}

impl FromIterator<(String, State)> for States {
    fn from_iter<T: IntoIterator<Item = (String, State)>>(states: T) -> Self {
        Self(states.into_iter().collect())
    }
}

impl<'de> Deserialize<'de> for States {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            One(State),
            Many(BTreeMap<String, State>),
        }
        Ok(match Either::deserialize(deserializer)? {
            Either::One(state) => Self::one(ONLY, state),
            Either::Many(states) => Self(states),
        })
    }
}

/// How much a difference matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// The goal is not met while it stands.
    Must,
    /// Worth showing.
    Informational,
}

/// One difference between what is wanted and what is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DifferenceEntry {
    /// Whether the goal is unmet because of it.
    pub weight: Weight,
    /// Which resource.
    pub key: String,
    /// What is wanted; null: it should not be there.
    pub want: Value,
    /// What is there; null: absent.
    pub have: Value,
}

impl DifferenceEntry {
    /// Whether both are about the same: the same resource, and a field of it where both name fields.
    pub fn meets(&self, other: &Self) -> bool {
        let shares = match (&self.have, &other.have) {
            (Value::Object(own), Value::Object(others)) => {
                own.keys().any(|field| others.contains_key(field))
            }
            _ => true,
        };
        self.key == other.key && shares
    }
}

/// All differences. Empty: nothing to tell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Difference(pub Vec<DifferenceEntry>);

impl Difference {
    /// Entries that keep the goal unmet.
    pub fn must(&self) -> impl Iterator<Item = &DifferenceEntry> {
        self.0.iter().filter(|entry| entry.weight == Weight::Must)
    }

    /// Whether the goal is met.
    pub fn is_met(&self) -> bool {
        self.must().next().is_none()
    }

    /// One line per unmet entry, for people.
    pub fn lines(&self) -> Vec<String> {
        self.must()
            .map(|entry| format!("{}: want {}, have {}", entry.key, entry.want, entry.have))
            .collect()
    }
}

/// The state that a plan leads to, with everything needed to build it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Goal {
    /// What shall be there, on each of its targets.
    pub want: States,
    /// The records that `want` names, by hash.
    pub records: BTreeMap<RecordHash, Record>,
    /// In words: `release 1`, `nothing (as before)`.
    pub title: String,
    /// The record that takes the traffic at the goal, or does the work where there is none; absent: nothing does.
    pub record: Option<RecordHash>,
}
