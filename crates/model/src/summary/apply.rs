//! How each event of the journal changes the projection.

use super::{Phase, Said, Summary};
use crate::back::Back;
use crate::event::{Ask, Cause, Entry, Event, Finish, Outcome};
use crate::id::StepId;
use crate::plan::{Action, Plan, Step, Wave};
use crate::verdict::{Outcome as Verified, Verdict};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Summary {
    /// Takes one more event in.
    pub fn apply(&mut self, entry: &Entry) {
        self.seq = entry.seq;
        match &entry.event {
            Event::Created(_)
            | Event::Claimed { .. }
            | Event::Accepted { .. }
            | Event::TimerSet { .. }
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
            Event::Started { step, .. } => self.started(*step),
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
                let said = Said {
                    at_us: entry.at_us,
                    actor: actor.clone(),
                    ask: ask.clone(),
                    reason: reason.clone(),
                };
                self.signalled(said, back);
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
            Event::Ended { outcome, ignored } => self.ended(entry.at_us, outcome, ignored),
        }
    }

    fn started(&mut self, step: StepId) {
        self.step = Some(step);
        let plan = self.plan_of(step);
        self.step_title = plan.and_then(|plan| plan.title(&self.scope, usize::from(step.index)));
        self.stuck = None;
        if self.phase == Phase::NeedsOperator {
            self.phase = self.at_work();
        }
        let planned = self.step_of(step);
        let is_paused = self.phase == Phase::Paused;
        let is_bake = step.plan == 0 && planned.is_some_and(|step| step.bake);
        let waits = planned.is_some_and(Step::waits);
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

    fn finished(
        &mut self,
        at_us: i64,
        step: StepId,
        finish: &Finish,
        times: &BTreeMap<String, i64>,
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

    fn back_step_done(&mut self, at_us: i64, step: StepId, times: &BTreeMap<String, i64>) {
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

    fn signalled(&mut self, said: Said, back: &Back) {
        let ask = &said.ask;
        if let Ask::Supersede { by } = ask {
            self.superseded_by.clone_from(by);
        }
        if *ask == Ask::Abort {
            self.trigger = back.trigger.or(self.trigger);
            self.timeline.t1.get_or_insert(said.at_us);
            if self.phase == Phase::Queued {
                let cause = Cause::Request {
                    actor: said.actor.clone(),
                    reason: said.reason.clone(),
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
        self.said.push(said);
    }

    fn ended(&mut self, at_us: i64, outcome: &Outcome, ignored: &[String]) {
        self.ignored = ignored.to_vec();
        self.phase = Phase::Ended;
        if matches!(outcome, Outcome::Failed { .. }) && self.cause.is_none() {
            // It failed and did not go back: what was said against it is why.
            let against = self.verdict.as_ref();
            let against = against.filter(|verdict| verdict.outcome != Verified::Pass);
            self.cause = against.map(|verdict| verdict.sentence.clone());
        }
        self.outcome = Some(outcome.clone());
        self.ended_us = Some(at_us);
        self.stuck = None;
    }

    fn at_work(&self) -> Phase {
        if self.plan_number == 0 {
            Phase::Running
        } else {
            Phase::RollingBack
        }
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

    fn step_of(&self, step: StepId) -> Option<&Step> {
        self.plan_of(step)?.steps().nth(usize::from(step.index))
    }
}
