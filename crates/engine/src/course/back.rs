//! Going back inside a deployment: what is there is looked at, the goal chosen, and the plan frozen.

use super::foreseen::Foreseen;
use super::run::Course;
use crate::fold::Status;
use crate::mutant::{self, Mutant};
use crate::ports::StoreError;
use crate::taken_back::Gone;
use crate::targets::Targets;
use crate::{capacity, conclude, goal, one_phase, planning};
use belay_model::back::Back;
use belay_model::config::ForeignChange;
use belay_model::environment::View;
use belay_model::error::Failure;
use belay_model::event::{Cause, Event, Inputs};
use belay_model::plan::Plan;
use belay_model::release::Record;
use belay_model::state::{Goal, States};
use std::sync::Arc;

/// What a way back leads to and is about.
struct Meant<'a> {
    /// Absent: nobody knows where to go.
    goal: Option<Goal>,
    /// The goal is that of a plan before.
    is_known: bool,
    /// The targets that something was begun on.
    touched: Vec<&'a str>,
    /// What people should know.
    remarks: Vec<String>,
}

/// How it goes back.
struct WayBack {
    /// Absent: nobody knows where to go.
    goal: Option<Goal>,
    plan: Plan,
    /// What someone else has changed,
    foreign: Vec<String>,
    /// and where it goes.
    in_the_way: Vec<String>,
    /// What people should know beside.
    remarks: Vec<String>,
}

impl WayBack {
    fn nowhere(remarks: Vec<String>) -> Self {
        Self {
            goal: None,
            plan: Plan::empty(),
            foreign: Vec::new(),
            in_the_way: Vec::new(),
            remarks,
        }
    }
}

/// A foreign change, as people are told of it.
pub(super) fn told(line: &str) -> String {
    format!("changed by someone else: {line}")
}

/// What a person is asked where policy says that they decide about foreign changes (I10).
pub(super) fn ask_about(inputs: &Inputs, foreign: &[String]) -> Option<String> {
    let asks = inputs.back_order.foreign_change == ForeignChange::Ask;
    (asks && !foreign.is_empty() && !mutant::is(Mutant::AsksNobody)).then(|| {
        format!(
            "going back would overwrite what someone else changed: {}; `retry` overwrites it",
            foreign.join("; ")
        )
    })
}

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
        self.has_seen(before.iter().map(|(name, _)| name));
        let number = u16::try_from(self.state().plans.len()).expect("rollbacks are bounded");
        let way_back = match (targets, doubt) {
            (Ok(_), Some((why, _))) => WayBack::nowhere(vec![why]),
            (Ok(targets), None) => self.way_back(&targets, &view, &before, &cause, again),
            (Err(failure), _) => WayBack::nowhere(vec![failure.message]),
        };
        let WayBack {
            goal,
            plan,
            foreign,
            in_the_way,
            mut remarks,
        } = way_back;
        let question = ask_about(self.inputs(), &in_the_way);
        // Behind them what is said of the goal: without one, it is what a person is asked with.
        remarks.splice(0..0, foreign.iter().map(|line| told(line)));
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
        } else if let Some(why) = question {
            self.journal.push(Event::parked(None, why));
        }
        // Durable together with the intents of its first steps: one sync less before the switch.
        Ok(())
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

    /// What a way back leads to and is about.
    fn meant<'a>(
        &'a self,
        targets: &'a Targets,
        view: &View,
        cause: &Cause,
        again: bool,
    ) -> Meant<'a> {
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
        let (goal, remarks) = match cause {
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
        Meant {
            goal: known.or(goal),
            is_known,
            touched,
            remarks,
        }
    }

    /// The plan to what is meant, from what is there as far as anybody knows.
    fn way_back(
        &self,
        targets: &Targets,
        view: &View,
        before: &States,
        cause: &Cause,
        again: bool,
    ) -> WayBack {
        let Meant {
            goal,
            is_known,
            mut touched,
            mut remarks,
        } = self.meant(targets, view, cause, again);
        let seen = targets.only(|name| before.get(name).is_some());
        let foreseen = Foreseen::of(self.state(), targets);
        let foreign = foreseen.foreign(&seen, before);
        let Some(mut goal) = goal else {
            return WayBack {
                foreign,
                ..WayBack::nowhere(remarks)
            };
        };
        goal::take_newest_seals(view, &mut goal);
        let mut from = foreseen.states.clone();
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
        let fitted = capacity::back_from(&touched, goal, &from, self.state());
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
        let (goal, plan) = match planned {
            Ok(plan) => (Some(fitted.goal), plan),
            Err(error) => {
                remarks.push(format!("failed to plan the way back: {error}"));
                (None, Plan::empty())
            }
        };
        let in_the_way = foreseen.foreign(&seen.moved_by(&plan), before);
        WayBack {
            goal,
            plan,
            foreign,
            in_the_way,
            remarks,
        }
    }
}
