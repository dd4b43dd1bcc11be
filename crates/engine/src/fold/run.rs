//! How far the plans of a deployment are, step by step.

use belay_model::config::Check;
use belay_model::error::{Class, Effect, Failure};
use belay_model::event::Cause;
use belay_model::plan::{Action, Phase, Plan, Step};
use belay_model::state::{Goal, State};
use belay_model::verdict::Verdict;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// How far a step is.
#[derive(Clone, Debug, PartialEq)]
pub enum Status {
    /// Not begun, or to be begun again on request.
    Pending,
    /// Begun; its end is not in the journal.
    Started,
    /// Done, or verified.
    Done,
    /// The last attempt failed, or too many were lost sight of.
    Failed(Failure),
    /// The last attempt was lost sight of and settled: it did not take effect.
    Unknown,
    /// A verification said no, or could not say.
    Refused(Verdict),
    /// It failed, and policy goes on all the same.
    Ignored(Failure),
    /// Left out on request; what it leaves is named.
    Skipped,
}

/// One step's course.
#[derive(Clone, Debug, PartialEq)]
pub struct StepRun {
    status: Status,
    /// Attempts that failed since the last request to retry.
    pub failures: u32,
    /// Attempts that were lost sight of since then, and had no effect.
    pub losses: u32,
    /// All attempts ever begun; the next attempt's number is one more.
    pub last_attempt: u32,
    /// When the first attempt began, Unix microseconds.
    pub first_us: i64,
    /// When the last attempt began, Unix microseconds.
    pub started_us: i64,
    /// When it ended.
    pub ended_us: i64,
    /// What the platform gave to ask about it.
    pub handle: Option<Value>,
    /// What was there before it, once an attempt failed that may have done a part of it, as far as was seen.
    pub before: Option<Box<State>>,
    /// When its wait is over, Unix microseconds.
    pub due_us: Option<i64>,
    /// Whether its wait is over.
    pub timer_fired: bool,
    /// Who has said yes.
    pub approved_by: Vec<String>,
    /// Nobody answered in time what to do about its failure.
    pub is_lapsed: bool,
    /// It failed and is ignored, and whoever said so wants it shown as passed.
    pub counts_as_passed: bool,
    /// It counted on one that failed and is ignored.
    pub is_left_out: bool,
    /// Someone did not want to wait for its end: it proves nothing by itself.
    pub is_cut_short: bool,
    /// Someone said to go on with what is there, whoever changed it.
    pub is_as_it_is: bool,
}

impl StepRun {
    fn new() -> Self {
        Self {
            status: Status::Pending,
            failures: 0,
            losses: 0,
            last_attempt: 0,
            first_us: 0,
            started_us: 0,
            ended_us: 0,
            handle: None,
            before: None,
            due_us: None,
            timer_fired: false,
            approved_by: Vec::new(),
            is_lapsed: false,
            is_left_out: false,
            counts_as_passed: false,
            is_cut_short: false,
            is_as_it_is: false,
        }
    }

    /// How far it is.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Why it is not done, where something went wrong.
    pub fn failure(&self) -> Option<Failure> {
        match &self.status {
            Status::Failed(failure) | Status::Ignored(failure) => Some(failure.clone()),
            Status::Refused(verdict) => Some(Failure {
                class: Class::Verification,
                effect: Effect::NotApplied,
                message: format!("verify it: {}", verdict.sentence),
                detail: Vec::new(),
                retry_after_ms: None,
            }),
            _ => None,
        }
    }

    /// Whether it may have done something.
    pub fn has_begun(&self) -> bool {
        self.last_attempt > 0
    }

    /// Whether the plan goes on behind it.
    pub fn is_over(&self) -> bool {
        matches!(
            self.status,
            Status::Done | Status::Ignored(_) | Status::Skipped
        )
    }
}

