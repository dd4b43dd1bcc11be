//! Who else decides what an object of a target is: what applies what a repository says (Argo CD, Flux), and what moves pods by itself
//! (Argo Rollouts, Flagger). In a state each is a resource of its own, which is never compared: what it would do, and
//! whether it is held, is a fact. Who goes there and how is docs/adr/0028.

mod acts;
mod claims;
mod find;
mod perform;
mod plan;
mod say;

use belay_model::state::{Resource, State};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

pub(crate) use claims::{CLAIMS, claims};
pub(crate) use find::Search;
pub(crate) use perform::holder;
pub(crate) use plan::{Meant, Step, after, around};
pub(crate) use say::remarks;

/// The fact that makes a resource an owner.
const OWNER: &str = "owner";

/// Where a hold is noted on what is held: a [`Note`].
const HELD: &str = "belay.dev/held";

/// What it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Tool {
    /// Of Argo CD.
    Application,
    /// Of Flux.
    Kustomization,
    /// Of Flux.
    HelmRelease,
    /// Of Argo Rollouts.
    Rollout,
    /// Of Flagger.
    Canary,
    /// Whatever controls an object by its owner references.
    Controller,
}

/// What it does about a change that is not its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Acts {
    /// Sets it back.
    AtOnce,
    /// Sets it back when something happens: what.
    Later(String),
    /// Nothing: why.
    Never(String),
    /// It may not be looked at.
    Unseen,
}

/// One of them, as a fact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Owner {
    pub(crate) tool: Tool,
    /// When nobody holds it.
    pub(crate) acts: Acts,
    /// Absent: it is not held.
    pub(crate) held: Option<Held>,
    /// What to do instead, where it cannot be held.
    pub(crate) unholdable: Option<String>,
    /// Which objects of the target are its, by key.
    pub(crate) of: Vec<String>,
    /// Those that would set a hold of it back, by key.
    pub(crate) parents: Vec<String>,
}

/// That it is held by Belay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Held {
    /// For this target, too.
    pub(crate) for_us: bool,
    /// The deployment that did.
    pub(crate) deployment: String,
}

/// What is noted on what is held.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Note {
    /// What the field was, that is another now; null: absent.
    was: Value,
    /// Who needs it held: targets of stores, and the deployment that said so first.
    by: BTreeMap<String, String>,
    /// What it is asked for with the hold, as the platform counts.
    generation: i64,
}

impl Tool {
    /// The field that a hold changes, and what it is then; none: there is no such field.
    fn hold(self) -> Option<(&'static [&'static str], Value)> {
        match self {
            Self::Application => Some((&["spec", "syncPolicy", "automated"], Value::Null)),
            Self::Kustomization | Self::HelmRelease => {
                Some((&["spec", "suspend"], Value::Bool(true)))
            }
            Self::Rollout | Self::Canary | Self::Controller => None,
        }
    }

    fn api(self) -> (&'static str, &'static str) {
        match self {
            Self::Application => ("argoproj.io/v1alpha1", "Application"),
            Self::Kustomization => ("kustomize.toolkit.fluxcd.io/v1", "Kustomization"),
            Self::HelmRelease => ("helm.toolkit.fluxcd.io/v2", "HelmRelease"),
            Self::Rollout => ("argoproj.io/v1alpha1", "Rollout"),
            Self::Canary => ("flagger.app/v1beta1", "Canary"),
            Self::Controller => ("", ""),
        }
    }
}

/// What stands at a path.
fn at<'a>(object: &'a Value, path: &[&str]) -> &'a Value {
    path.iter().fold(object, |it, name| &it[*name])
}

/// An object with that alone.
fn only(path: &[&str], value: Value) -> Value {
    let nested = |inner, name: &&str| serde_json::json!({ *name: inner });
    path.iter().rev().fold(value, nested)
}

impl Owner {
    pub(crate) fn of(resource: &Resource) -> Option<Self> {
        Self::deserialize(&resource.facts[OWNER]).ok()
    }

    /// Whether it would set a change back, now or later.
    fn is_free(&self) -> bool {
        self.held.is_none() && !matches!(self.acts, Acts::Never(_))
    }

    fn is_held_for_us(&self) -> bool {
        self.held.as_ref().is_some_and(|it| it.for_us)
    }
}

/// Whether a resource stands for one.
pub(crate) fn is_one(resource: &Resource) -> bool {
    resource.facts[OWNER].is_object()
}

/// All of a state.
fn all(state: &State) -> BTreeMap<&String, Owner> {
    let resources = state.resources.iter();
    let owners = resources.filter_map(|(key, it)| Some((key, Owner::of(it)?)));
    owners.collect()
}

/// How people call it: `the Argo CD application argocd/shop`.
fn title(resource: &Resource) -> String {
    let text = |name: &str| resource.facts[name].as_str().unwrap_or_default();
    let name = match text("namespace") {
        "" => text("name").to_owned(),
        namespace => format!("{namespace}/{}", text("name")),
    };
    let tool = Owner::of(resource).map(|it| it.tool);
    match tool {
        Some(Tool::Application) => format!("the Argo CD application {name}"),
        Some(Tool::Kustomization) => format!("the Flux kustomization {name}"),
        Some(Tool::HelmRelease) => format!("the Flux Helm release {name}"),
        Some(Tool::Rollout) => format!("the Argo Rollout {name}"),
        Some(Tool::Canary) => format!("the Flagger canary {name}"),
        Some(Tool::Controller) | None => format!("the {} {name}", text("kind")),
    }
}
