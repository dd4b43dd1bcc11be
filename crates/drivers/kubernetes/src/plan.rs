//! Plans for releases that take each other's place, and what comes of their steps. Pure.

use crate::compare::{self, is_given};
use crate::settings::{Layout, Settings};
use crate::{kinds, words};
use belay_driver::{Error, Stage};
use belay_model::error::Class;
use belay_model::id::RecordHash;
use belay_model::plan::{Effect, Verb, Wave};
use belay_model::state::{Goal, Health, Resource, State, Weight};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What an effect's `params` hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Params {
    /// Make objects be so that do not run.
    Put {
        /// By key.
        objects: BTreeMap<String, Wanted>,
    },
    /// Make a workload be so; the platform then replaces its pods.
    Roll {
        key: String,
        object: Wanted,
        /// Pods that do not get ready are deleted when they are in the way.
        replace_stuck: bool,
    },
    /// Remove objects.
    Remove {
        /// By key.
        objects: BTreeMap<String, Wanted>,
    },
}

/// What is meant of an object, and what it is called by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    pub(crate) spec: Value,
    pub(crate) named: Value,
    /// What others say is theirs is taken from them.
    #[serde(default)]
    pub(crate) force: bool,
}

impl Wanted {
    fn of(resource: &Resource) -> Self {
        let mut named = resource.facts.clone();
        if let Some(fields) = named.as_object_mut() {
            fields.retain(|it, _| {
                matches!(it.as_str(), "apiVersion" | "kind" | "name" | "namespace")
            });
        }
        Self {
            spec: resource.spec.clone(),
            named,
            force: false,
        }
    }

    /// The same; `there`: what it is made of. Going back others are overwritten, and so they are where the object was never
    /// ours: who puts it into a release wants it to be as the release says.
    fn over(resource: &Resource, there: Option<&Resource>, stage: Stage) -> Self {
        let force = stage.overwrites || there.is_some_and(is_theirs);
        Self {
            force,
            ..Self::of(resource)
        }
    }

    /// What is to be removed needs no more than its name.
    fn name_of(resource: &Resource) -> Self {
        let spec = Value::Null;
        Self {
            spec,
            ..Self::of(resource)
        }
    }

    pub(crate) fn resource(&self) -> Resource {
        let mut facts = self.named.clone();
        facts["belongs"] = Value::Bool(true);
        Resource {
            spec: self.spec.clone(),
            facts,
            health: Health::Unknown,
        }
    }
}

/// The steps of one stage.
pub(crate) fn plan(
    settings: &Settings,
    from: &State,
    want: &State,
    goal: &Goal,
    stage: Stage,
) -> Result<Vec<Effect>, Error> {
    let impossible = |why: &str| Err(Error::not_applied(Class::Application, why));
    if settings.helm.is_some() {
        return impossible("change a Helm release: they are only looked at so far");
    }
    if settings.layout == Layout::SideBySide {
        return impossible("put releases side by side: they take each other's place so far");
    }
    if stage.share < 1000 {
        return impossible("hold a share: the platform replaces all pods by itself");
    }
    let records: Vec<RecordHash> = goal.records.keys().cloned().collect();
    let mut effects = Vec::new();
    if !want.is_absent() {
        effects.extend(put(from, want, stage, &records));
        effects.extend(rolls(settings, from, want, stage, &records)?);
    }
    effects.extend(remove(from, want));
    Ok(effects)
}

/// Everything that does not run, in one step.
fn put(from: &State, want: &State, stage: Stage, records: &[RecordHash]) -> Option<Effect> {
    let differs = musts(want, from);
    let objects = want.resources.iter().filter(|(key, _)| {
        let runs = kinds::of_key(key).is_some();
        !runs && differs.contains(key)
    });
    let objects: BTreeMap<String, Wanted> = objects
        .map(|(key, it)| {
            let there = from.resources.get(key);
            (key.clone(), Wanted::over(it, there, stage))
        })
        .collect();
    if objects.is_empty() {
        return None;
    }
    let mut theirs = objects.keys().filter_map(|key| from.resources.get(key));
    let taken = theirs
        .find(|it| is_theirs(it))
        .map_or("", |_| ", some of them taken over");
    let title = format!("apply {}{taken}", words::list(objects.keys()));
    let params = Params::Put { objects };
    Some(effect(Verb::Deploy, Wave::Grow, title, &params, records))
}

