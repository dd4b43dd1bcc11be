//! Plans for Helm releases, and what comes of their steps. Pure.
//!
//! Forward a release is upgraded. Back it is rolled back to the newest revision that says what the goal says, wherever that one
//! stands; and where helm has forgotten it, it is built again from our record of it.

use super::look::Known;
use super::record::{DEPLOYED, Record, was_deployed};
use crate::compare::{self, flatten};
use crate::digests::Digests;
use crate::kubernetes::state;
use crate::params::Wanted;
use crate::settings::Settings;
use crate::{kinds, object, words};
use belay_driver::{Error, Stage};
use belay_model::error::Class;
use belay_model::id::RecordHash;
use belay_model::plan::{Effect, Verb, Wave};
use belay_model::release::Record as OurRecord;
use belay_model::release::Target;
use belay_model::state::{Goal, Health, Resource, State, Weight};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// What an effect's `params` hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    pub(crate) release: String,
    pub(crate) how: How,
    /// All that is there then, by key; the release itself is one of them. Removed: what goes.
    pub(crate) objects: BTreeMap<String, Wanted>,
    /// What others say is theirs is taken from them.
    pub(crate) overwrites: bool,
    /// Pods that do not get ready are deleted when they are in the way.
    pub(crate) replace_stuck: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum How {
    /// `helm upgrade --install` of a record's chart and values.
    Upgrade { record: RecordHash },
    /// `helm rollback`.
    RollBack { revision: u32 },
    /// `helm uninstall`.
    Uninstall,
    /// Helm says that all is as it should be, and these objects are not.
    PutRight,
}

/// The key of a release's resource.
pub(crate) fn resource_key(release: &str) -> String {
    format!("release/{release}")
}

/// What a revision says shall be.
pub(crate) fn to_state(record: &Record, digests: &Digests, home: &str) -> Result<State, Error> {
    let objects = record.objects()?;
    let resource = |it: &Value| (object::key(it, home), object::written(it, digests));
    let release = (resource_key(&record.name), record.resource(digests));
    let mut made = state(objects.iter().map(resource).chain([release]));
    told(&mut made);
    Ok(made)
}

/// What a record of ours says shall be; nothing where the target has no chart.
pub(crate) fn desired(
    settings: &Settings,
    name: &str,
    record: &OurRecord,
    digests: &Digests,
) -> State {
    let Some(chart) = &settings.chart else {
        return State::default();
    };
    let resource = |it: &Value| {
        let key = object::key(it, &settings.namespace);
        let mut resource = object::written(it, digests);
        if let Some(paths) = chart.random.get(&key) {
            resource.facts["any"] = json!(paths);
        }
        (key, resource)
    };
    let release = Resource {
        spec: json!({
            "chart": chart.name, "app_version": chart.app_version, "values": chart.digests, "status": DEPLOYED,
        }),
        facts: json!({
            "belongs": true, "record": record.hash(), "leaves": chart.leaves,
        }),
        health: Health::Unknown,
    };
    let release = (resource_key(name), release);
    let mut made = state(settings.objects.iter().map(resource).chain([release]));
    told(&mut made);
    made
}

/// Notes what a state comes to, at its release.
fn told(state: &mut State) {
    let digest = content(state);
    let mut resources = state.resources.iter_mut();
    if let Some((_, release)) = resources.find(|(key, _)| key.starts_with("release/")) {
        release.facts["content"] = json!(digest);
    }
}

/// Digest of what a release says shall be: the same for two revisions of the same content.
pub(crate) fn content(state: &State) -> String {
    let mut parts = BTreeMap::new();
    for (key, it) in &state.resources {
        let mut leaves = flatten(&it.spec);
        leaves.remove("status");
        parts.insert(key, leaves);
    }
    let text = serde_json::to_string(&parts).unwrap_or_default();
    hex::encode(&Sha256::digest(text)[..16])
}

