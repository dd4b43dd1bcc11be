//! The projection of one deployment that lists and statuses show. It is folded from the journal in the
//! transaction of each append, so a list never tells another story than the journal.

mod apply;
mod phase;
#[cfg(test)]
mod tests;

pub use phase::Phase;

use crate::back::Trigger;
use crate::error::Failure;
use crate::event::{Ask, Entry, Event, Kind, Outcome};
use crate::id::{DeploymentId, EnvironmentName, RecordHash, ReleaseNumber, Scope, StepId};
use crate::plan::Plan;
use crate::verdict::Verdict;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The measured way back (P7). Unix microseconds; absent: it did not happen, or nobody could see it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timeline {
    /// First bad request.
    pub t0: Option<i64>,
    /// Verdict or command.
    pub t1: Option<i64>,
    /// Plan ready.
    pub t2: Option<i64>,
    /// First request on the old release.
    pub t3: Option<i64>,
    /// All new requests on it.
    pub t4: Option<i64>,
    /// Capacity converged.
    pub t5: Option<i64>,
    /// Verified.
    pub t6: Option<i64>,
    /// Bad release gone.
    pub t7: Option<i64>,
}

/// What someone said to a deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// When, Unix microseconds.
    pub at_us: i64,
    /// Who.
    pub actor: String,
    /// What.
    pub ask: Ask,
    /// Why.
    pub reason: Option<String>,
}

/// The projection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// Which deployment.
    pub id: DeploymentId,
    /// Where.
    pub scope: Scope,
    /// `deploy`, `rollback` (return) or `undo`.
    pub kind: String,
    /// The release it leads to; absent: to nothing.
    pub release: Option<ReleaseNumber>,
    /// The record it leads to.
    pub record: Option<RecordHash>,
    /// Who asked.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
    /// What was wrong with what is gone back from, as whoever asked for it said.
    #[serde(default)]
    pub trigger: Option<Trigger>,
    /// What people said to it, in order.
    #[serde(default)]
    pub said: Vec<Said>,
    /// Where it stands.
    pub phase: Phase,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// When it was asked for, Unix microseconds.
    pub created_us: i64,
    /// When it got the lock of its scope.
    #[serde(default)]
    pub locked_us: Option<i64>,
    /// When it ended.
    pub ended_us: Option<i64>,
    /// When the release was promoted.
    pub promoted_us: Option<i64>,
    /// Last sequence number folded in.
    pub seq: u64,
    /// The step that runs or ran last.
    pub step: Option<StepId>,
    /// Its title.
    pub step_title: Option<String>,
    /// Steps of the present plan.
    pub steps: u16,
    /// Why it went back, in one sentence.
    pub cause: Option<String>,
    /// What it went back to, in words.
    pub back_to: Option<String>,
    /// What keeps it from going on, and what a person can do.
    pub stuck: Option<String>,
    /// The last verdict.
    pub verdict: Option<Verdict>,
    /// The last failure.
    pub failure: Option<Failure>,
    /// What people should know.
    pub remarks: Vec<String>,
    /// What had failed or was left out when it ended, and had not stopped it, one line each.
    #[serde(default)]
    pub ignored: Vec<String>,
    /// The way back, measured.
    pub timeline: Timeline,
    /// The plan that runs now: the forward plan, or that of the rollback. It is not stored here again: the journal has it.
    #[serde(skip)]
    plan: Option<Arc<Plan>>,
    /// Where it stands in the journal.
    #[serde(default)]
    planned_seq: Option<u64>,
    /// Where it was stored before `planned_seq` was.
    #[serde(default, rename = "plan", skip_serializing_if = "Option::is_none")]
    stored_plan: Option<Plan>,
    plan_number: u16,
    /// Targets of the forward plan that the release is not promoted on yet.
    #[serde(default)]
    unpromoted: u16,
    /// Effects of the forward plan whose last attempt failed: where it goes on all the same, nothing is promoted.
    #[serde(default)]
    undone: Vec<StepId>,
    /// It waits for nobody.
    #[serde(default)]
    pub hotfix: bool,
    /// It goes out because it is good in this environment.
    #[serde(default)]
    pub promoted_from: Option<EnvironmentName>,
    /// The hotfix that took over from it, or shall.
    #[serde(default)]
    pub superseded_by: Option<DeploymentId>,
    /// The deployment that it took over from.
    #[serde(default)]
    pub supersedes: Option<DeploymentId>,
    /// Where it stood when it was paused.
    #[serde(default)]
    before_pause: Option<Phase>,
    /// The step that began last asks people.
    #[serde(default)]
    asks: bool,
}

impl Summary {
    /// Begins with the first event.
    ///
    /// # Errors
    /// None if the entry is not `Created`: such a journal is damaged.
    pub fn begin(id: DeploymentId, entry: &Entry) -> Option<Self> {
        let Event::Created(inputs) = &entry.event else {
            return None;
        };
        let kind = match inputs.kind {
            Kind::Deploy => "deploy",
            Kind::Return { .. } => "rollback",
            Kind::Undo { .. } => "undo",
        };
        let mut timeline = Timeline::default();
        if inputs.kind != Kind::Deploy {
            timeline.t1 = Some(entry.at_us);
        }
        Some(Self {
            id,
            scope: inputs.scope.clone(),
            kind: kind.to_owned(),
            release: inputs.record.as_ref().map(|record| record.release),
            record: inputs.record.as_ref().map(crate::release::Record::hash),
            actor: inputs.actor.clone(),
            reason: inputs.reason.clone(),
            trigger: inputs.back.trigger,
            said: Vec::new(),
            phase: Phase::Queued,
            outcome: None,
            created_us: entry.at_us,
            locked_us: None,
            ended_us: None,
            promoted_us: None,
            seq: entry.seq,
            step: None,
            step_title: None,
            steps: 0,
            cause: None,
            back_to: None,
            stuck: None,
            verdict: None,
            failure: None,
            remarks: Vec::new(),
            ignored: Vec::new(),
            timeline,
            plan: None,
            planned_seq: None,
            stored_plan: None,
            plan_number: 0,
            unpromoted: 0,
            undone: Vec::new(),
            hotfix: inputs.hotfix.is_some(),
            promoted_from: inputs.promotion.as_ref().map(|it| it.from.clone()),
            superseded_by: None,
            supersedes: None,
            before_pause: None,
            asks: false,
        })
    }

    /// The position of the event whose plan has to be given to a summary that was stored, before more events are taken in.
    /// None: it has its plan, or needs none.
    pub fn lacks_plan(&self) -> Option<u64> {
        self.planned_seq.filter(|_| self.plan.is_none())
    }

    /// Gives it the plan that it lacks.
    pub fn give_plan(&mut self, plan: Arc<Plan>) {
        self.plan = Some(plan);
    }

    /// The plan that runs now and its event's position, where they are known.
    pub fn plan(&self) -> Option<(u64, &Arc<Plan>)> {
        Some((self.planned_seq?, self.plan.as_ref()?))
    }

    /// Whether it waits for people to say yes or no.
    pub fn asks_for_approval(&self) -> bool {
        self.phase == Phase::Waiting && self.stuck.is_none() && self.asks
    }
}
