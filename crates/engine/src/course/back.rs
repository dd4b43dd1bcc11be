//! Going back inside a deployment: the goal is chosen, the plan frozen, and the end compared with the goal.

use super::foreseen::Foreseen;
use super::run::Course;
use crate::capacity::Asked;
use crate::fold::Status;
use crate::mutant::{self, Mutant};
use crate::ports::StoreError;
use crate::taken_back::Gone;
use crate::targets::Targets;
use crate::{capacity, conclude, decide, goal, one_phase, planning};
use belay_model::back::Back;
use belay_model::environment::View;
use belay_model::error::Failure;
use belay_model::event::{Cause, Event, Outcome, RollbackResult};
use belay_model::plan::Plan;
use belay_model::release::Record;
use belay_model::state::{Goal, States};
use std::sync::Arc;

impl Course {
    /// The plan was done and its goal not met, or nobody knew where to go: the way there from what is there now. Nothing
    /// else is said of the release for it.
    pub(super) async fn replan(&mut self) -> Result<(), StoreError> {
        let (_, run) = self.state().current().expect("a plan that was done");
        let inputs = self.inputs();
        let asked_for = || Cause::Request {
            actor: inputs.actor.clone(),
            reason: inputs.reason.clone(),
            back: inputs.back.clone(),
        };
        let cause = run.cause.clone().unwrap_or_else(asked_for);
        self.roll_back(cause, true).await
    }

    /// `again`: the way back that was begun goes on.
    pub(super) async fn roll_back(&mut self, cause: Cause, again: bool) -> Result<(), StoreError> {
        let view = self.view().await?;
        let elsewhere = cause.leads_to().and_then(|to| view.records.get(to));
        let (targets, before, failures) = self.look(elsewhere.map(|known| &known.record)).await;
        let doubt = self.doubt(&failures);
        if let Some((_, failure)) = &doubt
            && self.may_look_again(failure).await?
        {
            return Ok(());
        }
        self.has_looked();
        let number = u16::try_from(self.state().plans.len()).expect("rollbacks are bounded");
        let (goal, plan, mut remarks) = match (targets, doubt) {
            (Ok(_), Some((why, _))) => (None, Plan::empty(), vec![why]),
            (Ok(targets), None) => self.way_back(&targets, &view, &before, &cause, again),
            (Err(failure), _) => (None, Plan::empty(), vec![failure.message]),
        };
        if let Some((_, failure)) = failures.first().filter(|_| goal.is_some()) {
            remarks.push(format!(
                "what is there now could not be observed, so this rollback cannot be taken back: {}",
                failure.message
            ));
        }
        let now_us = self.journal.now_us();
        let events = conclude::on_rollback(
            &self.id,
            self.inputs(),
            &cause,
            goal.as_ref(),
            &view,
            again,
            now_us,
        );
        self.journal.conclude();
        for event in events {
            self.journal.push_environment(event);
        }
        let why = remarks.last().cloned();
        let stuck = goal.is_none();
        let goal = goal.map(Box::new);
        self.journal.push(Event::RollbackPlanned {
            number,
            cause,
            goal,
            plan,
            before: Some(before),
            remarks,
            again,
        });
        if stuck {
            let why = why.unwrap_or_else(|| "there is nothing to go back to".to_owned());
            self.journal.push(Event::parked(None, why));
        }
        // Durable together with the intents of its first steps: one sync less before the switch.
        Ok(())
    }

    /// Policy says so: someone wants to look at what failed.
    pub(super) async fn leave(&mut self, cause: &Cause, policy: &str) -> Result<(), StoreError> {
        self.say_what_is_left(Some(cause)).await?;
        let there: Vec<_> = self.state().left.keys().cloned().collect();
        let mut residue = self.state().left_behind();
        let line = format!(
            "{} stays as it is, as `{policy}` says: {}",
            self.inputs()
                .record
                .as_ref()
                .map_or_else(|| "what was begun".to_owned(), Record::title),
            there.join(", ")
        );
        residue.insert(0, line);
        let rollback = RollbackResult::Limited;
        self.push_end(Outcome::Failed { rollback, residue });
        self.journal.flush().await
    }

    async fn say_what_is_left(&mut self, cause: Option<&Cause>) -> Result<(), StoreError> {
        let view = self.view().await?;
        let events = conclude::on_left(self.state(), self.inputs(), cause, &view);
        let half_way = self.half_way(&view);
        self.journal.conclude();
        for event in events.into_iter().chain(half_way) {
            self.journal.push_environment(event);
        }
        Ok(())
    }

