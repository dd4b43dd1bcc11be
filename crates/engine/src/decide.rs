//! `decide`: what to do next. Pure: state, what is in hand and time in, commands out. The worker performs them, appends
//! the results and asks again; recovery is the same loop with nothing in hand.

use crate::fold::{Deployment, PlanRun, Status};
use crate::lane::{self, Next};
use crate::mutant::{self, Mutant};
use belay_model::error::Failure;
use belay_model::event::{Cause, Outcome, RollbackResult};
use belay_model::id::{DeploymentId, StepId};
use belay_model::policy::Act;
use std::collections::BTreeSet;

/// What the worker does next.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Observe the target and freeze the plan: it has the lock.
    Plan,
    /// Begin an attempt of an effect step.
    Perform(StepId),
    /// Find out what became of an attempt that we lost sight of (I4).
    Settle(StepId),
    /// Ask the verifier, from the beginning or again after a crash.
    Verify(StepId),
    /// Stop watching or waiting: nothing of it matters any more.
    Drop(StepId),
    /// Observe, choose the goal and freeze the way back.
    Rollback(Cause),
    /// Observe, and plan the rest of the way back anew: it was done, and its goal is not met (I13).
    Replan,
    /// End it, and let a hotfix have its lock and its baseline.
    HandOver(DeploymentId),
    /// Policy says to leave what failed: end it as it is.
    Leave {
        /// Why it failed.
        cause: Cause,
        /// Which policy, as it is written.
        policy: &'static str,
    },
    /// Begin to wait, for people or for time.
    Await {
        /// Which step.
        step: StepId,
        /// How long at most, milliseconds; absent: as long as it takes.
        within_ms: Option<u64>,
    },
    /// A wait is over: people said yes, time has passed, or nobody answered in time.
    Finish {
        /// Which step.
        step: StepId,
        /// Why it failed, if it did.
        failure: Option<Failure>,
    },
    /// Nobody answered in time what to do about a failed step.
    Lapse(StepId),
    /// Observe and compare with the goal: of a way back (I5), then end or park; forward where a move was left out.
    Confirm,
    /// Ask a person.
    Park {
        /// The stuck step.
        step: Option<StepId>,
        /// Why.
        why: String,
        /// Until when an answer is waited for, Unix milliseconds.
        until_ms: Option<i64>,
        /// What is done when nobody has answered by then.
        then: Option<Act>,
    },
    /// It is over.
    End(Outcome),
}

/// What there is to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// At once, in this order. Empty: nothing, unless something is appended or `until_us` comes.
    pub commands: Vec<Command>,
    /// When to ask again, Unix microseconds.
    pub until_us: Option<i64>,
    /// No step begins any more: calls in hand are waited for a little while only (I12).
    pub is_halt: bool,
}

impl From<Command> for Decision {
    fn from(command: Command) -> Self {
        Self {
            commands: vec![command],
            ..Self::default()
        }
    }
}

/// Decides. `in_hand`: the steps that this worker performs, settles or watches at this moment; those of the journal that
/// are not among them were lost sight of.
pub fn decide(deployment: &Deployment, in_hand: &BTreeSet<StepId>, now_us: i64) -> Decision {
    if deployment.ended.is_some() {
        return Decision::default();
    }
    let Some((mut number, mut run)) = deployment.current() else {
        return before_planning(deployment);
    };
    if mutant::is(Mutant::GoesOn) {
        (number, run) = (0, &deployment.plans[0]);
    }
    let mut decision = Decision::default();
    // Whatever was asked for: first find out what is still happening there.
    let is_in_flight = settle(number, run, in_hand, &mut decision);
    if let Some(last) = asked_for(deployment) {
        return halt(decision, is_in_flight, last, run, in_hand);
    }
    // What someone did not want to be waited for.
    let is_cut_short = |id: &&StepId| {
        id.plan == number && *run.steps[usize::from(id.index)].status() == Status::Skipped
    };
    let cut_short: Vec<_> = in_hand.iter().filter(is_cut_short).copied().collect();
    if !cut_short.is_empty() {
        decision
            .commands
            .extend(cut_short.into_iter().map(Command::Drop));
        return decision;
    }
    if let Some(parked) = &deployment.parked {
        match (parked.until_us, parked.step) {
            (Some(until_us), Some(step)) if until_us <= now_us => {
                decision.commands.push(Command::Lapse(step));
            }
            _ if parked.is_stale => decision.commands.push(Command::Park {
                step: parked.step,
                why: parked.why.clone(),
                until_ms: parked.until_us.map(|us| us / 1000),
                then: parked.then.clone(),
            }),
            (until_us, _) => decision.until_us = until_us,
        }
        return decision;
    }
    if run.is_over() {
        return all_done(deployment, run).into();
    }
    let lanes = lane::next(deployment, number, run, in_hand, now_us);
    if let Some(Next::Fails(last)) = lanes.failed {
        return halt(decision, is_in_flight, last, run, in_hand);
    }
    let is_quiet =
        !is_in_flight && in_hand.is_empty() && lanes.until_us.is_none() && !lanes.is_waiting;
    if is_quiet
        && lanes.commands.is_empty()
        && let Some(Next::Stuck(park)) = lanes.stuck
    {
        // What does not depend on the stuck step has gone on until here (I5).
        return park.into();
    }
    if deployment.paused.is_none() {
        decision.commands.extend(lanes.commands);
        decision.until_us = lanes.until_us;
    } else {
        // No step begins, but what was watched is watched on, by whoever has taken it over.
        let was_begun = |command: &Command| match command {
            Command::Verify(id) => *deployment.step(*id).1.status() == Status::Started,
            _ => false,
        };
        let begun = lanes.commands.into_iter().filter(was_begun);
        decision.commands.extend(begun);
    }
    decision
}

