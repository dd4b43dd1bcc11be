//! What must hold when a deployment has ended, and when everything has: the world is as its outcome says.

use super::audit::Audit;
use super::backwards::last_abort;
use super::handed::{self, Own};
use super::stage::{Ground, target};
use super::turns;
use belay_driver::Driver;
use belay_engine::fold::{Deployment, Status};
use belay_model::event::{Ask, Entry, Event, Finish, Inputs, Kind, Outcome, RollbackResult};
use belay_model::plan::{Action, Phase, Plan, Step};
use belay_model::release::Record;
use belay_model::state::Goal;
use std::collections::BTreeMap;

/// A step of a plan and its phase.
pub(super) fn step(plan: &Plan, index: u16) -> Option<(&Phase, &Step)> {
    let steps = plan.phases.iter();
    let steps = steps.flat_map(|phase| phase.steps.iter().map(move |step| (phase, step)));
    steps.into_iter().nth(usize::from(index))
}

pub(super) fn judge(
    audit: &Audit,
    deployment: &Deployment,
    inputs: &Inputs,
    outcome: &Outcome,
    ignored: &[String],
    journal: &[Entry],
) {
    for breach in crate::breaches(journal) {
        audit.breach(breach);
    }
    let ground = audit.ground(&inputs.scope);
    let own = audit.seen().owns.get(&deployment.id).cloned();
    let own = own.unwrap_or_default();
    turns::check(audit, deployment, inputs, &own, journal);
    let case = Case {
        own,
        journal,
        audit,
        deployment,
        inputs,
        ground,
        is_foreign: is_foreign(audit, inputs, journal),
    };
    case.went_past(outcome, ignored);
    match outcome {
        Outcome::Succeeded => case.succeeded(),
        Outcome::Failed {
            rollback: RollbackResult::Complete,
            residue,
        } => case.went_back(residue),
        Outcome::Failed {
            rollback: RollbackResult::None,
            residue,
        } => {
            audit.is_withdrawn(inputs, residue);
            case.unchanged(journal);
        }
        Outcome::Failed {
            rollback: RollbackResult::Incomplete | RollbackResult::Limited,
            residue,
        } => case.went_half_way(residue),
        Outcome::Stopped | Outcome::Replaced { .. } => {}
    }
    let left_out = case.was_left_out();
    if let Some(by) = handed::made_way(journal, outcome) {
        audit.handed_over(&deployment.id, inputs, &by);
        // What was there before it is still what it goes back to.
        return audit.with_here(&inputs.scope, |here| here.is_rough |= left_out);
    }
    let is_known = matches!(
        outcome,
        Outcome::Succeeded
            | Outcome::Failed {
                rollback: RollbackResult::Complete | RollbackResult::None,
                ..
            }
    );
    if matches!(outcome, Outcome::Replaced { .. }) || is_called_off(deployment, journal) {
        return case.never_began();
    }
    let is_silent = matches!(
        outcome,
        Outcome::Failed {
            rollback: RollbackResult::None,
            ..
        }
    );
    audit.with_here(&inputs.scope, |here| {
        here.is_known = if is_silent { here.is_known } else { is_known };
        here.is_rough |= !is_known || left_out;
    });
}

/// It waited, and someone did not want it any more: it ends with the word that says so or the next one, and nobody had it.
pub(super) fn is_called_off(deployment: &Deployment, journal: &[Entry]) -> bool {
    let asks = [Ask::Abort, Ask::Stop, Ask::Abandon];
    let is_asked =
        |entry: &Entry| matches!(&entry.event, Event::Signal { ask, .. } if asks.contains(ask));
    deployment.plans.is_empty() && deployment.epoch == 0 && journal.iter().any(is_asked)
}

/// Whether a stranger was there after the last time that an effect was seen to end, or a person took what they did as it is.
fn is_foreign(audit: &Audit, inputs: &Inputs, journal: &[Entry]) -> bool {
    // Of several targets another one may have been the last.
    let is_one = audit.ground(&inputs.scope).worlds.len() == 1;
    let ends = journal.iter().filter_map(|entry| match &entry.event {
        Event::Finished { state: Some(_), .. } if is_one => Some(entry.at_us),
        Event::Planned { .. } => Some(entry.at_us),
        _ => None,
    });
    let is_taken = |entry: &Entry| matches!(&entry.event, Event::Parked { why, .. } if why.contains("someone else changed"));
    if journal.iter().any(is_taken) {
        return true;
    }
    let meddled_us = audit.here(&inputs.scope).meddled_us;
    // Wall clocks of workers are set in stories: then nobody can say.
    let jumps = audit
        .story
        .incidents
        .iter()
        .any(|incident| matches!(incident.trouble, super::story::Trouble::Jump(..)));
    meddled_us
        .is_some_and(|at_us| jumps || ends.max().is_none_or(|last_us| last_us < at_us + 1_000_000))
}

pub(super) struct Case<'a> {
    /// As the simulator saw it.
    pub(super) own: Own,
    pub(super) journal: &'a [Entry],
    pub(super) audit: &'a Audit,
    pub(super) deployment: &'a Deployment,
    pub(super) inputs: &'a Inputs,
    pub(super) ground: &'a Ground,
    pub(super) is_foreign: bool,
}

