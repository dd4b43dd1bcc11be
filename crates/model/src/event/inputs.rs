//! What a deployment starts from.

use crate::back::Back;
use crate::config::{BackOrder, Check, FirstFailure, Inconclusive, Strategy};
use crate::id::{DeploymentId, Scope};
use crate::plan::{Approval, Step};
use crate::policy::Rule;
use crate::promotion::Promotion;
use crate::release::Record;
use crate::state::Goal;
use crate::takeover::Hotfix;
use serde::{Deserialize, Serialize};

/// Whether a deployment puts a release out or goes back to one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Kind {
    /// A release goes out.
    Deploy,
    /// Back to a record that was good (*return*).
    Return {
        /// The deployment whose result is left.
        leaves: Option<DeploymentId>,
    },
    /// Back to the baseline of a deployment (*undo*), also of a rollback.
    Undo {
        /// Whose baseline.
        of: DeploymentId,
    },
}

/// Everything a deployment starts from, frozen (I7).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// What it is.
    pub kind: Kind,
    /// Where.
    pub scope: Scope,
    /// The record to run. Absent only where an undo leads to nothing.
    pub record: Option<Record>,
    /// The goal of an undo: the baseline as it was. Absent: the record alone decides.
    pub goal: Option<Goal>,
    /// How slowly.
    pub strategy: Strategy,
    /// How many targets are served side by side, at least 1.
    #[serde(default = "one_target")]
    pub parallel: u16,
    /// Phases that someone wrote, in order; empty: one for each target.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<PhaseInput>,
    /// In which order they go back, and with how much capacity.
    #[serde(default, skip_serializing_if = "BackOrder::is_default")]
    pub back_order: BackOrder,
    /// Who has to say yes before all of the traffic goes to the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approve: Option<Approval>,
    /// What is done when a step fails and no rule of its own fits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_failure: Vec<Rule>,
    /// What verification runs.
    pub checks: Vec<Check>,
    /// How long verification goes on after promotion, milliseconds.
    pub bake_ms: u64,
    /// How long the old side stays ready after promotion, milliseconds.
    pub warm_ms: u64,
    /// How many good records of the environment are kept to go back to.
    #[serde(default = "good_before_format_2")]
    pub keep_good: u32,
    /// What inconclusive means.
    pub inconclusive: Inconclusive,
    /// What becomes of a first deployment that fails.
    pub on_first_failure: FirstFailure,
    /// It waits for nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hotfix: Option<Hotfix>,
    /// It goes out because it is good in another environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotion: Option<Promotion>,
    /// Who asked.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
    /// Of a rollback: what made someone ask for it, and what they take upon them. `record` and `goal` say where to.
    #[serde(default, skip_serializing_if = "Back::is_plain")]
    pub back: Back,
}

/// A phase as someone wrote it, or the part of one on one target: parts of one phase follow each other and have one name.
/// Those with a target may go side by side; one without waits for those before it, and those behind it wait for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhaseInput {
    /// Its name.
    pub name: String,
    /// Its target; absent: it only has steps of its own, such as those that provision.
    pub target: Option<String>,
    /// How slowly; absent: as the deployment.
    pub strategy: Option<Strategy>,
    /// How far it goes, per mille of the traffic; absent: all of it.
    pub share: Option<u32>,
    /// What is done before the release goes there.
    pub before: Vec<Step>,
    /// What is done afterwards.
    pub after: Vec<Step>,
    /// What is done before it is taken back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub back_before: Vec<Step>,
    /// What is done when it is taken back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub back_after: Vec<Step>,
    /// What is done when one of its steps fails and no rule of the step's own fits.
    pub on_failure: Vec<Rule>,
}

impl PhaseInput {
    /// A phase with nothing of its own: all of the release goes to its target, as the deployment says.
    pub fn of(name: &str, target: Option<&str>) -> Self {
        Self {
            name: name.to_owned(),
            target: target.map(str::to_owned),
            strategy: None,
            share: None,
            before: Vec::new(),
            after: Vec::new(),
            back_before: Vec::new(),
            back_after: Vec::new(),
            on_failure: Vec::new(),
        }
    }
}

/// There was one before format 3.
fn one_target() -> u16 {
    1
}

/// What was kept before a deployment said so.
fn good_before_format_2() -> u32 {
    5
}