/// The steps of one stage.
pub(crate) fn plan(
    name: &str,
    target: &Target,
    from: &State,
    goal: &Goal,
    stage: Stage,
    digests: &Digests,
) -> Result<Vec<Effect>, Error> {
    let impossible = |why: String| Err(Error::not_applied(Class::Application, why));
    if stage.share < 1000 {
        return impossible("hold a share: helm replaces a release whole".to_owned());
    }
    let (want, key) = (goal.want.of(&target.name), resource_key(name));
    let there = from.resources.get(&key);
    let Some(wanted) = want.resources.get(&key) else {
        return Ok(there.map(|_| uninstall(name, from)).into_iter().collect());
    };
    let differs = differences(want, from);
    if differs.is_empty() {
        return Ok(Vec::new());
    }
    let work = Planned {
        name,
        from,
        want,
        stage,
        differs: &differs,
    };
    if there.is_some() && !differs.contains(&key) {
        return Ok(vec![work.put_right()]);
    }
    let known = there.map(revisions).unwrap_or_default();
    let same = |it: &&Known| {
        let is_of_record = it.record.is_some() && json!(it.record) == wanted.facts["record"];
        was_deployed(&it.status) && (json!(it.content) == wanted.facts["content"] || is_of_record)
    };
    if stage.overwrites
        && let Some(revision) = known.iter().rev().find(same)
    {
        return Ok(vec![work.roll_back(revision)]);
    }
    let of = |(hash, record): (&RecordHash, &OurRecord)| {
        let is_named = wanted.facts["record"] == hash.as_str();
        let its = record.target(&target.name).and_then(|it| {
            let settings = Settings::of(it).ok()?;
            if settings.chart.as_ref()?.is_kept {
                return None;
            }
            Some(desired(&settings, name, record, digests))
        });
        let its = its.and_then(|it| it.resources.get(&key).cloned());
        let is_it =
            its.is_some_and(|it| is_named || it.facts["content"] == wanted.facts["content"]);
        is_it.then(|| hash.clone())
    };
    match goal.records.iter().find_map(of) {
        Some(record) => Ok(vec![work.upgrade(wanted, record)]),
        None => impossible(format!(
            "go back to {}: helm has forgotten that revision of {name} (--history-max), and no record of Belay has its chart \
             and values",
            wanted.spec["chart"].as_str().unwrap_or("it")
        )),
    }
}

/// The revisions that helm had kept when the release was looked at, oldest first.
pub(crate) fn revisions(release: &Resource) -> Vec<Known> {
    Vec::deserialize(&release.facts["revisions"]).unwrap_or_default()
}

struct Planned<'a> {
    name: &'a str,
    from: &'a State,
    want: &'a State,
    stage: Stage,
    differs: &'a [String],
}

impl Planned<'_> {
    fn upgrade(&self, wanted: &Resource, record: RecordHash) -> Effect {
        let there = self.there();
        let chart = wanted.spec["chart"].as_str().unwrap_or_default();
        let title = match there {
            None => format!("helm install {} with {chart}{}", self.name, self.touched()),
            Some(_) if self.stage.overwrites => format!(
                "helm upgrade {} to {chart}, built again from the record{}",
                self.name,
                self.touched()
            ),
            Some(_) => format!("helm upgrade {} to {chart}{}", self.name, self.touched()),
        };
        let leaves = wanted.facts["leaves"].as_array();
        let leaves: Vec<&str> = leaves
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        Effect {
            residue: (!leaves.is_empty())
                .then(|| format!("helm leaves behind: {}", leaves.join("; "))),
            records: vec![record.clone()],
            ..self.effect(Verb::Deploy, How::Upgrade { record }, title)
        }
    }

    fn roll_back(&self, to: &Known) -> Effect {
        let title = format!(
            "helm rollback {} to revision {} ({}){}",
            self.name,
            to.revision,
            to.chart,
            self.touched()
        );
        let revision = to.revision;
        self.effect(Verb::Deploy, How::RollBack { revision }, title)
    }

    fn put_right(&self) -> Effect {
        let title = format!(
            "put right what is not as helm has it: {}",
            words::list(self.differs.iter())
        );
        self.effect(Verb::Deploy, How::PutRight, title)
    }

    fn there(&self) -> Option<&Resource> {
        self.from.resources.get(&resource_key(self.name))
    }

    /// What is not as it shall be, and what is in the way.
    fn touched(&self) -> String {
        let objects: Vec<String> = self
            .differs
            .iter()
            .filter(|key| !key.starts_with("release/"))
            .cloned()
            .collect();
        let mut words = match objects.is_empty() {
            true => String::new(),
            false => format!(": {}", words::list(objects.iter())),
        };
        let status = self.there().and_then(|it| it.spec["status"].as_str());
        if let Some(status) = status.filter(|it| it.starts_with("pending-")) {
            words += &format!("; it is {status} and is freed first");
        }
        if self.replaces_stuck() {
            words += "; pods that are stuck are deleted";
        }
        words
    }

    /// Pods of a StatefulSet that the platform would wait for.
    fn replaces_stuck(&self) -> bool {
        self.from.resources.iter().any(|(key, it)| {
            let keeps = kinds::of_key(key).is_some_and(kinds::Kind::keeps_stuck_pods);
            keeps && it.spec["rollout"] != kinds::COMPLETE
        })
    }

    fn effect(&self, verb: Verb, how: How, title: String) -> Effect {
        let objects = self
            .want
            .resources
            .iter()
            .filter(|(_, it)| it.facts["belongs"] == true);
        let objects = objects.map(|(key, it)| (key.clone(), wanted(it, self.stage.overwrites)));
        let step = Step {
            release: self.name.to_owned(),
            how,
            objects: objects.collect(),
            overwrites: self.stage.overwrites,
            replace_stuck: self.replaces_stuck(),
        };
        effect(verb, Wave::Switch, title, &step)
    }
}

