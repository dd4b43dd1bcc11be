//! Journal events: the durable truth of one deployment. A closed set; each stored with a format number.
//!
//! Events hold facts and redacted inputs, never a secret value. A new kind or a changed field needs an ADR and a
//! new format number; old formats are read for ever.

use crate::back::Back;
use crate::config::{BackOrder, Check, FirstFailure, Inconclusive, Strategy};
use crate::error::Failure;
use crate::id::{DeploymentId, RecordHash, Scope, StepId};
use crate::plan::{Approval, Plan, Step};
use crate::policy::{Act, Rule};
use crate::promotion::Promotion;
use crate::release::Record;
use crate::state::{Goal, State, States};
use crate::takeover::{Hotfix, TakesOver};
use crate::verdict::Verdict;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The format that is written now. 2: `Inputs::keep_good`. 3: several targets (states by target,
/// `Record::targets`), several phases, rules for failures. 4: what a later deployment replaces; `Back`, what someone asks
/// to go back with. 5: where a release that goes out had proved itself; `RollbackPlanned::again`, `Ended::ignored`;
/// pauses that grow. 6: `BackOrder::capacity`.
pub const FORMAT: u16 = 6;

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

/// There was one before format 3.
fn one_target() -> u16 {
    1
}

/// What was kept before a deployment said so.
fn good_before_format_2() -> u32 {
    5
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

/// What someone asked of a deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// Go back.
    Abort,
    /// Try the stuck step again.
    Retry,
    /// Go on without the stuck step; what it leaves is named.
    Skip,
    /// End it as it is, and free the lock.
    Abandon,
    /// Yes.
    Approve,
    /// No: go back.
    Reject,
    /// Begin no further step for now.
    Pause,
    /// Go on.
    Resume,
    /// Do not wait any longer.
    Advance,
    /// End it, and leave what was done as it is.
    Stop,
    /// End it for a hotfix, which gets its lock and its baseline.
    Supersede {
        /// Which; absent: it does not take over after all, and this one goes on.
        by: Option<DeploymentId>,
    },
}

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
            Cause::Verification(verdict) => verdict.outcome == crate::verdict::Outcome::Fail,
            Cause::Request { .. } => true,
            Cause::Phase { cause, .. } => cause.blames_release(),
            Cause::Step { failure, .. } => {
                matches!(
                    failure.class,
                    crate::error::Class::Application | crate::error::Class::Verification
                )
            }
        }
    }

    /// Whether nobody could say if the release is good.
    pub fn is_inconclusive(&self) -> bool {
        match self {
            Cause::Verification(verdict) => {
                verdict.outcome == crate::verdict::Outcome::Inconclusive
            }
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

/// What became of a rollback inside a failed deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RollbackResult {
    /// Nothing had been changed, or policy left it.
    None,
    /// The goal is met.
    Complete,
    /// By policy only a part.
    Limited,
    /// A person gave up on it; see the residue.
    Incomplete,
}

/// How a deployment ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// What was asked for is there, verified.
    Succeeded,
    /// It is not.
    Failed {
        /// What became of going back.
        rollback: RollbackResult,
        /// What stayed behind, one line each.
        residue: Vec<String>,
    },
    /// Left as it was, on request.
    Stopped,
    /// It had not begun, and a later one took its place in the queue.
    Replaced {
        /// Which.
        by: DeploymentId,
    },
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn format_1_is_read() {
        let created = r#"{"created":{
            "kind":"deploy","scope":{"service":"shop","environment":"production"},"record":null,"goal":null,
            "strategy":"basic","checks":[],"bake_ms":1,"warm_ms":2,"inconclusive":"ask","on_first_failure":"remove",
            "actor":"alice","reason":null}}"#;
        let Ok(Event::Created(inputs)) = serde_json::from_str(created) else {
            panic!("it is read: {:?}", serde_json::from_str::<Event>(created));
        };
        assert_eq!(inputs.keep_good, 5);
    }

    /// Where a release came from was not said before format 5.
    #[test]
    fn format_4_is_read() {
        let created = r#"{"created":{
            "kind":"deploy","scope":{"service":"shop","environment":"production"},"record":null,"goal":null,
            "strategy":"basic","checks":[],"bake_ms":1,"warm_ms":2,"keep_good":5,"inconclusive":"ask",
            "on_first_failure":"remove","hotfix":{"passes_freeze":true},"actor":"alice","reason":null,
            "back":{"trigger":"slow"}}}"#;
        let Ok(Event::Created(inputs)) = serde_json::from_str(created) else {
            panic!("it is read: {:?}", serde_json::from_str::<Event>(created));
        };
        assert_eq!(inputs.promotion, None);
    }

    /// Going back needed all of its capacity before format 6.
    #[test]
    fn format_5_is_read() {
        let order = r#"{"phases":"at_once","provisioning":"last","provisioning_order":"reverse"}"#;
        let read: BackOrder = serde_json::from_str(order).expect("it is read");
        assert_eq!(read.capacity, crate::config::BackCapacity::Full);
        let written = serde_json::to_string(&read).expect("plain data");
        assert_eq!(written, order, "and who says nothing writes nothing new");
    }

    /// Nothing was said of where to, or of what made someone, before format 4.
    #[test]
    fn format_3_is_read() {
        let signal = r#"{"signal":{"actor":"alice","ask":"abort","reason":null}}"#;
        let Ok(Event::Signal { back, .. }) = serde_json::from_str(signal) else {
            panic!("it is read: {:?}", serde_json::from_str::<Event>(signal));
        };
        assert!(back.is_plain());
        let cause: Cause = serde_json::from_str(r#"{"request":{"actor":"alice","reason":null}}"#)
            .expect("it is read");
        assert_eq!(cause.leads_to(), None);
    }

    /// A target had no name in the states, and a record had exactly one, before format 3. What was kept then is read, and
    /// its content has the hash that it had.
    #[test]
    fn format_2_is_read() {
        let record = r#"{"format":1,"scope":{"service":"shop","environment":"production"},"release":1,
            "artifact":"sha256:00","config":{},"secrets":{},"sealed":null,
            "target":{"driver":"process","name":"shop/production","host":"here","settings":{"listen":"127.0.0.1:80"}}}"#;
        let record: Record = serde_json::from_str(record).expect("a record");
        assert_eq!(
            record.hash().as_str(),
            "a21fc355a8948f02b07c608e88d0c911d191dfc584c28eaf4f962a9fe544612b"
        );
        let hash = record.hash();
        let state =
            r#"{"format":1,"resources":{"route":{"spec":1,"facts":null,"health":"healthy"}}}"#;
        let goal = format!(
            r#"{{"want":{state},"records":{{"{hash}":{}}},"title":"release 1","record":"{hash}"}}"#,
            serde_json::to_string(&record).expect("plain data"),
        );
        let plan = r#"{"format":1,"phases":[{"name":"shop/production","target":"shop/production","steps":[]}]}"#;
        let planned = format!(
            r#"{{"planned":{{"plan":{plan},"baseline":{state},"baseline_goal":{goal},"goal":{goal}}}}}"#
        );
        let Ok(Event::Planned {
            baseline,
            goal,
            plan: read,
            ..
        }) = serde_json::from_str(&planned)
        else {
            panic!("it is read: {:?}", serde_json::from_str::<Event>(&planned));
        };
        assert_eq!(read.parallel, 1);
        for states in [&baseline, &goal.want] {
            let route = &states.of("shop/production").resources["route"];
            assert_eq!(route.spec, 1);
        }
        let back = format!(
            r#"{{"rollback_planned":{{"number":1,"cause":{{"request":{{"actor":"a","reason":null}}}},"goal":null,
                "plan":{plan},"before":{state},"remarks":[]}}}}"#
        );
        let Ok(Event::RollbackPlanned {
            before: Some(before),
            ..
        }) = serde_json::from_str(&back)
        else {
            panic!("it is read: {:?}", serde_json::from_str::<Event>(&back));
        };
        assert!(!before.of("shop/production").is_absent());
    }
}
