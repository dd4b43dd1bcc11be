//! Holding others before anything else is done, and letting them go after it. Pure.

use super::{Held, OWNER, Owner, Tool, all, at, only, title};
use crate::params::Wanted;
use crate::settings::{Gitops, Settings};
use belay_driver::Stage;
use belay_model::plan::{Effect, Verb, Wave};
use belay_model::state::{Resource, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What the effects here are, as plans keep them: under `gitops`, beside what other steps are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Step {
    /// One after the other.
    Hold { owners: Vec<Meant> },
    /// Each, if nothing speaks against it.
    Lift { owners: Vec<Meant>, when: When },
}

/// When a hold is lifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum When {
    /// Its source has come to say what went out.
    SaysWhatRuns,
    /// Its source still says what was there before.
    SaysWhatWas,
}

/// An owner in a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Meant {
    pub(crate) key: String,
    pub(crate) tool: Tool,
    pub(crate) title: String,
    /// What it is called by, as an object has it.
    pub(crate) named: Value,
    /// What of the target is its, called by the same.
    pub(crate) of: Vec<Value>,
    /// Those of this step that would set a hold of it back, by key.
    pub(crate) parents: Vec<String>,
    /// What the field is when nobody holds it; null: absent.
    pub(crate) was: Value,
}

impl Meant {
    fn of(key: &str, resource: &Resource, owner: &Owner, state: &State) -> Self {
        let path = owner.tool.hold().map_or(&[][..], |(path, _)| path);
        let of = owner.of.iter().filter_map(|key| state.resources.get(key));
        Self {
            key: key.to_owned(),
            tool: owner.tool,
            title: title(resource),
            named: called(resource),
            of: of.map(called).collect(),
            parents: owner.parents.clone(),
            was: at(&resource.spec, path).clone(),
        }
    }

    /// The fields that a hold changes.
    pub(crate) fn held(&self) -> Value {
        let hold = self.tool.hold();
        hold.map_or(json!({}), |(path, value)| only(path, value))
    }

    /// The same as they were.
    pub(crate) fn free(&self, was: &Value) -> Value {
        let hold = self.tool.hold();
        hold.map_or(json!({}), |(path, _)| only(path, was.clone()))
    }
}

fn called(resource: &Resource) -> Value {
    let facts = &resource.facts;
    json!({
        "apiVersion": facts["apiVersion"], "kind": facts["kind"],
        "metadata": { "name": facts["name"], "namespace": facts["namespace"] },
    })
}

impl Step {
    /// What an effect is, if it is one of these.
    pub(crate) fn of(effect: &Effect) -> Option<Self> {
        Self::deserialize(&effect.params["gitops"]).ok()
    }

    pub(crate) fn owners(&self) -> &[Meant] {
        match self {
            Self::Hold { owners } | Self::Lift { owners, .. } => owners,
        }
    }

    fn effect(self, verb: Verb, wave: Wave, title: String) -> Effect {
        Effect {
            verb,
            wave,
            title,
            params: json!({ "gitops": self }),
            records: Vec::new(),
            idempotent: true,
            residue: None,
        }
    }
}

