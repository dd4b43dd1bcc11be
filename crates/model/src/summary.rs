//! The projection of one deployment that lists and statuses show. It is folded from the journal in the
//! transaction of each append, so a list never tells another story than the journal.

use crate::back::Trigger;
use crate::error::Failure;
use crate::event::{Ask, Cause, Entry, Event, Finish, Kind, Outcome};
use crate::id::{DeploymentId, EnvironmentName, RecordHash, ReleaseNumber, Scope, StepId};
use crate::plan::{Action, Plan, Wave};
use crate::verdict::{Outcome as Verified, Verdict};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Where a deployment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Waits for its turn.
    Queued,
    /// Goes forward.
    Running,
    /// Waits for an approval, for time to pass, or for a person up to a deadline; holds the lock.
    Waiting,
    /// Someone asked it to begin no further step; holds the lock.
    Paused,
    /// Promoted, watched; holds the lock.
    Baking,
    /// Goes back.
    RollingBack,
    /// Cannot go on without a person; holds the lock.
    NeedsOperator,
    /// Over.
    Ended,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Phase::Queued => "queued",
            Phase::Running => "running",
            Phase::Waiting => "waiting",
            Phase::Paused => "paused",
            Phase::Baking => "baking",
            Phase::RollingBack => "rolling back",
            Phase::NeedsOperator => "needs operator",
            Phase::Ended => "ended",
        })
    }
}

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

    /// Takes one more event in.
    pub fn apply(&mut self, entry: &Entry) {
        self.seq = entry.seq;
        match &entry.event {
            Event::Created(_)
            | Event::Claimed { .. }
            | Event::Accepted { .. }
            | Event::TimerFired { .. } => {}
            Event::Planned {
                plan,
                goal,
                takes_over,
                remarks,
                ..
            } => {
                self.supersedes = takes_over.as_ref().map(|over| over.from.clone());
                self.remarks.extend(remarks.iter().cloned());
                self.phase = Phase::Running;
                self.locked_us = Some(entry.at_us);
                self.take_plan(entry.seq, 0, plan);
                if self.kind != "deploy" {
                    self.back_to = Some(goal.title.clone());
                    self.timeline.t2 = Some(entry.at_us);
                }
            }
            Event::Started { step, .. } => {
                self.step = Some(*step);
                let plan = self.plan_of(*step);
                self.step_title =
                    plan.and_then(|plan| plan.title(&self.scope, usize::from(step.index)));
                self.stuck = None;
                if self.phase == Phase::NeedsOperator {
                    self.phase = self.at_work();
                }
                let planned = self.step_of(*step);
                let is_paused = self.phase == Phase::Paused;
                let is_bake = step.plan == 0 && planned.is_some_and(|step| step.bake);
                let waits = planned.is_some_and(crate::plan::Step::waits);
                self.asks = planned.is_some_and(|step| matches!(step.action, Action::Approve(_)));
                if is_bake {
                    self.phase = Phase::Baking;
                } else if waits {
                    self.phase = Phase::Waiting;
                } else if self.phase == Phase::Waiting {
                    self.phase = self.at_work();
                }
                if is_paused && self.phase != Phase::Paused {
                    // The word came in between: what was begun is not gone on from.
                    self.before_pause = Some(self.phase);
                    self.phase = Phase::Paused;
                }
            }
            Event::TimerSet { .. } => {}
            Event::Finished {
                step,
                finish,
                times,
                ..
            } => self.finished(entry.at_us, *step, finish, times),
            Event::Verified { step, verdict } => self.verified(entry.at_us, *step, verdict),
            Event::Signal {
                actor,
                ask,
                reason,
                back,
            } => {
                if let Ask::Supersede { by } = ask {
                    self.superseded_by.clone_from(by);
                }
                self.said.push(Said {
                    at_us: entry.at_us,
                    actor: actor.clone(),
                    ask: ask.clone(),
                    reason: reason.clone(),
                });
                if *ask == Ask::Abort {
                    self.trigger = back.trigger.or(self.trigger);
                    self.timeline.t1.get_or_insert(entry.at_us);
                    if self.phase == Phase::Queued {
                        let cause = Cause::Request {
                            actor: actor.clone(),
                            reason: reason.clone(),
                            back: back.clone(),
                        };
                        self.cause = Some(cause.sentence());
                    }
                }
                let is_asked = matches!(self.phase, Phase::NeedsOperator | Phase::Waiting);
                if is_asked && self.stuck.is_some() {
                    // Answered: it goes on, or says anew what it waits for.
                    self.phase = match self.before_pause {
                        Some(_) => Phase::Paused,
                        None => self.at_work(),
                    };
                    // Kept: what a person was asked is part of how it went.
                    self.remarks.extend(self.stuck.take());
                }
                if *ask == Ask::Pause && self.phase != Phase::Paused {
                    self.before_pause = Some(self.phase);
                    self.phase = Phase::Paused;
                } else if *ask == Ask::Resume && self.phase == Phase::Paused {
                    self.phase = self.before_pause.take().unwrap_or_else(|| self.at_work());
                }
            }
            Event::RollbackPlanned {
                number,
                cause,
                goal,
                plan,
                remarks,
                again,
                ..
            } => {
                self.phase = Phase::RollingBack;
                self.before_pause = None;
                self.cause = Some(cause.sentence());
                self.back_to = goal.as_ref().map(|goal| goal.title.clone());
                self.remarks.extend(remarks.iter().cloned());
                self.timeline.t1.get_or_insert(entry.at_us);
                if !again {
                    self.timeline.t2 = Some(entry.at_us);
                }
                self.take_plan(entry.seq, *number, plan);
                self.stuck = None;
            }
            Event::Parked { why, until_ms, .. } => {
                // With a deadline it waits for time, too: some worker has to be there when it comes.
                self.phase = match until_ms {
                    Some(_) => Phase::Waiting,
                    None => Phase::NeedsOperator,
                };
                self.stuck = Some(why.clone());
            }
            Event::Ended { outcome, ignored } => {
                self.ignored.clone_from(ignored);
                self.phase = Phase::Ended;
                if matches!(outcome, Outcome::Failed { .. }) && self.cause.is_none() {
                    // It failed and did not go back: what was said against it is why.
                    let against = self.verdict.as_ref();
                    let against = against.filter(|verdict| verdict.outcome != Verified::Pass);
                    self.cause = against.map(|verdict| verdict.sentence.clone());
                }
                self.outcome = Some(outcome.clone());
                self.ended_us = Some(entry.at_us);
                self.stuck = None;
            }
        }
    }

    fn at_work(&self) -> Phase {
        if self.plan_number == 0 {
            Phase::Running
        } else {
            Phase::RollingBack
        }
    }

    /// Whether it waits for people to say yes or no.
    pub fn asks_for_approval(&self) -> bool {
        self.phase == Phase::Waiting && self.stuck.is_none() && self.asks
    }

    /// Whether it goes back, or is a rollback itself.
    fn is_way_back(&self, step: StepId) -> bool {
        step.plan > 0 || self.kind != "deploy"
    }

    /// Good is what was promoted on all of its targets.
    fn note_promotion(&mut self, at_us: i64, step: StepId) {
        if step.plan > 0 || !self.step_of(step).is_some_and(|step| step.promotes) {
            return;
        }
        self.unpromoted = self.unpromoted.saturating_sub(1);
        if self.unpromoted == 0 && self.undone.is_empty() {
            self.promoted_us = Some(at_us);
        }
    }

    fn take_plan(&mut self, seq: u64, number: u16, plan: &Plan) {
        if number == 0 {
            let promotions = plan.steps().filter(|step| step.promotes).count();
            self.unpromoted = u16::try_from(promotions).unwrap_or(u16::MAX);
        }
        self.plan_number = number;
        self.steps = u16::try_from(plan.len()).unwrap_or(u16::MAX);
        self.plan = Some(Arc::new(plan.clone()));
        self.planned_seq = Some(seq);
        self.stored_plan = None;
        self.step = None;
        self.step_title = None;
    }

    /// The plan that runs now, if it is the step's.
    fn plan_of(&self, step: StepId) -> Option<&Plan> {
        let plan = self.plan.as_deref().or(self.stored_plan.as_ref());
        plan.filter(|_| self.plan_number == step.plan)
    }

    fn step_of(&self, step: StepId) -> Option<&crate::plan::Step> {
        self.plan_of(step)?.steps().nth(usize::from(step.index))
    }

    fn finished(
        &mut self,
        at_us: i64,
        step: StepId,
        finish: &Finish,
        times: &std::collections::BTreeMap<String, i64>,
    ) {
        let is_effect = self.step_of(step).is_some_and(|it| it.effect().is_some());
        self.undone.retain(|undone| *undone != step);
        if is_effect && step.plan == 0 && *finish != Finish::Done {
            self.undone.push(step);
        }
        match finish {
            Finish::Done => {
                self.note_promotion(at_us, step);
                if self.is_way_back(step) {
                    self.back_step_done(at_us, step, times);
                }
            }
            Finish::Failed(failure) => self.failure = Some(failure.clone()),
            Finish::Unknown => {}
        }
    }

    fn back_step_done(
        &mut self,
        at_us: i64,
        step: StepId,
        times: &std::collections::BTreeMap<String, i64>,
    ) {
        let effect = self.step_of(step).and_then(|step| step.effect());
        let wave = effect.map(|effect| effect.wave);
        let timeline = &mut self.timeline;
        match wave {
            Some(Wave::Switch) => {
                timeline.t3 = times.get("t3").copied().or(timeline.t3);
                timeline.t4 = times.get("t4").copied().or(Some(at_us));
                timeline.t5 = Some(at_us);
                timeline.t0 = timeline.t0.or(times.get("t0").copied());
            }
            // Where there is no traffic nothing is switched, and this is all there is to tell.
            Some(Wave::Grow) => timeline.t5 = Some(at_us),
            Some(Wave::Shrink) => timeline.t7 = Some(at_us),
            None => {}
        }
    }

    fn verified(&mut self, at_us: i64, step: StepId, verdict: &Verdict) {
        self.verdict = Some(verdict.clone());
        if self.is_way_back(step) {
            if verdict.outcome == Verified::Pass {
                self.timeline.t6 = Some(at_us);
            }
            return;
        }
        if verdict.outcome == Verified::Pass {
            self.note_promotion(at_us, step);
        } else {
            self.timeline.t0 = verdict.first_bad_us;
            self.timeline.t1 = Some(at_us);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::FORMAT;

    /// Summaries had their plan with them before they knew where in the journal it stands.
    #[test]
    fn a_summary_with_its_plan_is_read_and_goes_on() {
        let stored = r#"{"id":"dep_1","scope":{"service":"shop","environment":"test"},"kind":"deploy","release":1,
            "record":null,"actor":"ada","reason":null,"phase":"running","outcome":null,"created_us":1,"ended_us":null,
            "promoted_us":null,"seq":3,"step":null,"step_title":null,"steps":1,"cause":null,"back_to":null,"stuck":null,
            "verdict":null,"failure":null,"remarks":[],"timeline":{"t0":null,"t1":null,"t2":null,"t3":null,"t4":null,
            "t5":null,"t6":null,"t7":null},"plan_number":0,"plan":{"format":1,"phases":[{"name":"shop","target":"shop",
            "steps":[{"action":{"wait":{"ms":60000}},"promotes":true,"bake":false}]}]}}"#;
        let mut summary: Summary = serde_json::from_str(stored).expect("a summary");
        assert_eq!(summary.lacks_plan(), None);
        let started = Entry {
            seq: 4,
            at_us: 2,
            format: FORMAT,
            event: Event::Started {
                step: StepId { plan: 0, index: 0 },
                attempt: 1,
                fingerprint: String::new(),
                before: None,
            },
        };
        summary.apply(&started);
        assert_eq!(summary.step_title.as_deref(), Some("wait for 1m"));
        // It is kept until there is another plan.
        let text = serde_json::to_string(&summary).expect("text");
        assert_eq!(
            serde_json::from_str::<Summary>(&text).expect("again"),
            summary
        );
    }
}
