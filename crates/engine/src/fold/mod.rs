//! `fold`: what the journal of one deployment says. Pure: no clock, no randomness, no I/O.
//!
//! Recovery is nothing else than folding again: whatever a worker knew is either here or was not promised.

mod queries;
mod rules;
mod run;
mod signals;
#[cfg(test)]
pub(crate) mod tests;

pub use run::{PlanRun, Status, StepRun};

use crate::mutant::{self, Mutant};
use belay_model::back::Back;
use belay_model::error::{Effect, Failure};
use belay_model::event::{Entry, Event, Finish, Inputs, Outcome};
use belay_model::id::{DeploymentId, StepId};
use belay_model::policy::Act;
use belay_model::state::{Goal, State, States};
use belay_model::takeover::TakesOver;
use belay_model::verdict;

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
    /// Something was said since that is no answer: it has to be asked anew, or lists would show it as answered.
    pub is_stale: bool,
}

/// What someone asked for and nobody has answered yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
    /// Of going back: where to, and what made them.
    pub back: Back,
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
    /// Effects that were done since, or may have been, and whose result nobody could look at; each once, in order.
    pub unseen: Vec<StepId>,
    /// It waits for a person, and why.
    pub parked: Option<Parked>,
    /// No further step begins until someone says so.
    pub paused: Option<Request>,
    /// Ending it as it is that was asked for.
    pub stop: Option<Request>,
    /// The hotfix that shall take over.
    pub supersede: Option<DeploymentId>,
    /// What it took over from the deployment that it superseded.
    pub takes_over: Option<TakesOver>,
    /// A rollback that was asked for and has not begun.
    pub abort: Option<Request>,
    /// Its plan was done and its goal not met, and someone said to try again: the rest of the way is planned anew.
    pub replans: bool,
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
            unseen: Vec::new(),
            parked: None,
            paused: None,
            stop: None,
            supersede: None,
            takes_over: None,
            abort: None,
            replans: false,
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
                takes_over,
                ..
            } => {
                self.baseline = baseline.clone();
                let found = takes_over.as_ref().map(|over| &over.found.want);
                let found = found.filter(|_| !mutant::is(Mutant::LooksAtTheBaseline));
                self.left = found.unwrap_or(baseline).clone();
                self.takes_over = takes_over.as_deref().cloned();
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
                    self.seen(&target, (**before).clone());
                    let run = &mut self.plans[usize::from(step.plan)];
                    let phase = run.phase_of(usize::from(step.index));
                    run.before.insert(phase, (**before).clone());
                }
                self.set(*step, Status::Started);
                let run = self.run_mut(*step);
                if run.last_attempt == 0 {
                    run.first_us = at_us;
                }
                run.last_attempt = *attempt;
                run.started_us = at_us;
                run.handle = None;
                run.due_us = None;
                run.timer_fired = false;
                run.is_lapsed = false;
                run.is_cut_short = false;
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
                let status = if passed {
                    Status::Done
                } else {
                    Status::Refused(verdict.clone())
                };
                self.set(*step, status);
                self.ignore_by_policy(*step);
                self.note_promotion(*step);
            }
            Event::TimerSet { step, due_ms } => {
                self.run_mut(*step).due_us = Some(due_ms.saturating_mul(1000));
            }
            Event::TimerFired { step } => self.timer_fired(*step),
            Event::Signal {
                actor,
                ask,
                reason,
                back,
            } => {
                let request = Request {
                    actor: actor.clone(),
                    reason: reason.clone(),
                    back: back.clone(),
                };
                self.asked(at_us, ask, request);
            }
            Event::RollbackPlanned {
                goal,
                cause,
                plan,
                before,
                again,
                ..
            } => {
                for (target, state) in before.iter().flat_map(States::iter) {
                    self.seen(target, state.clone());
                }
                self.abort = None;
                self.replans = false;
                self.supersede = None;
                self.parked = None;
                self.paused = None;
                let goal = goal.as_ref().map(|goal| (**goal).clone());
                let mut run = PlanRun::new(plan.clone(), goal, Some(cause.clone()));
                run.again = *again;
                self.plans.push(run);
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
                    is_stale: false,
                });
            }
            Event::Ended { outcome, .. } => self.ended = Some(outcome.clone()),
        }
    }

    fn set(&mut self, id: StepId, status: Status) {
        self.plans[usize::from(id.plan)].set(usize::from(id.index), status);
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
            if let Finish::Failed(failure) = finish {
                self.keep_before(step, &target, failure);
            }
            self.seen(&target, state.clone());
        } else if self.step(step).0.effect().is_some() && may_be_done(finish) {
            self.unseen.retain(|earlier| *earlier != step);
            self.unseen.push(step);
        }
        let is_called_done = mutant::is(Mutant::CallsItDone) && self.goes_back();
        let run = self.run_mut(step);
        assert_eq!(
            run.last_attempt, attempt,
            "a result of an old attempt reached the journal"
        );
        run.ended_us = at_us;
        let status = match finish {
            Finish::Done => Status::Done,
            Finish::Failed(_) if is_called_done => Status::Done,
            Finish::Failed(failure) => {
                run.failures += 1;
                Status::Failed(failure.clone())
            }
            Finish::Unknown => {
                run.losses += 1;
                Status::Unknown
            }
        };
        self.set(step, status);
        let (planned, run) = self.step(step);
        if *run.status() == Status::Unknown && self.is_lost(run) {
            let failure = rules::lost(&planned.action, run.losses);
            self.set(step, Status::Failed(failure));
        }
        self.ignore_by_policy(step);
        self.note_promotion(step);
    }

    /// It may be half done: by what was there before it one will tell whether the rest has come.
    fn keep_before(&mut self, step: StepId, target: &str, failure: &Failure) {
        if failure.effect == Effect::MaybeApplied && self.step(step).1.before.is_none() {
            self.run_mut(step).before = Some(Box::new(self.left.of(target).clone()));
        }
    }

    /// That is there, whatever was done before.
    fn seen(&mut self, target: &str, state: State) {
        let unseen = std::mem::take(&mut self.unseen);
        let others = unseen.into_iter();
        let others = others.filter(|id| self.target_of(*id) != Some(target));
        self.unseen = others.collect();
        self.left.set(target, state);
    }

    /// What failed and is ignored by policy is over. On the way back nothing is.
    fn ignore_by_policy(&mut self, id: StepId) {
        if let Some(Act::Ignore { as_passed }) = self.rule(id) {
            let as_passed = *as_passed;
            let failure = self.step(id).1.failure().expect("rules are for failures");
            self.run_mut(id).counts_as_passed = as_passed;
            self.set(id, Status::Ignored(failure));
            // I2: nothing is switched to what did not grow, and nothing is removed whose traffic was not moved.
            for id in self.counting_on(id) {
                self.run_mut(id).is_left_out = true;
                self.set(id, Status::Skipped);
                self.note_promotion(id);
            }
        }
    }

    fn timer_fired(&mut self, id: StepId) {
        let is_about = |parked: &Parked| parked.step == Some(id) && parked.until_us.is_some();
        if self.parked.as_ref().is_some_and(is_about) {
            self.go_on_with_less("nobody said otherwise in time");
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
        // Good is what was promoted on all of its targets. Where a move was left out, its end tells what is there.
        let run = &self.plans[0];
        let is_open = run.open().any(|index| run.step(index).promotes);
        self.promoted = !is_open && self.left_out().next().is_none();
    }
}

/// Whether the world may not be as it was before.
fn may_be_done(finish: &Finish) -> bool {
    match finish {
        Finish::Done | Finish::Unknown => true,
        Finish::Failed(failure) => failure.effect != Effect::NotApplied,
    }
}