/// The steps of a stage with what goes before and after them. Where nothing is done nobody is held; but who goes back to what was there
/// lets go what was free then.
pub(crate) fn around(
    settings: &Settings,
    from: &State,
    want: &State,
    effects: Vec<Effect>,
    stage: Stage,
) -> Vec<Effect> {
    let there = all(from);
    let mut held = Vec::new();
    if settings.gitops == Some(Gitops::Hold) && !effects.is_empty() {
        let direct = there.iter().filter(|(_, it)| !it.of.is_empty());
        for (key, _) in direct {
            hold_from(key, &there, &mut held);
        }
    }
    let is_held =
        |key: &String| held.contains(key) || there.get(key).is_some_and(Owner::is_held_for_us);
    // Those first that others would set back.
    let lifted = |is_meant: &dyn Fn(&String) -> bool| -> Vec<String> {
        let mut keys: Vec<String> = there.keys().map(|key| (*key).clone()).collect();
        keys.retain(|key| is_held(key) && is_meant(key));
        keys.sort_by_key(|key| there.get(key).is_some_and(|it| it.of.is_empty()));
        keys
    };
    let was_free = |key: &String| {
        let then = want.resources.get(key).and_then(Owner::of);
        then.is_some_and(|it| it.held.is_none())
    };
    let (when, lifted) = match stage.overwrites {
        true => (When::SaysWhatWas, lifted(&was_free)),
        false if stage.share >= 1000 && !effects.is_empty() => {
            (When::SaysWhatRuns, lifted(&|_| true))
        }
        false => (When::SaysWhatRuns, Vec::new()),
    };
    let meant = |keys: &[String]| -> Vec<Meant> {
        let known = keys.iter().filter_map(|key| {
            let resource = from.resources.get(key)?;
            Some(Meant::of(key, resource, there.get(key)?, from))
        });
        known.collect()
    };
    let names = |owners: &[Meant]| {
        let names: Vec<&str> = owners.iter().map(|it| it.title.as_str()).collect();
        names.join(", then ")
    };
    let mut all = Vec::new();
    if !held.is_empty() {
        let owners = meant(&held);
        let title = format!("hold {}", names(&owners));
        all.push(Step::Hold { owners }.effect(Verb::Stage, Wave::Grow, title));
    }
    all.extend(effects);
    if !lifted.is_empty() {
        let owners = meant(&lifted);
        let if_so = match when {
            When::SaysWhatRuns => "if its source says what runs then",
            When::SaysWhatWas => "if its source still says what was there",
        };
        let title = format!("let go {}, {if_so}", names(&owners));
        all.push(Step::Lift { owners, when }.effect(Verb::Retire, Wave::Shrink, title));
    }
    all
}

/// Who has to be held so that a hold of that one stays, and it: those first that would set others back.
fn hold_from(key: &String, there: &BTreeMap<&String, Owner>, held: &mut Vec<String>) {
    let Some(owner) = there.get(key) else {
        return;
    };
    // Held for another target of ours only, it may be let go while we need it.
    let is_needed = owner.is_free() || owner.held.as_ref().is_some_and(|it| !it.for_us);
    if !is_needed || owner.unholdable.is_some() || held.contains(key) {
        return;
    }
    // In its place before it is known to be in nobody's way: a ring ends here.
    held.push(key.clone());
    let own = held.len() - 1;
    let mut before = Vec::new();
    for parent in &owner.parents {
        let mut chain = held.clone();
        hold_from(parent, there, &mut chain);
        before.extend(chain.into_iter().filter(|it| !held.contains(it)));
    }
    before.dedup();
    held.splice(own..own, before);
}

/// What is there after a step.
pub(crate) fn after(from: &State, step: &Step) -> State {
    let mut state = from.clone();
    for meant in step.owners() {
        let Some(resource) = state.resources.get_mut(&meant.key) else {
            continue;
        };
        let Some(mut owner) = Owner::of(resource) else {
            continue;
        };
        owner.held = match step {
            Step::Hold { .. } => Some(Held {
                for_us: true,
                deployment: String::new(),
            }),
            Step::Lift { .. } => None,
        };
        resource.facts[OWNER] = json!(owner);
    }
    state
}

/// Who cannot be held although a change would be set back by it, or a hold of that one, and what to do instead.
pub(super) fn in_the_way<'a>(
    key: &String,
    there: &'a BTreeMap<&String, Owner>,
    seen: &mut Vec<String>,
) -> Option<(String, &'a str)> {
    let owner = there.get(key).filter(|it| it.is_free())?;
    if let Some(next) = &owner.unholdable {
        return Some((key.clone(), next));
    }
    // Whoever applies each other applies the one that was looked at.
    if seen.contains(key) {
        return None;
    }
    seen.push(key.clone());
    let mut parents = owner.parents.iter();
    parents.find_map(|parent| in_the_way(parent, there, seen))
}

/// What an effect is about, as fences need it.
pub(crate) fn wanted(meant: &Meant) -> Wanted {
    Wanted {
        spec: Value::Null,
        named: json!({
            "apiVersion": meant.named["apiVersion"], "kind": meant.named["kind"],
            "name": meant.named["metadata"]["name"], "namespace": meant.named["metadata"]["namespace"],
        }),
        force: false,
    }
}
