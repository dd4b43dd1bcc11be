//! What is done when a step fails: `on_failure` of a step, a group, a phase and an environment.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Duration;
use crate::error::Class;

/// One rule. The inner ones go before the outer ones, and the first that fits decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OnFailure {
    /// Which kinds of failure it is about. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class: Vec<FailureClass>,
    /// What is done.
    #[serde(rename = "do")]
    pub action: FailureAction,
}

/// A kind of failure. What someone else changed is none: it always waits for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The release itself, or a command that failed.
    Application,
    /// Something could not be reached, or the call was cut off.
    Connectivity,
    /// We are nobody there.
    Authentication,
    /// We may not do it.
    Authorisation,
    /// A verification failed or could not decide.
    Verification,
    /// It took too long; nobody said yes in time.
    Timeout,
    /// No room: quota, disk, ports, throttling.
    Quota,
    /// Anything else.
    Unknown,
}

/// What is done about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FailureAction {
    /// The step is tried again. Once all tries have failed the next rule that fits decides.
    Retry(Retry),
    /// Go on; the step is shown as failed.
    Ignore,
    /// Go on; the step is shown as passed.
    Pass,
    /// Ask a person (`belay retry`, `skip`, `rollback`, `abandon`).
    Ask(AskPerson),
    /// Take back what this phase did, and end the deployment; earlier phases stay.
    RollBackPhase,
    /// Take everything back.
    RollBack,
    /// End the deployment, and leave what was done as it is.
    Stop,
}

/// How often a step is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Tries after the first, at least 1.
    #[schemars(range(min = 1))]
    pub times: u32,
    /// Pause before the first of them. Default: `1s`.
    #[serde(default = "second")]
    pub pause: Duration,
    /// How many times as long each pause is as the one before; `1`: all are the same. Default: `2`.
    #[serde(default = "doubling")]
    #[schemars(range(min = 1, max = 10))]
    pub factor: u32,
    /// No pause is longer, unless the platform asks for that. Default: `1m`, or `pause` where that is longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest: Option<Duration>,
}

/// How long a person is asked, and what comes after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AskPerson {
    /// How long they may take. Default: as long as they like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Duration>,
    /// With `within`: what is done when nobody has answered by then. Default: `roll_back`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<Unanswered>,
}

/// What is done when nobody answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unanswered {
    /// Go on; the step is shown as failed.
    Ignore,
    /// Go on; the step is shown as passed.
    Pass,
    /// Take back what this phase did, and end the deployment.
    RollBackPhase,
    /// Take everything back.
    #[default]
    RollBack,
    /// End the deployment, and leave what was done as it is.
    Stop,
}

fn second() -> Duration {
    Duration::from_secs(1)
}

fn doubling() -> u32 {
    2
}

impl Retry {
    /// No pause is longer.
    pub fn longest(&self) -> Duration {
        let minute = Duration::from_secs(60);
        self.longest.unwrap_or(minute.max(self.pause))
    }
}

impl FailureClass {
    /// As the engine calls it.
    pub fn class(self) -> Class {
        match self {
            Self::Application => Class::Application,
            Self::Connectivity => Class::Connectivity,
            Self::Authentication => Class::Authentication,
            Self::Authorisation => Class::Authorisation,
            Self::Verification => Class::Verification,
            Self::Timeout => Class::Timeout,
            Self::Quota => Class::Quota,
            Self::Unknown => Class::Unknown,
        }
    }
}