/// One plan's course: number 0 is the deployment's own, number n its n-th rollback.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanRun {
    /// The frozen steps.
    pub plan: Plan,
    /// What it leads to; absent: nowhere to go.
    pub goal: Option<Goal>,
    /// Why, if it is a rollback.
    pub cause: Option<Cause>,
    /// It goes on with the plan before it, from what was there when that was done.
    pub again: bool,
    /// How far each step is.
    pub steps: Vec<StepRun>,
    /// What was there when a phase began, by its place in the plan; absent: what was left by then.
    pub before: BTreeMap<usize, State>,
    /// The steps of each phase.
    phases: Vec<Range<usize>>,
    /// The steps that are not over. After each event it is asked which they are, and a plan may be long.
    open: BTreeSet<usize>,
    /// Those that may be changing the world.
    in_flight: BTreeSet<usize>,
}

impl PlanRun {
    pub(crate) fn new(plan: Plan, goal: Option<Goal>, cause: Option<Cause>) -> Self {
        let steps: Vec<_> = plan.steps().map(|_| StepRun::new()).collect();
        let mut next = 0;
        let phases = plan.phases.iter().map(|phase| {
            let first = next;
            next += phase.steps.len();
            first..next
        });
        let phases = phases.collect();
        Self {
            plan,
            goal,
            cause,
            again: false,
            open: (0..steps.len()).collect(),
            in_flight: BTreeSet::new(),
            steps,
            before: BTreeMap::new(),
            phases,
        }
    }

    /// A step is that far now: the only place where one changes.
    pub(super) fn set(&mut self, index: usize, status: Status) {
        let is_effect = self.step(index).is_effect();
        let course = &mut self.steps[index];
        course.status = status;
        let is_in_flight = is_effect && course.status == Status::Started;
        keep(&mut self.open, index, !course.is_over());
        keep(&mut self.in_flight, index, is_in_flight);
    }

    /// The steps of a phase, as `StepId::index` counts them.
    pub fn range(&self, phase: usize) -> Range<usize> {
        self.phases[phase].clone()
    }

    /// The phase that a step belongs to.
    pub fn phase_of(&self, index: usize) -> usize {
        self.phases.partition_point(|range| range.end <= index)
    }

    /// A step as it was planned.
    pub fn step(&self, index: usize) -> &Step {
        let phase = self.phase_of(index);
        &self.plan.phases[phase].steps[index - self.phases[phase].start]
    }

    /// Whether every step is over.
    pub fn is_over(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether every step of a phase is over.
    pub fn is_phase_over(&self, phase: usize) -> bool {
        self.open.range(self.range(phase)).next().is_none()
    }

    /// The parts of the phase that this one belongs to, as places in the plan: they have one name.
    pub fn parts(&self, phase: usize) -> Range<usize> {
        let name = &self.plan.phases[phase].name;
        let is_other = |other: &Phase| other.name != *name;
        let (before, behind) = self.plan.phases.split_at(phase);
        let first = before.iter().rposition(is_other).map_or(0, |last| last + 1);
        let count = behind.iter().position(is_other).unwrap_or(behind.len());
        first..phase + count
    }

    /// The steps that are not over, in order.
    pub fn open(&self) -> impl Iterator<Item = usize> {
        self.open.iter().copied()
    }

    /// The steps that were begun and may be changing the world, in order.
    pub fn in_flight(&self) -> impl Iterator<Item = usize> {
        self.in_flight.iter().copied()
    }

    /// The phases that are not over, in order, each with the step that it is at: the first that is not over.
    pub fn open_phases(&self) -> impl Iterator<Item = (usize, usize)> {
        let mut from = 0;
        std::iter::from_fn(move || {
            let index = *self.open.range(from..).next()?;
            let phase = self.phase_of(index);
            from = self.phases[phase].end;
            Some((phase, index))
        })
    }

    /// Whether a later verification on the same target passed all of these checks.
    pub(super) fn has_passed_since(&self, index: usize, wanted: &[Check]) -> bool {
        let target = |index| self.plan.phases[self.phase_of(index)].target.as_deref();
        (index + 1..self.steps.len()).any(|later| {
            let Action::Verify { checks, .. } = &self.step(later).action else {
                return false;
            };
            let has_all = wanted.iter().all(|check| checks.contains(check));
            has_all && target(later) == target(index) && *self.steps[later].status() == Status::Done
        })
    }
}

fn keep(set: &mut BTreeSet<usize>, index: usize, is_in: bool) {
    if is_in {
        set.insert(index);
    } else {
        set.remove(&index);
    }
}