/// Each workload that differs, one after the other, and those that only have more pods than they shall.
fn rolls(
    settings: &Settings,
    from: &State,
    want: &State,
    stage: Stage,
    records: &[RecordHash],
) -> Result<Vec<Effect>, Error> {
    let differs = musts(want, from);
    let mut keys: Vec<String> = settings.workloads()?.iter().map(|it| it.key()).collect();
    let is_other = |key: &&String| kinds::of_key(key).is_some() && !keys.contains(key);
    let others: Vec<String> = want.resources.keys().filter(is_other).cloned().collect();
    keys.extend(others);
    // Who comes last forward depends on those before, so goes back first.
    if stage.overwrites {
        keys.reverse();
    }
    let (mut switch, mut shrink) = (Vec::new(), Vec::new());
    for key in keys {
        let (Some(kind), Some(wanted)) = (kinds::of_key(&key), want.resources.get(&key)) else {
            continue;
        };
        if wanted.spec["spec"]["updateStrategy"]["type"] == "OnDelete" {
            let message =
                format!("roll {key}: with OnDelete the platform replaces no pod by itself");
            return Err(Error::not_applied(Class::Application, message));
        }
        let there = from.resources.get(&key);
        let is_rolling = there.is_some_and(|it| it.spec["rollout"] != kinds::COMPLETE);
        let replace_stuck = kind.keeps_stuck_pods() && is_rolling;
        let roll = Params::Roll {
            key: key.clone(),
            object: Wanted::over(wanted, there, stage),
            replace_stuck,
        };
        if differs.contains(&&key) {
            let title = words::roll(&key, wanted, there, replace_stuck);
            switch.push(effect(Verb::Deploy, Wave::Switch, title, &roll, records));
        } else if let Some(count) = there.and_then(|there| fewer(wanted, there)) {
            let title = format!("scale {key} to {count}");
            shrink.push(effect(Verb::Retire, Wave::Shrink, title, &roll, records));
        }
    }
    switch.extend(shrink);
    Ok(switch)
}

/// How many pods it shall have, where there are more and nobody else has said so.
fn fewer(want: &Resource, there: &Resource) -> Option<u64> {
    let count = |it: &Resource| it.spec["spec"]["replicas"].as_u64();
    let (want, more) = (count(want)?, count(there)?);
    (more > want && there.facts["scaled"] != true).then_some(want)
}

/// What the goal does not have, and what no pod is given any more or could be again.
fn remove(from: &State, want: &State) -> Option<Effect> {
    let is_kept = |it: &Resource| {
        let mut keepers = it.facts["kept_by"].as_array().into_iter().flatten();
        keepers.any(|it| {
            it.as_str()
                .is_some_and(|key| want.resources.contains_key(key))
        })
    };
    let objects = from.resources.iter().filter(|(key, it)| {
        let belongs = it.facts["belongs"] == true && !want.resources.contains_key(*key);
        belongs && !(is_given(key) && is_kept(it))
    });
    let objects: BTreeMap<String, Wanted> = objects
        .map(|(key, it)| (key.clone(), Wanted::name_of(it)))
        .collect();
    if objects.is_empty() {
        return None;
    }
    let title = format!("delete {}", words::list(objects.keys()));
    let params = Params::Remove { objects };
    Some(effect(Verb::Retire, Wave::Shrink, title, &params, &[]))
}

/// Resources of `want` that are not as wanted.
fn musts<'a>(want: &'a State, from: &State) -> Vec<&'a String> {
    let difference = compare::diff(want, from);
    let differs = |key: &&String| {
        let mut entries = difference.0.iter();
        entries.any(|it| it.weight == Weight::Must && it.key == **key)
    };
    want.resources.keys().filter(differs).collect()
}

/// Whether it was there before anything of Belay was.
pub(crate) fn is_theirs(there: &Resource) -> bool {
    there.facts["never_ours"] == true
}

fn effect(
    verb: Verb,
    wave: Wave,
    title: String,
    params: &Params,
    records: &[RecordHash],
) -> Effect {
    Effect {
        verb,
        wave,
        title,
        params: serde_json::to_value(params).expect("parameters are plain data"),
        records: records.to_vec(),
        idempotent: true,
        residue: None,
    }
}

impl Params {
    pub(crate) fn of(effect: &Effect) -> Result<Self, Error> {
        Self::deserialize(&effect.params).map_err(|error| {
            let message = format!("read the step's parameters: {error}");
            Error::not_applied(Class::Unknown, message)
        })
    }

    /// What the step is about, by key.
    pub(crate) fn objects(&self) -> Vec<(&String, &Wanted)> {
        match self {
            Params::Put { objects } | Params::Remove { objects } => objects.iter().collect(),
            Params::Roll { key, object, .. } => vec![(key, object)],
        }
    }
}

/// What is there after a step.
pub(crate) fn after(from: &State, params: &Params) -> State {
    let mut state = from.clone();
    match params {
        Params::Put { .. } | Params::Roll { .. } => {
            let objects = params.objects().into_iter();
            let made = objects.map(|(key, it)| {
                let mut resource = it.resource();
                let there = from.resources.get(key);
                // Whoever needed it needs it still.
                if let Some(keepers) = there.map(|it| it.facts["kept_by"].clone()) {
                    resource.facts["kept_by"] = keepers;
                }
                (key.clone(), resource)
            });
            state.resources.extend(made.collect::<Vec<_>>());
        }
        Params::Remove { objects } => {
            state.resources.retain(|key, _| !objects.contains_key(key));
            let runs = |key: &String| kinds::of_key(key).is_some();
            // What was only there because something ran here is not looked at when nothing does.
            if !state.resources.keys().any(runs) {
                state.resources.retain(|_, it| it.facts["belongs"] == true);
            }
        }
    }
    state
}
