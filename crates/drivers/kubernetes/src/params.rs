//! What steps are, as plans keep them, and what comes of each. Pure.

use crate::compare::is_given;
use crate::router::SERVICES;
use crate::traffic::{SENDS, senders};
use crate::{kinds, object, workload};
use belay_driver::{Error, Stage};
use belay_model::error::Class;
use belay_model::id::RecordHash;
use belay_model::plan::{Effect, Verb, Wave};
use belay_model::state::{Health, Resource, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

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
    /// Make a workload have that many pods, and nothing else.
    Scale {
        key: String,
        object: Wanted,
        replicas: u32,
    },
    /// Make what sends traffic be so, once there are enough pods for it, and see that it does.
    Switch {
        key: String,
        object: Wanted,
        /// Pods that are ready before anything moves.
        needs: Vec<Need>,
    },
    /// Remove objects.
    Remove {
        /// By key.
        objects: BTreeMap<String, Wanted>,
        /// Others serve on: what has traffic still is not removed.
        #[serde(default)]
        serves_on: bool,
    },
}

/// How many pods of a workload a switch needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Need {
    /// Of the workload.
    pub(crate) key: String,
    /// Labels that its pods have.
    pub(crate) labels: BTreeMap<String, String>,
    /// How many of them are ready.
    pub(crate) pods: u32,
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
    pub(crate) fn of(resource: &Resource) -> Self {
        let mut named = resource.facts.clone();
        if let Some(fields) = named.as_object_mut() {
            fields.retain(|it, _| {
                matches!(
                    it.as_str(),
                    "apiVersion"
                        | "kind"
                        | "name"
                        | "namespace"
                        | SENDS
                        | SERVICES
                        | object::ONLY
                        | object::DIARIES
                )
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
    pub(crate) fn over(resource: &Resource, there: Option<&Resource>, stage: Stage) -> Self {
        let force = stage.overwrites || there.is_some_and(is_theirs);
        Self {
            force,
            ..Self::of(resource)
        }
    }

    /// What is to be removed needs no more than its name.
    pub(crate) fn name_of(resource: &Resource) -> Self {
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

    /// What there is of it when it is as wanted.
    fn over_there(&self, there: Option<&Resource>) -> Resource {
        let mut resource = self.resource();
        let Some(there) = there else {
            return resource;
        };
        if self.named[object::ONLY].is_string() {
            resource.spec = there.spec.clone();
            object::move_only(&mut resource.spec, &self.spec, &self.named);
        }
        // Whoever needed it needs it still, and whose it is it stays.
        for name in ["kept_by", "belongs", SENDS] {
            if !there.facts[name].is_null() {
                resource.facts[name] = there.facts[name].clone();
            }
        }
        resource
    }
}

/// Whether it was there before anything of Belay was.
pub(crate) fn is_theirs(there: &Resource) -> bool {
    there.facts["never_ours"] == true
}

pub(crate) fn effect(
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
            Params::Put { objects } | Params::Remove { objects, .. } => objects.iter().collect(),
            Params::Roll { key, object, .. }
            | Params::Scale { key, object, .. }
            | Params::Switch { key, object, .. } => vec![(key, object)],
        }
    }
}

/// What is there after a step.
pub(crate) fn after(from: &State, params: &Params) -> State {
    let mut state = from.clone();
    match params {
        Params::Put { .. } | Params::Roll { .. } | Params::Switch { .. } => {
            let objects = params.objects().into_iter();
            let made =
                objects.map(|(key, it)| (key.clone(), it.over_there(from.resources.get(key))));
            state.resources.extend(made.collect::<Vec<_>>());
            forget_given(&mut state);
        }
        Params::Scale { key, replicas, .. } => {
            if let Some(it) = state.resources.get_mut(key) {
                it.spec["spec"]["replicas"] = json!(replicas);
                it.spec["rollout"] = json!(kinds::COMPLETE);
                it.health = Health::Unknown;
                if let Some(facts) = it.facts.as_object_mut() {
                    facts.remove("ready");
                }
            }
        }
        Params::Remove { objects, .. } => {
            state.resources.retain(|key, _| !objects.contains_key(key));
            let runs = |key: &String| kinds::of_key(key).is_some();
            // What was only there because something ran here is not looked at when nothing does.
            if !state.resources.keys().any(runs) {
                let senders: Vec<String> = senders(&state).map(|(key, _)| key.clone()).collect();
                state
                    .resources
                    .retain(|key, it| it.facts["belongs"] == true || senders.contains(key));
            }
        }
    }
    state
}

/// What nobody made for the target is looked at while pods of it are given it, and not any more when they are not.
fn forget_given(state: &mut State) {
    let workloads = state.resources.iter();
    let workloads = workloads.filter(|(key, _)| kinds::of_key(key).is_some());
    let given: BTreeSet<String> = workloads
        .flat_map(|(_, it)| workload::references(&it.spec["spec"]["template"]))
        .map(|(kind, name)| format!("{}/{name}", kind.to_lowercase()))
        .collect();
    state
        .resources
        .retain(|key, it| !is_given(key) || it.facts["belongs"] == true || given.contains(key));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pods_are_not_given_any_more_is_not_looked_at() {
        let with = |map: &str| Resource {
            spec: json!({ "spec": { "template": { "spec": { "volumes": [{ "configMap": { "name": map } }] } } } }),
            facts: json!({ "belongs": true }),
            health: Health::Unknown,
        };
        let map = |belongs: bool| Resource {
            facts: json!({ "belongs": belongs }),
            ..Resource::default()
        };
        let key = "deployment.apps/api";
        let mut from = State::default();
        let there = [
            (key, with("old")),
            ("configmap/old", map(false)),
            ("configmap/ours", map(true)),
        ];
        from.resources
            .extend(there.map(|(key, it)| (key.to_owned(), it)));
        let roll = Params::Roll {
            key: key.to_owned(),
            object: Wanted::of(&with("new")),
            replace_stuck: false,
        };
        let keys: Vec<String> = after(&from, &roll).resources.into_keys().collect();
        assert_eq!(keys, ["configmap/ours", key]);
    }
}
