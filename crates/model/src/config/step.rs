//! One step that someone wrote. As a check it is one flat struct, because a mapping with sibling keys is what people expect;
//! [`Step::kind`] is what the code works with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Approve, Call, Check, Duration, OnFailure};
use crate::plan::OnUnknown;

/// One step: exactly one of `run`, `wait`, `approve`, `verify`, `group`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What people see. Default: made from the step, such as `run ./migrate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A command line, or a mapping with `url` for a request. A command runs in the artifact's directory and is done with exit
    /// code 0; a request is done with a status from 200 to 299. Refine with `rollback`, `on_unknown`, `timeout`, `residue`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Call>,
    /// With `run`: what takes it back. It is run when the step was begun, whatever became of it, and has to bear being run
    /// twice. Default: nothing has to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Call>,
    /// With `run`: what is done when nobody knows whether it was run to its end. Default: `ask`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_unknown: Option<OnUnknown>,
    /// With `run`: how long it may take, and its `rollback`. Default: `10m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// With `run`: it cannot be taken back, or not wholly; this is what stays behind. It is shown in every plan, and named
    /// when the deployment went back. Default: nothing stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residue: Option<String>,
    /// Time passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Duration>,
    /// People say yes or no (`belay approve`, `belay reject`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approve: Option<Approve>,
    /// Checks of the release as its users reach it, after the ones under `verify` of the service and the environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<Vec<Check>>,
    /// With `verify`: how long it is watched. Default: until every check has one answer.
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Duration>,
    /// Steps with rules of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// What is done when it fails, before the rules of its group, its phase and its environment. Default: it goes back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_failure: Vec<OnFailure>,
}

/// Steps with rules of their own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// In order.
    #[schemars(length(min = 1))]
    pub steps: Vec<Step>,
    /// What is done when one of them fails and no rule of its own fits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_failure: Vec<OnFailure>,
}

/// [`Step`] with its rules applied.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StepKind<'a> {
    /// Something of the user's own.
    Run(&'a Call),
    /// Time passes.
    Wait(Duration),
    /// People say yes or no.
    Approve(&'a Approve),
    /// Checks.
    Verify(&'a [Check]),
    /// Several.
    Group(&'a Group),
}

/// Why a [`Step`] says nothing, or too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// None, or several.
    #[error("a step needs exactly one of `run`, `wait`, `approve`, `verify`, `group`")]
    NotOne,
    /// A key of another kind of step: which, and whose.
    #[error("`{0}` belongs to a `{1}` step")]
    Needs(&'static str, &'static str),
}

impl Step {
    /// How long something that is run may take unless the step says otherwise.
    pub const TIMEOUT: Duration = Duration::from_mins(10);

    /// What the step is, or why it is none.
    pub fn kind(&self) -> Result<StepKind<'_>, StepError> {
        let kinds = [
            self.run.as_ref().map(StepKind::Run),
            self.wait.map(StepKind::Wait),
            self.approve.as_ref().map(StepKind::Approve),
            self.verify.as_deref().map(StepKind::Verify),
            self.group.as_ref().map(StepKind::Group),
        ];
        let mut kinds = kinds.into_iter().flatten();
        let (Some(kind), None) = (kinds.next(), kinds.next()) else {
            return Err(StepError::NotOne);
        };
        let only_run = [
            ("rollback", self.rollback.is_some()),
            ("on_unknown", self.on_unknown.is_some()),
            ("timeout", self.timeout.is_some()),
            ("residue", self.residue.is_some()),
        ];
        let of_run = only_run.into_iter().find(|(_, present)| *present);
        match (of_run, kind) {
            (Some((key, _)), kind) if !matches!(kind, StepKind::Run(_)) => {
                Err(StepError::Needs(key, "run"))
            }
            (_, kind) if self.hold.is_some() && !matches!(kind, StepKind::Verify(_)) => {
                Err(StepError::Needs("for", "verify"))
            }
            (_, kind) => Ok(kind),
        }
    }

    /// `timeout` with its default resolved.
    pub fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(Self::TIMEOUT)
    }
}