fn before_planning(deployment: &Deployment) -> Decision {
    if deployment.inputs.is_none() {
        return Decision::default();
    }
    if deployment.stop.is_some() {
        return Command::End(Outcome::Stopped).into();
    }
    if deployment.abort.is_some() || deployment.abandon.is_some() {
        return Command::End(Outcome::Failed {
            rollback: RollbackResult::None,
            residue: Vec::new(),
        })
        .into();
    }
    if deployment.parked.is_some() || deployment.paused.is_some() {
        Decision::default()
    } else {
        Command::Plan.into()
    }
}

/// Settles what was begun and is in nobody's hand; answers whether anything may still change the world.
fn settle(number: u16, run: &PlanRun, in_hand: &BTreeSet<StepId>, decision: &mut Decision) -> bool {
    let mut is_in_flight = false;
    for index in run.in_flight() {
        is_in_flight = true;
        let id = step_id(number, index);
        if !in_hand.contains(&id) {
            decision.commands.push(Command::Settle(id));
        }
    }
    is_in_flight
}

fn asked_for(deployment: &Deployment) -> Option<Command> {
    if deployment.abandon.is_some() {
        return Some(Command::End(Outcome::Failed {
            rollback: RollbackResult::Incomplete,
            residue: abandoned(deployment),
        }));
    }
    if deployment.stop.is_some() {
        return Some(Command::End(Outcome::Stopped));
    }
    if let Some(request) = &deployment.abort {
        return Some(Command::Rollback(Cause::Request {
            actor: request.actor.clone(),
            reason: request.reason.clone(),
            back: request.back.clone(),
        }));
    }
    // What goes back is not turned round half-way: the hotfix has its turn when it is there (I3).
    let by = deployment.supersede.as_ref();
    by.filter(|_| !deployment.goes_back() || mutant::is(Mutant::TurnsItRound))
        .map(|by| Command::HandOver(by.clone()))
}

/// No step begins any more, what only watches is dropped; once nothing is in flight, the last command.
fn halt(
    mut decision: Decision,
    is_in_flight: bool,
    last: Command,
    run: &PlanRun,
    in_hand: &BTreeSet<StepId>,
) -> Decision {
    decision.is_halt = true;
    let watches = |step: &&StepId| !run.step(usize::from(step.index)).is_effect();
    let watched = in_hand.iter().filter(watches).copied();
    decision.commands.extend(watched.map(Command::Drop));
    if !is_in_flight && decision.commands.is_empty() {
        decision.commands.push(last);
    }
    decision
}

fn all_done(deployment: &Deployment, run: &PlanRun) -> Command {
    if !deployment.goes_back() {
        let mut left_out = deployment.left_out();
        return match left_out
            .next()
            .filter(|_| !mutant::is(Mutant::TakesItsWord))
        {
            // Goals are met by content: what is there says whether it is what was asked for.
            Some(_) => Command::Confirm,
            None => Command::End(Outcome::Succeeded),
        };
    }
    let was_left_out = !deployment.residue.is_empty();
    match &run.goal {
        Some(_) if !deployment.replans => Command::Confirm,
        // There was nowhere to go, and a person answered: what was left out is named, or it is looked at once more.
        None if was_left_out => Command::End(ending(deployment)),
        _ => Command::Replan,
    }
}

/// How a way back ends once its goal is met, or a person said it is enough.
pub fn ending(deployment: &Deployment) -> Outcome {
    if deployment.leads_back() && deployment.residue.is_empty() {
        return Outcome::Succeeded;
    }
    let mut residue = deployment.residue.clone();
    let by_policy = |run: &PlanRun| matches!(run.cause, Some(Cause::Phase { .. }));
    let rollback = match (residue.is_empty(), deployment.plans.iter().any(by_policy)) {
        (false, _) => RollbackResult::Incomplete,
        (true, true) => RollbackResult::Limited,
        (true, false) => RollbackResult::Complete,
    };
    residue.extend(deployment.left_behind());
    Outcome::Failed { rollback, residue }
}

fn abandoned(deployment: &Deployment) -> Vec<String> {
    let mut residue = deployment.residue.clone();
    if let Some(parked) = &deployment.parked {
        residue.push(format!("given up: {}", parked.why));
    }
    residue.extend(deployment.left_behind());
    residue
}

/// The step at that place of a plan.
pub(crate) fn step_id(plan: u16, index: usize) -> StepId {
    StepId {
        plan,
        index: u16::try_from(index).expect("plans are bounded"),
    }
}
