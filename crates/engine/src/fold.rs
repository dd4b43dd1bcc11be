//! `fold`: what the journal of one deployment says. Pure: no clock, no randomness, no I/O.
//!
//! Recovery is nothing else than folding again: whatever a worker knew is either here or was not promised.

use belay_model::error::Failure;
use belay_model::event::{Ask, Cause, Entry, Event, Finish, Inputs, Kind, Outcome};
use belay_model::id::{DeploymentId, RecordHash, StepId};
use belay_model::plan::{Action, Plan, Step};
use belay_model::release::Record;
use belay_model::state::{Goal, State, States};
use belay_model::verdict::{self, Verdict};
use serde_json::Value;
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
    /// The last attempt failed.
    Failed(Failure),
    /// The last attempt was lost sight of and settled: it did not take effect.
    Unknown,
    /// A verification said no, or could not say.
    Refused(Verdict),
    /// Left out on request; what it leaves is named.
    Skipped,
}

/// One step's course.
#[derive(Clone, Debug, PartialEq)]
pub struct StepRun {
    /// How far it is.
    pub status: Status,
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
    /// Whether its wait is over.
    pub timer_fired: bool,
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
            timer_fired: false,
        }
    }

    /// Whether the plan goes on behind it.
    pub fn is_over(&self) -> bool {
        matches!(self.status, Status::Done | Status::Skipped)
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
    /// How far each step is.
    pub steps: Vec<StepRun>,
    /// The steps of each phase.
    phases: Vec<Range<usize>>,
}

impl PlanRun {
    fn new(plan: Plan, goal: Option<Goal>, cause: Option<Cause>) -> Self {
        let steps = plan.steps().map(|_| StepRun::new()).collect();
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
            steps,
            phases,
        }
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

    /// Whether every step of a phase is over.
    pub fn is_phase_over(&self, phase: usize) -> bool {
        self.steps[self.range(phase)].iter().all(StepRun::is_over)
    }

    /// The step that a phase is at: the first that is not over.
    pub fn at(&self, phase: usize) -> Option<usize> {
        let mut range = self.range(phase);
        range.find(|index| !self.steps[*index].is_over())
    }
}

/// What someone asked for and nobody has answered yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
}

/// The fold of a deployment's journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    /// Which.
    pub id: DeploymentId,
    /// What it started from; absent before `Created` was folded.
    pub inputs: Option<Inputs>,
    /// Last sequence number.
    pub seq: u64,
    /// Present fencing number; 0: nobody has it.
    pub epoch: u64,
    /// Plans by number; empty before it got the lock.
    pub plans: Vec<PlanRun>,
    /// What was there when it got the lock.
    pub baseline: States,
    /// The baseline as a goal.
    pub baseline_goal: Option<Goal>,
    /// What was there when we last looked.
    pub left: States,
    /// It waits for a person, and why.
    pub parked: Option<(Option<StepId>, String)>,
    /// A rollback that was asked for and has not begun.
    pub abort: Option<Request>,
    /// Giving up that was asked for.
    pub abandon: Option<Request>,
    /// What stays behind.
    pub residue: Vec<String>,
    /// Whether the release was promoted.
    pub promoted: bool,
    /// How it ended.
    pub ended: Option<Outcome>,
}

impl Deployment {
    /// An empty journal.
    pub fn new(id: DeploymentId) -> Self {
        Self {
            id,
            inputs: None,
            seq: 0,
            epoch: 0,
            plans: Vec::new(),
            baseline: States::default(),
            baseline_goal: None,
            left: States::default(),
            parked: None,
            abort: None,
            abandon: None,
            residue: Vec::new(),
            promoted: false,
            ended: None,
        }
    }

