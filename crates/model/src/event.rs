//! Journal events: the durable truth of one deployment. A closed set; each stored with a format number.
//!
//! Events hold facts and redacted inputs, never a secret value. A new kind or a changed field needs an ADR and a
//! new format number; old formats are read for ever.

mod ask;
mod cause;
mod inputs;
mod outcome;
#[cfg(test)]
mod tests;

pub use ask::Ask;
pub use cause::Cause;
pub use inputs::{Inputs, Kind, PhaseInput};
pub use outcome::{Outcome, RollbackResult};

use crate::back::Back;
use crate::error::Failure;
use crate::id::{RecordHash, StepId};
use crate::plan::Plan;
use crate::policy::Act;
use crate::release::Record;
use crate::state::{Goal, State, States};
use crate::takeover::TakesOver;
use crate::verdict::Verdict;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The format that is written now. 2: `Inputs::keep_good`. 3: several targets (states by target,
/// `Record::targets`), several phases, rules for failures. 4: what a later deployment replaces; `Back`, what someone asks
/// to go back with. 5: where a release that goes out had proved itself; `RollbackPlanned::again`, `Ended::ignored`;
/// pauses that grow. 6: `BackOrder::capacity`.
pub const FORMAT: u16 = 6;

/// The events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// Someone asked for a deployment.
    Created(Box<Inputs>),
    /// A worker took it.
    Claimed {
        /// Which worker.
        owner: String,
        /// Its fencing number.
        epoch: u64,
    },
    /// It got the lock: the plan is frozen and what was there is captured.
    Planned {
        /// The steps.
        plan: Plan,
        /// What was there, by target.
        baseline: States,
        /// The records that the baseline runs, so that it can be built again.
        baseline_goal: Box<Goal>,
        /// What it leads to.
        goal: Box<Goal>,
        /// It superseded another one, whose baseline it has.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        takes_over: Option<Box<TakesOver>>,
        /// What people should know.
        #[serde(default)]
        remarks: Vec<String>,
    },
    /// An attempt of a step begins: what it changes is captured.
    Started {
        /// Which step.
        step: StepId,
        /// From 1.
        attempt: u32,
        /// Hash of what the step was told, to recognise it at takeover.
        fingerprint: String,
        /// What is there on the phase's target when the phase begins.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<Box<State>>,
    },
    /// The platform works on it.
    Accepted {
        /// Which step.
        step: StepId,
        /// Which attempt.
        attempt: u32,
        /// How to ask about it.
        handle: Value,
    },
    /// An attempt ended.
    Finished {
        /// Which step.
        step: StepId,
        /// Which attempt.
        attempt: u32,
        /// How.
        finish: Finish,
        /// What is there now on the step's target; absent: could not be observed.
        state: Option<State>,
        /// Times the driver knows, Unix microseconds by name (`t3`, `t4`).
        times: BTreeMap<String, i64>,
    },
    /// A verification decided.
    Verified {
        /// Which step.
        step: StepId,
        /// What.
        verdict: Verdict,
    },
    /// A wait began.
    TimerSet {
        /// Which step waits.
        step: StepId,
        /// Until when, Unix milliseconds.
        due_ms: i64,
    },
    /// A wait is over.
    TimerFired {
        /// Which step waited.
        step: StepId,
    },
    /// Someone asked for something.
    Signal {
        /// Who.
        actor: String,
        /// What.
        ask: Ask,
        /// Why.
        reason: Option<String>,
        /// With `abort`: where to, what made them, and what they take upon them.
        #[serde(default, skip_serializing_if = "Back::is_plain")]
        back: Back,
    },
    /// It goes back from here on: no forward step starts any more (I3).
    RollbackPlanned {
        /// Counted from 1: the plan number of its steps.
        number: u16,
        /// Why.
        cause: Cause,
        /// Where to; absent: there is nowhere to go (then `plan` is empty and a person is needed).
        goal: Option<Box<Goal>>,
        /// The steps.
        plan: Plan,
        /// What was there when it began, so that it can be taken back; a target that could not be observed is absent
        /// (I9).
        #[serde(default)]
        before: Option<States>,
        /// What someone else had changed by then (I10), and what else people should know.
        remarks: Vec<String>,
        /// No other rollback: the way to the goal of the plan before is planned anew from what is there, as that plan was done
        /// and its goal not met (I13).
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        again: bool,
    },
    /// It cannot go on without a person; it keeps its lock. `retry`, `skip`, `abandon` and `abort` answer it.
    Parked {
        /// The step that is stuck; absent: it is not about a step.
        step: Option<StepId>,
        /// Why, in one sentence.
        why: String,
        /// Until when an answer is waited for, Unix milliseconds; absent: as long as it takes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until_ms: Option<i64>,
        /// What is done when nobody has answered by then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        then: Option<Act>,
    },
    /// It is over.
    Ended {
        /// How.
        outcome: Outcome,
        /// What had failed or was left out by then, and did not stop it, one line each.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ignored: Vec<String>,
    },
}

impl Event {
    /// It is over, and nothing was passed over.
    pub fn ended(outcome: Outcome) -> Self {
        Self::Ended {
            outcome,
            ignored: Vec::new(),
        }
    }

    /// It waits for a person, as long as it takes.
    pub fn parked(step: Option<StepId>, why: impl Into<String>) -> Self {
        Self::Parked {
            step,
            why: why.into(),
            until_ms: None,
            then: None,
        }
    }
}

/// How a step's attempt ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Finish {
    /// Done.
    Done,
    /// Failed; `Failure::effect` says what may have happened.
    Failed(Failure),
    /// Lost sight of; settling found that it did not take effect.
    Unknown,
}

/// An event as stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Position in the deployment's journal, from 1.
    pub seq: u64,
    /// When it was appended, Unix microseconds.
    pub at_us: i64,
    /// Format of `event`.
    pub format: u16,
    /// What happened.
    pub event: Event,
}

/// A record hash that an event names, for garbage collection of artifacts and blobs.
pub fn records_of(event: &Event) -> Vec<RecordHash> {
    match event {
        Event::Created(inputs) => {
            let goal = inputs
                .goal
                .iter()
                .flat_map(|goal| goal.records.keys().cloned());
            inputs.record.iter().map(Record::hash).chain(goal).collect()
        }
        Event::Planned {
            baseline_goal,
            goal,
            takes_over,
            ..
        } => {
            let found = takes_over.iter().flat_map(|over| over.found.records.keys());
            let of_goals = baseline_goal.records.keys().chain(goal.records.keys());
            of_goals.chain(found).cloned().collect()
        }
        Event::RollbackPlanned {
            goal: Some(goal), ..
        } => goal.records.keys().cloned().collect(),
        _ => Vec::new(),
    }
}