    /// What serves by now, where a deployment ends that has not come to its end.
    pub(super) fn half_way(&self, view: &View) -> Option<belay_model::environment::Event> {
        let targets = self.targets().ok()?;
        let there = goal::there(&targets, view, &self.state().left);
        conclude::on_half_way(self.state(), there, view)
    }

    /// A move was left out, as a rule or a person said, and what was asked for is not there: that is no success, and nobody
    /// wanted it taken back.
    async fn leave_unmet(&mut self, unmet: &[String]) -> Result<(), StoreError> {
        self.say_what_is_left(None).await?;
        let state = self.state();
        let unmet = unmet.iter();
        let unmet = unmet.map(|line| format!("the goal is not met: {line}"));
        let left = state.residue.iter().cloned().chain(state.left_behind());
        let residue = unmet.chain(left).collect();
        let rollback = RollbackResult::Limited;
        self.push_end(Outcome::Failed { rollback, residue });
        self.journal.flush().await
    }

    /// What is there now, as far as it can be told; where it cannot, of which target and why.
    async fn look(
        &self,
        elsewhere: Option<&Record>,
    ) -> (Result<Targets, Failure>, States, Vec<(String, Failure)>) {
        match self.targets_with(elsewhere) {
            Ok(targets) => {
                let cx = self.context(None, 0, Arc::default());
                let (states, failures) = targets.observe(&cx).await;
                (Ok(targets), states, failures)
            }
            Err(failure) => {
                let unseen = (String::new(), failure.clone());
                (Err(failure), States::default(), vec![unseen])
            }
        }
    }

    /// Where nobody can say what is there: something was begun, nobody heard what became of it, and it cannot be looked at.
    /// Planned from what was there before it, a way back could remove what has the traffic by now, or swap once too often.
    fn doubt(&self, failures: &[(String, Failure)]) -> Option<(String, Failure)> {
        let state = self.state();
        let unseen = state.unseen.iter();
        let in_doubt = unseen.filter(|id| *state.step(**id).1.status() != Status::Done);
        let mut said = in_doubt.filter_map(|id| {
            let name = state.target_of(*id)?;
            let failure = failures.iter().find(|(of, _)| of == name)?;
            let step = state.step(*id).0.title();
            let why = format!(
                "nobody knows what became of \"{step}\", and {name} cannot be looked at: {}; `retry` looks again",
                failure.1.message
            );
            Some((why, failure.1.clone()))
        });
        said.next()
    }