    /// Folds a whole journal.
    pub fn of<'a>(id: DeploymentId, entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        let mut deployment = Self::new(id);
        for entry in entries {
            deployment.apply(entry);
        }
        deployment
    }

    /// Takes one more entry in. Events about steps that do not exist are programmer errors and panic: the worker
    /// parks the deployment.
    pub fn apply(&mut self, entry: &Entry) {
        self.seq = entry.seq;
        self.take(entry.at_us, &entry.event);
    }

    /// Takes one event in without its position: how the worker looks ahead at what it is about to append.
    pub fn take(&mut self, at_us: i64, event: &Event) {
        assert!(
            self.ended.is_none(),
            "an event after the end of {}",
            self.id
        );
        match event {
            Event::Created(inputs) => self.inputs = Some((**inputs).clone()),
            Event::Claimed { epoch, .. } => self.epoch = *epoch,
            Event::Planned {
                plan,
                baseline,
                baseline_goal,
                goal,
                ..
            } => {
                self.baseline = baseline.clone();
                self.left = baseline.clone();
                self.baseline_goal = Some((**baseline_goal).clone());
                self.plans = vec![PlanRun::new(plan.clone(), Some((**goal).clone()), None)];
            }
            Event::Started { step, attempt, .. } => {
                self.parked = None;
                let run = self.run_mut(*step);
                run.status = Status::Started;
                if run.last_attempt == 0 {
                    run.first_us = at_us;
                }
                run.last_attempt = *attempt;
                run.started_us = at_us;
                run.handle = None;
                run.timer_fired = false;
            }
            Event::Accepted {
                step,
                attempt,
                handle,
            } => {
                let run = self.run_mut(*step);
                if run.last_attempt == *attempt {
                    run.handle = Some(handle.clone());
                }
            }
            Event::Finished {
                step,
                attempt,
                finish,
                state,
                ..
            } => {
                self.finished(at_us, *step, *attempt, finish, state.as_ref());
            }
            Event::Verified { step, verdict } => {
                let passed = verdict.outcome == verdict::Outcome::Pass;
                let run = self.run_mut(*step);
                run.ended_us = at_us;
                run.status = if passed {
                    Status::Done
                } else {
                    Status::Refused(verdict.clone())
                };
                self.note_promotion(*step);
            }
            Event::TimerSet { .. } => {}
            Event::TimerFired { step } => self.run_mut(*step).timer_fired = true,
            Event::Signal { actor, ask, reason } => self.asked(ask, actor, reason.as_ref()),
            Event::RollbackPlanned {
                goal,
                cause,
                plan,
                before,
                ..
            } => {
                for (target, state) in before.iter().flat_map(States::iter) {
                    self.left.set(target, state.clone());
                }
                self.abort = None;
                self.parked = None;
                let goal = goal.as_ref().map(|goal| (**goal).clone());
                self.plans
                    .push(PlanRun::new(plan.clone(), goal, Some(cause.clone())));
            }
            Event::Parked { step, why } => self.parked = Some((*step, why.clone())),
            Event::Ended { outcome } => self.ended = Some(outcome.clone()),
        }
    }

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

    /// The name of the target that a step touches.
    pub fn target_of(&self, id: StepId) -> &str {
        let run = &self.plans[usize::from(id.plan)];
        &run.plan.phases[run.phase_of(usize::from(id.index))].target
    }

    /// Names of the targets that something was begun on, in the order in which it was.
    pub fn touched(&self) -> Vec<&str> {
        let mut begun: Vec<(i64, &str)> = Vec::new();
        for run in &self.plans {
            for (index, course) in run.steps.iter().enumerate() {
                let target = run.plan.phases[run.phase_of(index)].target.as_str();
                let is_effect = matches!(run.step(index).action, Action::Effect(_));
                let is_known = begun.iter().any(|(_, name)| *name == target);
                if is_effect && course.last_attempt > 0 && !is_known {
                    begun.push((course.first_us, target));
                }
            }
        }
        begun.sort();
        begun.into_iter().map(|(_, target)| target).collect()
    }

    /// Whether what runs now goes back: a rollback inside a deployment, or a rollback on request.
    pub fn goes_back(&self) -> bool {
        self.plans.len() > 1
            || self
                .inputs
                .as_ref()
                .is_some_and(|inputs| inputs.kind != Kind::Deploy)
    }

    /// The record of that content, wherever it is known.
    pub fn record(&self, hash: &RecordHash) -> Option<&Record> {
        let goals = self.plans.iter().filter_map(|run| run.goal.as_ref());
        goals
            .chain(&self.baseline_goal)
            .find_map(|goal| goal.records.get(hash))
    }

    fn run_mut(&mut self, id: StepId) -> &mut StepRun {
        &mut self.plans[usize::from(id.plan)].steps[usize::from(id.index)]
    }

    fn finished(
        &mut self,
        at_us: i64,
        step: StepId,
        attempt: u32,
        finish: &Finish,
        state: Option<&State>,
    ) {
        if let Some(state) = state {
            let target = self.target_of(step).to_owned();
            self.left.set(&target, state.clone());
        }
        let run = self.run_mut(step);
        assert_eq!(
            run.last_attempt, attempt,
            "a result of an old attempt reached the journal"
        );
        run.ended_us = at_us;
        run.status = match finish {
            Finish::Done => Status::Done,
            Finish::Failed(failure) => {
                run.failures += 1;
                Status::Failed(failure.clone())
            }
            Finish::Unknown => {
                run.losses += 1;
                Status::Unknown
            }
        };
        self.note_promotion(step);
    }

    fn note_promotion(&mut self, id: StepId) {
        if id.plan > 0 || !self.step(id).0.promotes {
            return;
        }
        // Good is what was promoted on all of its targets.
        let run = &self.plans[0];
        let mut promotions = (0..run.steps.len()).filter(|index| run.step(*index).promotes);
        self.promoted = promotions.all(|index| run.steps[index].is_over());
    }

    fn asked(&mut self, ask: &Ask, actor: &str, reason: Option<&String>) {
        let request = Request {
            actor: actor.to_owned(),
            reason: reason.cloned(),
        };
        match ask {
            Ask::Abort => self.abort = Some(request),
            Ask::Abandon => self.abandon = Some(request),
            Ask::Retry => {
                if let Some((step, _)) = self.parked.take()
                    && let Some(step) = step
                {
                    let run = self.run_mut(step);
                    run.status = Status::Pending;
                    run.failures = 0;
                    run.losses = 0;
                }
            }
            Ask::Skip => {
                let Some((step, why)) = self.parked.take() else {
                    return;
                };
                let title =
                    step.map_or_else(|| "going on".to_owned(), |step| self.step(step).0.title());
                self.residue
                    .push(format!("skipped by {actor}: {title} ({why})"));
                if let Some(step) = step {
                    self.run_mut(step).status = Status::Skipped;
                    self.note_promotion(step);
                }
            }
        }
    }
}
