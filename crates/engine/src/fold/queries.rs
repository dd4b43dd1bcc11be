//! What is asked of a folded journal.

use super::{Deployment, PlanRun, Status, StepRun};
use crate::mutant::{self, Mutant};
use belay_model::event::Kind;
use belay_model::id::{RecordHash, StepId};
use belay_model::plan::{Action, Effect, Step, Wave};
use belay_model::release::Record;
use belay_model::state::States;

impl Deployment {
    /// The plan that runs: the last one.
    pub fn current(&self) -> Option<(u16, &PlanRun)> {
        let run = self.plans.last()?;
        Some((u16::try_from(self.plans.len() - 1).expect("few plans"), run))
    }

    /// A step and its course.
    pub fn step(&self, id: StepId) -> (&Step, &StepRun) {
        let run = &self.plans[usize::from(id.plan)];
        let index = usize::from(id.index);
        (run.step(index), &run.steps[index])
    }

    /// Whether an attempt of a step is under way, as far as the journal says.
    pub fn is_under_way(&self, id: StepId, attempt: u32) -> bool {
        let run = self.plans.get(usize::from(id.plan));
        let course = run.and_then(|run| run.steps.get(usize::from(id.index)));
        course.is_some_and(|course| {
            *course.status() == Status::Started && course.last_attempt == attempt
        })
    }

    /// The name of the target that a step touches.
    pub fn target_of(&self, id: StepId) -> Option<&str> {
        let run = &self.plans[usize::from(id.plan)];
        let phase = &run.plan.phases[run.phase_of(usize::from(id.index))];
        phase.target.as_deref()
    }

    /// Names of the targets that something was begun on, in the order in which it was; what it took over first.
    pub fn touched(&self) -> Vec<&str> {
        let mut begun: Vec<(i64, &str)> = Vec::new();
        for run in &self.plans {
            for (index, course) in run.steps.iter().enumerate() {
                let Some(target) = run.plan.phases[run.phase_of(index)].target.as_deref() else {
                    continue;
                };
                let is_effect = run.step(index).effect().is_some();
                let is_known = begun.iter().any(|(_, name)| *name == target);
                if is_effect && course.last_attempt > 0 && !is_known {
                    begun.push((course.first_us, target));
                }
            }
        }
        begun.sort();
        let before = self.takes_over.iter().flat_map(|over| &over.touched);
        let before = before.filter(|_| !mutant::is(Mutant::ForgetsWhatWasBegun));
        let mut touched: Vec<&str> = before.map(String::as_str).collect();
        begun.retain(|(_, target)| !touched.contains(target));
        touched.extend(begun.into_iter().map(|(_, target)| target));
        touched
    }

    /// Whether what runs now goes back: a rollback inside a deployment, or a rollback on request.
    pub fn goes_back(&self) -> bool {
        self.plans.len() > 1
            || self
                .inputs
                .as_ref()
                .is_some_and(|inputs| inputs.kind != Kind::Deploy)
    }

    /// Whether it was turned round: what went forward, or the rollback that it is, is taken back.
    pub fn is_turned_round(&self) -> bool {
        self.plans.iter().skip(1).any(|run| !run.again)
    }

    /// Whether it was asked for as a way back, and still leads there.
    pub(crate) fn leads_back(&self) -> bool {
        let inputs = self.inputs.as_ref();
        inputs.is_some_and(|inputs| inputs.kind != Kind::Deploy) && !self.is_turned_round()
    }

    /// Whether every verification that was begun passed: what someone skipped or a rule ignored proves nothing (P5). One
    /// that was cut short counts as soon as a later one on the same target has passed the same checks.
    pub fn is_proved(&self) -> bool {
        let Some(run) = self.plans.first() else {
            return false;
        };
        // What was verified was not the release, or not all of it.
        let mut left_out = self.left_out();
        if left_out.any(|effect| effect.wave != Wave::Shrink) {
            return false;
        }
        (0..run.steps.len()).all(|index| {
            let Action::Verify { checks, .. } = &run.step(index).action else {
                return true;
            };
            let course = &run.steps[index];
            match course.status() {
                Status::Ignored(_) | Status::Skipped => {
                    course.is_cut_short && run.has_passed_since(index, checks)
                }
                _ => true,
            }
        })
    }

    /// What it came to, where it was promoted and has not gone back.
    pub(crate) fn promoted_to(&self) -> Option<&States> {
        match self.plans.as_slice() {
            [only] if self.promoted => only.goal.as_ref().map(|goal| &goal.want),
            _ => None,
        }
    }

    /// Moves of the forward plan that failed or were left out, and it went on all the same.
    pub(crate) fn left_out(&self) -> impl Iterator<Item = &Effect> {
        let steps = self.plans.first().into_iter();
        let steps = steps.flat_map(|run| run.plan.steps().zip(&run.steps));
        let left_out =
            |course: &StepRun| matches!(course.status(), Status::Ignored(_) | Status::Skipped);
        steps
            .filter(move |(_, course)| left_out(course))
            .filter_map(|(step, _)| step.effect())
    }

    /// What failed and did not stop it, one line each; of what counts as passed only what should have changed a target.
    pub fn ignored(&self) -> Vec<String> {
        let steps = self.plans.first().into_iter();
        let steps = steps.flat_map(|run| run.plan.steps().zip(&run.steps));
        let line = |(step, course): (&Step, &StepRun)| {
            let is_named = !course.counts_as_passed || step.effect().is_some();
            match course.status() {
                Status::Ignored(failure) if is_named => {
                    Some(format!("{}: failed to {}", step.title(), failure.message))
                }
                Status::Skipped if course.is_left_out => {
                    Some(format!("{}: left out with it", step.title()))
                }
                _ => None,
            }
        };
        steps.filter_map(line).collect()
    }

    /// What stays behind of what was done and cannot be taken back (I14), one line each.
    pub fn left_behind(&self) -> Vec<String> {
        let Some(run) = self.plans.first() else {
            return Vec::new();
        };
        if mutant::is(Mutant::ForgetsResidue) {
            return Vec::new();
        }
        let before = self.takes_over.iter().flat_map(|over| over.residue.clone());
        let done = (0..run.steps.len()).filter(|index| run.steps[*index].last_attempt > 0);
        let own = done.filter_map(|index| run.step(index).residue().map(str::to_owned));
        before.chain(own).collect()
    }

    /// The record of that content, wherever it is known.
    pub fn record(&self, hash: &RecordHash) -> Option<&Record> {
        // The newest plan has the newest seals (I7).
        let goals = self.plans.iter().rev().filter_map(|run| run.goal.as_ref());
        goals
            .chain(&self.baseline_goal)
            .chain(self.takes_over.iter().map(|over| &*over.found))
            .find_map(|goal| goal.records.get(hash))
    }
}