impl Case<'_> {
    pub(super) fn breach(&self, what: impl std::fmt::Display) {
        let id = &self.deployment.id;
        self.audit.breach(format!("{what} ({id})"));
    }

    /// A person or a policy went on without something that was not done.
    pub(super) fn was_left_out(&self) -> bool {
        let runs = self.deployment.plans.iter().flat_map(|run| &run.steps);
        let mut runs = runs.map(|course| course.status());
        !self.deployment.residue.is_empty()
            || runs.any(|status| matches!(status, Status::Ignored(_) | Status::Skipped))
    }

    pub(super) fn is_quiet(&self) {
        for (name, world) in &self.ground.worlds {
            if !world.is_quiet() {
                self.breach(format!(
                    "I4: it ended, and something may still happen on {name}"
                ));
            }
        }
    }

    /// What was asked for is there, and was verified.
    fn succeeded(&self) {
        self.is_quiet();
        let Some(run) = self.deployment.plans.first() else {
            return self.breach("it succeeded without a plan");
        };
        for (step, course) in run.plan.steps().zip(&run.steps) {
            let Action::Verify { look, checks, .. } = &step.action else {
                continue;
            };
            if *course.status() != Status::Done || checks.is_empty() {
                continue;
            }
            let release = self
                .inputs
                .record
                .as_ref()
                .map_or(0, |record| record.release.0 % 100);
            let place = self.audit.place(&self.inputs.scope);
            let said = place
                .said
                .iter()
                .rfind(|(it, at, _)| *it == release && at == look);
            if said.is_some_and(|(_, _, said)| *said != belay_model::verdict::Outcome::Pass) {
                self.breach(format!(
                    "I8: release {release} counts as passed at {look:?}"
                ));
            }
        }
        if run.steps.iter().any(|course| !course.is_over()) {
            self.breach("it succeeded before its plan was over");
        }
        if self.inputs.kind == Kind::Deploy && last_abort(self.journal).is_some() {
            self.breach("I12: it was told to go back, and ended as if nobody had said so");
        }
        self.has_enough();
        self.is_not_less();
        if self.was_left_out() {
            return;
        }
        match &self.inputs.kind {
            Kind::Deploy => self.serves(self.inputs.record.as_ref()),
            // As it was changed by hand, or all of it.
            Kind::Return { .. } if self.inputs.goal.is_none() => {
                self.serves(self.inputs.record.as_ref());
            }
            Kind::Return { .. } => {}
            Kind::Undo { of } => self.is_undone(of),
        }
        if self.inputs.kind != Kind::Deploy
            && let Some(goal) = &run.goal
        {
            self.is_met(goal);
        }
    }

    /// I14: what cannot be taken back is named.
    pub(super) fn names_what_stays(&self, residue: &[String]) {
        for line in self.stays() {
            if !residue.contains(&line) {
                self.breach(format!("I14: nobody is told that this stays: {line}"));
            }
        }
    }

    /// What was begun of the deployment's own plan and leaves something behind.
    fn stays(&self) -> Vec<String> {
        let Some(run) = self.deployment.plans.first() else {
            return Vec::new();
        };
        let steps = run.plan.steps().zip(&run.steps);
        let begun = steps.filter(|(_, course)| course.last_attempt > 0);
        begun
            .filter_map(|(step, _)| Some(step.residue()?.to_owned()))
            .collect()
    }

    /// I12: its turn never came.
    fn never_began(&self) {
        if !self.deployment.plans.is_empty() {
            self.breach("I12: it was replaced, and it had begun");
        }
    }

    fn unchanged(&self, journal: &[Entry]) {
        let is_effect = |event: &Event| match event {
            Event::Started { step: id, .. } => {
                let run = self.deployment.plans.get(usize::from(id.plan));
                let planned = run.and_then(|run| step(&run.plan, id.index));
                planned.is_some_and(|(_, step)| step.is_effect())
            }
            Event::Finished { finish, .. } => *finish == Finish::Done,
            _ => false,
        };
        if journal.iter().any(|entry| is_effect(&entry.event)) {
            self.breach("I5: it ended as if nothing had been changed");
        }
    }

    /// A goal of a way back is met on what was touched.
    pub(super) fn is_met(&self, goal: &Goal) {
        if self.is_foreign || self.was_left_out() {
            return;
        }
        let touched = self.deployment.touched();
        let all = self.deployment.plans.len() == 1;
        for (name, world) in &self.ground.worlds {
            if (!all && !touched.contains(&name.as_str())) || goal.want.get(name).is_none() {
                continue;
            }
            for line in world.diff(goal.want.of(name), &world.state()).lines() {
                self.breach(format!(
                    "I5: it went back, and the goal is not met: {name}: {line}"
                ));
            }
        }
    }

    /// All users reach that record, on all targets.
    pub(super) fn serves(&self, record: Option<&Record>) {
        if self.is_foreign {
            return;
        }
        let alone = record.map(|record| (record.group(), 1000));
        let alone: BTreeMap<_, _> = alone.into_iter().collect();
        for (name, world) in &self.ground.worlds {
            let users = world.users();
            if users != alone {
                self.breach(format!(
                    "P2: it succeeded, and users of {name} reach {users:?}"
                ));
            }
        }
    }
}

/// Nothing is open and nothing is owed: what is known to serve serves, and nothing else is left.
pub(super) fn at_rest(audit: &Audit, ground: &Ground) {
    let here = audit.here(&ground.scope);
    for (name, world) in &ground.worlds {
        if !world.is_quiet() {
            audit.breach(format!(
                "I4: all is over, and something may still happen on {name}"
            ));
        }
        if here.is_rough || here.meddled_us.is_some() {
            continue;
        }
        let view = audit.store().view(&ground.scope);
        let want = view
            .serving()
            .map(|known| world.desired(&known.record, &target(name)));
        let want = want.unwrap_or_default();
        for line in world.diff(&want, &world.state()).lines() {
            audit.breach(format!(
                "all is over, and {name} is not what is known of it: {line}"
            ));
        }
    }
}
