//! `fold`: what the journal of one deployment says. Pure: no clock, no randomness, no I/O.
//!
//! Recovery is nothing else than folding again: whatever a worker knew is either here or was not promised.

use belay_model::error::{Class, Effect, Failure};
use belay_model::event::{Ask, Cause, Entry, Event, Finish, Inputs, Kind, Outcome};
use belay_model::id::{DeploymentId, RecordHash, StepId};
use belay_model::plan::{Action, Plan, Step};
use belay_model::policy::{self, Act};
use belay_model::release::Record;
use belay_model::state::{Goal, State, States};
use belay_model::verdict::{self, Verdict};
use serde_json::Value;
use std::collections::BTreeMap;
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
    /// It failed, and policy goes on all the same.
    Ignored(Failure),
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
    /// When its wait is over, Unix microseconds.
    pub due_us: Option<i64>,
    /// Whether its wait is over.
    pub timer_fired: bool,
    /// Who has said yes.
    pub approved_by: Vec<String>,
    /// Nobody answered in time what to do about its failure.
    pub is_lapsed: bool,
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
            due_us: None,
            timer_fired: false,
            approved_by: Vec::new(),
            is_lapsed: false,
            is_as_it_is: false,
        }
    }

    /// Why it is not done, where something went wrong.
    pub fn failure(&self) -> Option<Failure> {
        match &self.status {
            Status::Failed(failure) | Status::Ignored(failure) => Some(failure.clone()),
            Status::Refused(verdict) => Some(Failure {
                class: Class::Verification,
                effect: Effect::NotApplied,
                message: verdict.sentence.clone(),
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
    /// How far each step is.
    pub steps: Vec<StepRun>,
    /// What was there when a phase began, by its place in the plan; absent: what was left by then.
    pub before: BTreeMap<usize, State>,
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
            before: BTreeMap::new(),
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

/// What a deployment waits for a person for.
#[derive(Clone, Debug, PartialEq)]
pub struct Parked {
    /// The stuck step.
    pub step: Option<StepId>,
    /// Why.
    pub why: String,
    /// Until when, Unix microseconds.
    pub until_us: Option<i64>,
    /// What is done when nobody has answered by then.
    pub then: Option<Act>,
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
    pub parked: Option<Parked>,
    /// No further step begins until someone says so.
    pub paused: Option<Request>,
    /// Ending it as it is that was asked for.
    pub stop: Option<Request>,
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
            paused: None,
            stop: None,
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
            Event::Started {
                step,
                attempt,
                before,
                ..
            } => {
                self.parked = None;
                if let (Some(before), Some(target)) = (before, self.target_of(*step)) {
                    let target = target.to_owned();
                    self.left.set(&target, (**before).clone());
                    let run = &mut self.plans[usize::from(step.plan)];
                    let phase = run.phase_of(usize::from(step.index));
                    run.before.insert(phase, (**before).clone());
                }
                let run = self.run_mut(*step);
                run.status = Status::Started;
                if run.last_attempt == 0 {
                    run.first_us = at_us;
                }
                run.last_attempt = *attempt;
                run.started_us = at_us;
                run.handle = None;
                run.due_us = None;
                run.timer_fired = false;
                run.is_lapsed = false;
                run.approved_by.clear();
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
                run.failures += u32::from(!passed);
                run.status = if passed {
                    Status::Done
                } else {
                    Status::Refused(verdict.clone())
                };
                self.ignore_by_policy(*step);
                self.note_promotion(*step);
            }
            Event::TimerSet { step, due_ms } => {
                self.run_mut(*step).due_us = Some(due_ms.saturating_mul(1000));
            }
            Event::TimerFired { step } => self.timer_fired(*step),
            Event::Signal { actor, ask, reason } => {
                self.asked(at_us, ask, actor, reason.as_ref());
            }
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
                self.paused = None;
                let goal = goal.as_ref().map(|goal| (**goal).clone());
                self.plans
                    .push(PlanRun::new(plan.clone(), goal, Some(cause.clone())));
            }
            Event::Parked {
                step,
                why,
                until_ms,
                then,
            } => {
                self.parked = Some(Parked {
                    step: *step,
                    why: why.clone(),
                    until_us: until_ms.map(|ms| ms.saturating_mul(1000)),
                    then: then.clone(),
                });
            }
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
    pub fn target_of(&self, id: StepId) -> Option<&str> {
        let run = &self.plans[usize::from(id.plan)];
        let phase = &run.plan.phases[run.phase_of(usize::from(id.index))];
        phase.target.as_deref()
    }

    /// Names of the targets that something was begun on, in the order in which it was.
    pub fn touched(&self) -> Vec<&str> {
        let mut begun: Vec<(i64, &str)> = Vec::new();
        for run in &self.plans {
            for (index, course) in run.steps.iter().enumerate() {
                let Some(target) = run.plan.phases[run.phase_of(index)].target.as_deref() else {
                    continue;
                };
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

    /// Whether every verification that was begun passed: what someone skipped or a rule ignored proves nothing (P5).
    pub fn is_proved(&self) -> bool {
        let Some(run) = self.plans.first() else {
            return false;
        };
        let mut steps = run.plan.steps().zip(&run.steps);
        steps.all(|(step, course)| {
            let verifies = matches!(step.action, Action::Verify { .. });
            let is_passed_over = matches!(course.status, Status::Ignored(_) | Status::Skipped);
            !(verifies && is_passed_over)
        })
    }

    /// What stays behind of what was done and cannot be taken back (I14), one line each.
    pub fn left_behind(&self) -> Vec<String> {
        let Some(run) = self.plans.first() else {
            return Vec::new();
        };
        let done = (0..run.steps.len()).filter(|index| run.steps[*index].last_attempt > 0);
        done.filter_map(|index| run.step(index).residue().map(str::to_owned))
            .collect()
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
            let target = self.target_of(step).unwrap_or_default().to_owned();
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
        self.ignore_by_policy(step);
        self.note_promotion(step);
    }

    /// What failed and is ignored by policy is over. On the way back nothing is.
    fn ignore_by_policy(&mut self, id: StepId) {
        if self.goes_back() {
            return;
        }
        let (step, run) = self.step(id);
        let Some(failure) = run.failure() else { return };
        let mut act = policy::first(&step.on_failure, failure.class, run.failures);
        while let Some(Act::Ask { then, .. }) = act.filter(|_| run.is_lapsed) {
            act = Some(then);
        }
        if matches!(act, Some(Act::Ignore { .. })) {
            self.run_mut(id).status = Status::Ignored(failure);
        }
    }

    fn timer_fired(&mut self, id: StepId) {
        let is_about = |parked: &Parked| parked.step == Some(id) && parked.until_us.is_some();
        if self.parked.as_ref().is_some_and(is_about) {
            self.parked = None;
            self.run_mut(id).is_lapsed = true;
            self.ignore_by_policy(id);
            self.note_promotion(id);
        }
        self.run_mut(id).timer_fired = true;
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

    /// The approvals that wait for that person.
    fn asked_for_approval(&mut self, actor: &str) -> Vec<&mut StepRun> {
        let Some(run) = self.plans.last_mut() else {
            return Vec::new();
        };
        let waits = |index: &usize| match &run.step(*index).action {
            Action::Approve(approval) => {
                let course = &run.steps[*index];
                let said = course.approved_by.iter().any(|one| one == actor);
                course.status == Status::Started && !said && approval.may(actor)
            }
            _ => false,
        };
        let waiting: Vec<usize> = (0..run.steps.len()).filter(waits).collect();
        let steps = run.steps.iter_mut().enumerate();
        let waiting = steps.filter(|(index, _)| waiting.contains(index));
        waiting.map(|(_, course)| course).collect()
    }

    fn asked(&mut self, at_us: i64, ask: &Ask, actor: &str, reason: Option<&String>) {
        let request = Request {
            actor: actor.to_owned(),
            reason: reason.cloned(),
        };
        match ask {
            Ask::Abort => self.abort = Some(request),
            Ask::Abandon => self.abandon = Some(request),
            Ask::Stop => self.stop = Some(request),
            Ask::Pause => self.paused = Some(request),
            Ask::Resume => self.paused = None,
            Ask::Approve => {
                for run in self.asked_for_approval(actor) {
                    run.approved_by.push(actor.to_owned());
                }
            }
            Ask::Reject => {
                if !self.asked_for_approval(actor).is_empty() {
                    let why = request
                        .reason
                        .map_or_else(String::new, |why| format!(": {why}"));
                    self.abort = Some(Request {
                        actor: request.actor,
                        reason: Some(format!("rejected{why}")),
                    });
                }
            }
            Ask::Advance => {
                let Some(run) = self.plans.last_mut() else {
                    return;
                };
                for index in 0..run.steps.len() {
                    let waits = matches!(run.step(index).action, Action::Wait { .. });
                    if waits && run.steps[index].status == Status::Started {
                        run.steps[index].due_us = Some(at_us);
                    }
                }
            }
            Ask::Retry => {
                if let Some(parked) = self.parked.take()
                    && let Some(step) = parked.step
                {
                    let run = self.run_mut(step);
                    run.status = Status::Pending;
                    run.failures = 0;
                    run.losses = 0;
                    run.is_as_it_is = true;
                }
            }
            Ask::Skip => {
                let Some(Parked { step, why, .. }) = self.parked.take() else {
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
