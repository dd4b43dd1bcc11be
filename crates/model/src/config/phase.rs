//! Phases: what is done in which order, and how each goes back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Duration, OnFailure, Percent, Step, Strategy};

/// One phase. Phases follow each other; on the way back in reverse.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// Its name, as for a service; each phase has another.
    #[schemars(regex(pattern = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"))]
    pub name: String,
    /// Where the release goes, in this order, as many side by side as `parallel` says. Default: every target; with `steps`
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<Vec<String>>,
    /// How it replaces the one before there. Default: the environment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// How far it goes: the release's share of the traffic there. The last phase on a target goes all the way. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Percent>,
    /// The steps of a phase without targets, such as one that provisions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// Steps before the release goes there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<Step>,
    /// Steps afterwards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<Step>,
    /// Steps of its own on the way back.
    #[serde(default, skip_serializing_if = "PhaseRollback::is_empty")]
    pub rollback: PhaseRollback,
    /// What is done when one of its steps fails and no rule of the step's own or its group's fits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_failure: Vec<OnFailure>,
}

/// Steps of a phase on the way back: `run`, `wait` and `verify`. Nobody is asked there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PhaseRollback {
    /// Before anything of the phase is taken back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<Step>,
    /// When all of it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<Step>,
}

impl PhaseRollback {
    /// No steps.
    pub fn is_empty(&self) -> bool {
        self.before.is_empty() && self.after.is_empty()
    }
}

/// How a deployment goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BackOrder {
    /// Phases with targets. Default: `in_turn`.
    pub phases: BackPhases,
    /// Phases without targets that come before all others, and so provision. Default: `last`.
    pub provisioning: Provisioning,
    /// In which order those go back. Default: `reverse`.
    pub provisioning_order: ProvisioningOrder,
    /// How much of its capacity has to be ready before users are moved to it. Default: `full`.
    #[serde(skip_serializing_if = "BackCapacity::is_full")]
    pub capacity: BackCapacity,
    /// With `capacity: ask`: how long a person may take; then it goes on with what is ready. Default: as long as they like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ask_within: Option<Duration>,
    /// What someone else has changed in between and the way back would overwrite. It is captured and reported. Default: `overwrite`.
    #[serde(skip_serializing_if = "ForeignChange::is_overwritten")]
    pub foreign_change: ForeignChange,
}

/// What becomes of a change that someone else made, when it is in the way back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ForeignChange {
    /// It is overwritten.
    #[default]
    Overwrite,
    /// A person decides before anything moves (`belay retry` overwrites it).
    Ask,
}

impl ForeignChange {
    /// Whether it is the default.
    pub fn is_overwritten(&self) -> bool {
        *self == Self::Overwrite
    }
}

/// How much of its capacity a way back needs before users are moved to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BackCapacity {
    /// All of it.
    #[default]
    Full,
    /// As much as the share of the users that is moved: in up to four steps, each as soon as its instances are ready.
    Proportional,
    /// All of it; where that cannot be had, a person decides whether what is ready will do (`belay advance`, `retry`).
    Ask,
}

impl BackCapacity {
    /// Whether it is the default.
    pub fn is_full(&self) -> bool {
        *self == Self::Full
    }
}

impl BackOrder {
    /// Whether it is the default.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How phases with targets go back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BackPhases {
    /// One after the other, the last one first.
    #[default]
    InTurn,
    /// All of them side by side.
    AtOnce,
}

/// When phases that provision go back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Provisioning {
    /// After all others.
    #[default]
    Last,
    /// Before all others.
    First,
}

/// In which order phases that provision go back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProvisioningOrder {
    /// The last one first.
    #[default]
    Reverse,
    /// The first one first.
    Same,
}