    fn way_back(
        &self,
        targets: &Targets,
        view: &View,
        before: &States,
        cause: &Cause,
        again: bool,
    ) -> (Option<Goal>, Plan, Vec<String>) {
        let mut touched = self.state().touched();
        let leads_back = again && self.state().leads_back();
        let mut own = self.state().plans.iter().rev();
        let known = match leads_back {
            true => own.find_map(|run| run.goal.clone()),
            false => own
                .next()
                .filter(|_| again)
                .and_then(|run| run.goal.clone()),
        };
        let is_known = known.is_some();
        let (goal, mut remarks) = match cause {
            Cause::Request {
                back:
                    Back {
                        to: Some(to),
                        accept,
                        ..
                    },
                ..
            } if !mutant::is(Mutant::GoesElsewhere) => {
                // What it did not come to may run something else than the record, too.
                touched = targets.iter().map(|place| &*place.target.name).collect();
                let (goal, mut remarks) = goal::elsewhere(targets, view, self.state(), to);
                let refused = goal::not_accepted(view, to, accept);
                let refused = refused.filter(|_| goal.is_some());
                let goal = goal.filter(|_| refused.is_none());
                remarks.extend(refused);
                (goal, remarks)
            }
            Cause::Phase { phase, .. } => {
                one_phase::undo(targets, view, self.state(), usize::from(*phase))
            }
            // What was as it should be may not be so any more.
            _ if leads_back => {
                let names = targets.iter().map(|place| &*place.target.name);
                let goal = known.as_ref();
                let is_meant = |name: &&str| goal.is_some_and(|goal| goal.want.get(name).is_some());
                touched = names.filter(is_meant).collect();
                (None, Vec::new())
            }
            // Nothing was begun: there is nothing to take back, whatever it is worth.
            _ if touched.is_empty() => (self.state().baseline_goal.clone(), Vec::new()),
            _ => goal::undo(targets, view, self.state()),
        };
        let seen = targets.only(|name| before.get(name).is_some());
        let foreseen = Foreseen::of(self.state(), targets);
        let foreign = foreseen.foreign(&seen, before);
        let foreign = foreign.iter();
        let foreign = foreign.map(|line| format!("changed by someone else: {line}"));
        // Behind them what is said of the goal: without one, it is what a person is asked with.
        remarks.splice(0..0, foreign);
        let Some(mut goal) = known.or(goal) else {
            return (None, Plan::empty(), remarks);
        };
        goal::take_newest_seals(view, &mut goal);
        let mut from = foreseen.states;
        for (name, state) in before.iter() {
            from.set(name, state.clone());
        }
        // I2: what something was begun on, and no more; another goal than what was there is one for all of them.
        let baseline = self.state().baseline_goal.as_ref();
        let is_other = baseline.is_none_or(|baseline| baseline.record != goal.record);
        let is_phase = matches!(cause, Cause::Phase { .. });
        let is_whole = is_other && !is_phase;
        // Of one phase, what is meant is what its goal tells of.
        touched.retain(|name| !is_phase || goal.want.get(name).is_some());
        if mutant::is(Mutant::ForgetsTargets) {
            touched.truncate(1);
        }
        let touched = targets.only(|name| is_whole || touched.contains(&name));
        let asked = Asked::by_deployment(&touched, self.state());
        let fitted = capacity::back(&touched, goal, &from, &asked);
        remarks.splice(0..0, fitted.remarks.iter().cloned());
        let inputs = self.inputs();
        let planned = planning::back(
            &touched,
            &from,
            &fitted,
            &inputs.checks,
            inputs.parallel,
            &inputs.back_order,
        );
        // Around the moves of the plan before, all was run that had to be.
        let gone = Gone::of(self.state()).filter(|_| !is_known);
        let gone = gone.map(|gone| match cause {
            Cause::Phase { phase, .. } => gone.only(usize::from(*phase)),
            _ => gone,
        });
        let planned = planned.map(|plan| match &gone {
            Some(gone) => gone.taken_back(plan),
            None => plan,
        });
        match planned {
            Ok(plan) => (Some(fitted.goal), plan, remarks),
            Err(error) => {
                remarks.push(format!("failed to plan the way back: {error}"));
                (None, Plan::empty(), remarks)
            }
        }
    }

    /// I5: restored only when what is there equals the goal; and released, where a move was left out.
    pub(super) async fn confirm(&mut self) -> Result<(), StoreError> {
        let (unmet, unseen) = match self.targets() {
            Ok(targets) => self.unmet(&targets).await,
            Err(failure) => (vec![failure.message], None),
        };
        if let Some(failure) = unseen
            && self.may_look_again(&failure).await?
        {
            return Ok(());
        }
        self.has_looked();
        if !self.state().goes_back() {
            if unmet.is_empty() {
                return self.end(Outcome::Succeeded).await;
            }
            return self.leave_unmet(&unmet).await;
        }
        let skipped = !self.state().residue.is_empty() || mutant::is(Mutant::CallsItDone);
        if unmet.is_empty() || skipped {
            let outcome = decide::ending(self.state());
            return self.end(outcome).await;
        }
        let why = format!(
            "the goal is not met: {}; `retry` goes there from what is there now",
            unmet.join("; ")
        );
        self.journal.push(Event::parked(None, why));
        Ok(())
    }

    /// What keeps what is meant from being the goal, and why some of it could not be seen.
    async fn unmet(&self, targets: &Targets) -> (Vec<String>, Option<Failure>) {
        let (_, run) = self.state().current().expect("confirming a plan");
        let goal = run.goal.as_ref().expect("a plan with a goal");
        let is_back = self.state().goes_back();
        let leads_back = self.state().leads_back();
        let touched = self.state().touched();
        // Forward, all that the release has a place on; what else is there is removed later.
        let record = self.inputs().record.as_ref();
        let has_place = |name: &str| record.is_some_and(|record| record.target(name).is_some());
        let meant = targets.only(|name| {
            let is_meant = if is_back {
                leads_back || touched.contains(&name)
            } else {
                has_place(name)
            };
            is_meant && goal.want.get(name).is_some()
        });
        let (now, failures) = self.observe(&meant).await;
        let mut unmet = match is_back {
            true => meant.diff(&goal.want, &now),
            // What is there and never became ready serves nobody.
            false => [
                meant.lacks(&goal.want, &now),
                meant.unwell(&goal.want, &now),
            ]
            .concat(),
        };
        unmet.extend(failures.iter().map(|failure| failure.message.clone()));
        (unmet, failures.into_iter().next())
    }
}