fn uninstall(name: &str, from: &State) -> Effect {
    let objects = from
        .resources
        .iter()
        .filter(|(_, it)| it.facts["belongs"] == true);
    let objects: BTreeMap<String, Wanted> = objects
        .map(|(key, it)| (key.clone(), Wanted::name_of(it)))
        .collect();
    let title = format!("helm uninstall {name}");
    let step = Step {
        release: name.to_owned(),
        how: How::Uninstall,
        objects,
        overwrites: true,
        replace_stuck: false,
    };
    effect(Verb::Retire, Wave::Shrink, title, &step)
}

/// What the way there needs of a resource.
fn wanted(resource: &Resource, force: bool) -> Wanted {
    let mut wanted = Wanted::of(resource);
    wanted.force = force;
    for name in ["any", "record", "content"] {
        let fact = &resource.facts[name];
        if !fact.is_null() {
            wanted.named[name] = fact.clone();
        }
    }
    wanted
}

fn effect(verb: Verb, wave: Wave, title: String, step: &Step) -> Effect {
    Effect {
        verb,
        wave,
        title,
        params: serde_json::to_value(step).expect("parameters are plain data"),
        records: Vec::new(),
        idempotent: true,
        residue: None,
    }
}

/// What is not as wanted, and what is there and is not wanted.
fn differences(want: &State, from: &State) -> Vec<String> {
    let difference = compare::diff(want, from).0.into_iter();
    let musts = difference.filter(|it| it.weight == Weight::Must);
    let mut keys: Vec<String> = musts.map(|it| it.key).collect();
    keys.dedup();
    keys
}

impl Step {
    pub(crate) fn of(effect: &Effect) -> Result<Self, Error> {
        Self::deserialize(&effect.params).map_err(|error| {
            let message = format!("read the step's parameters: {error}");
            Error::not_applied(Class::Unknown, message)
        })
    }

    /// What is there afterwards; nothing where it goes.
    pub(crate) fn wanted(&self) -> State {
        match self.how {
            How::Uninstall => State::default(),
            _ => state(
                self.objects
                    .iter()
                    .map(|(key, it)| (key.clone(), it.resource())),
            ),
        }
    }
}

/// What is there after a step.
pub(crate) fn after(from: &State, step: &Step) -> State {
    let mut state = step.wanted();
    if !matches!(step.how, How::Uninstall) {
        let beside = from
            .resources
            .iter()
            .filter(|(_, it)| it.facts["belongs"] != true);
        state
            .resources
            .extend(beside.map(|(key, it)| (key.clone(), it.clone())));
    }
    state
}
