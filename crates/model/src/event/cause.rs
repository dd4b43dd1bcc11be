//! Why a deployment goes back.

use crate::back::Back;
use crate::error::{Class, Failure};
use crate::id::{RecordHash, StepId};
use crate::verdict::{Outcome, Verdict};
use serde::{Deserialize, Serialize};

/// Why a rollback began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Cause {
    /// A verification said fail or, by policy, inconclusive.
    Verification(Verdict),
    /// A step failed.
    Step {
        /// Which.
        step: StepId,
        /// How.
        failure: Failure,
    },
    /// By policy only the phase that failed is taken back.
    Phase {
        /// Which phase of the forward plan.
        phase: u16,
        /// Why.
        cause: Box<Cause>,
    },
    /// Someone asked.
    Request {
        /// Who.
        actor: String,
        /// Why.
        reason: Option<String>,
        /// Where to, and what made them.
        #[serde(default, skip_serializing_if = "Back::is_plain")]
        back: Back,
    },
}

impl Cause {
    /// Whether it says something against the release itself, so that its content is quarantined.
    pub fn blames_release(&self) -> bool {
        match self {
            // Not knowing is no fault of the release: it is taken back, and may be tried again.
            Cause::Verification(verdict) => verdict.outcome == Outcome::Fail,
            Cause::Request { .. } => true,
            Cause::Phase { cause, .. } => cause.blames_release(),
            Cause::Step { failure, .. } => {
                matches!(failure.class, Class::Application | Class::Verification)
            }
        }
    }

    /// Whether nobody could say if the release is good.
    pub fn is_inconclusive(&self) -> bool {
        match self {
            Cause::Verification(verdict) => verdict.outcome == Outcome::Inconclusive,
            Cause::Phase { cause, .. } => cause.is_inconclusive(),
            Cause::Step { .. } | Cause::Request { .. } => false,
        }
    }

    /// Whether nobody asked for it.
    pub fn is_automatic(&self) -> bool {
        match self {
            Cause::Verification(_) | Cause::Step { .. } => true,
            Cause::Phase { cause, .. } => cause.is_automatic(),
            Cause::Request { .. } => false,
        }
    }

    /// One sentence.
    pub fn sentence(&self) -> String {
        match self {
            Cause::Verification(verdict) => verdict.sentence.clone(),
            Cause::Step { failure, .. } => format!("failed to {}", failure.message),
            Cause::Phase { cause, .. } => cause.sentence(),
            Cause::Request { actor, reason, .. } => match reason {
                Some(reason) => format!("{actor} asked for it: {reason}"),
                None => format!("{actor} asked for it"),
            },
        }
    }

    /// The record that someone wants to go to instead of what was there before.
    pub fn leads_to(&self) -> Option<&RecordHash> {
        match self {
            Cause::Request { back, .. } => back.to.as_ref(),
            _ => None,
        }
    }
}
