//! `decide`: what to do next. Pure: state and time in, one command out. The worker performs it, appends the result
//! and asks again; recovery is the same loop.

use crate::fold::{Deployment, PlanRun, Status};
use crate::retry;
use belay_model::config::{FirstFailure, Inconclusive};
use belay_model::error::{Class, Failure};
use belay_model::event::{Cause, Kind, Outcome, RollbackResult};
use belay_model::id::StepId;
use belay_model::plan::Action;
use belay_model::verdict;

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
    /// Observe, choose the goal and freeze the way back.
    Rollback(Cause),
    /// Nothing was there before and policy says to leave what failed: end it as it is.
    Leave(Cause),
    /// Observe and compare with the goal of the way back (I5); then end or park.
    Confirm,
    /// Ask a person.
    Park {
        /// The stuck step.
        step: Option<StepId>,
        /// Why.
        why: String,
    },
    /// It is over.
    End(Outcome),
    /// Nothing before that time, Unix microseconds, unless something is appended.
    WaitUntil(i64),
    /// Nothing, unless something is appended.
    Rest,
}

/// Decides.
pub fn decide(deployment: &Deployment, now_us: i64) -> Command {
    if deployment.ended.is_some() {
        return Command::Rest;
    }
    let Some((number, run)) = deployment.current() else {
        return before_planning(deployment);
    };
    if let Some(step) = in_flight(number, run) {
        // Whatever was asked for: first find out what is still happening there.
        return Command::Settle(step);
    }
    if deployment.abandon.is_some() {
        return Command::End(Outcome::Failed {
            rollback: RollbackResult::Incomplete,
            residue: abandoned(deployment),
        });
    }
    if let Some(request) = &deployment.abort {
        return Command::Rollback(Cause::Request {
            actor: request.actor.clone(),
            reason: request.reason.clone(),
        });
    }
    if deployment.parked.is_some() {
        return Command::Rest;
    }
    match run.steps.iter().position(|step| !step.is_over()) {
        None => all_done(deployment, run),
        Some(index) => {
            let id = StepId {
                plan: number,
                index: u16::try_from(index).expect("plans are bounded"),
            };
            next_step(deployment, id, now_us)
        }
    }
}

fn before_planning(deployment: &Deployment) -> Command {
    if deployment.inputs.is_none() {
        return Command::Rest;
    }
    if deployment.abort.is_some() || deployment.abandon.is_some() {
        return Command::End(Outcome::Failed {
            rollback: RollbackResult::None,
            residue: Vec::new(),
        });
    }
    if deployment.parked.is_some() {
        Command::Rest
    } else {
        Command::Plan
    }
}

fn in_flight(number: u16, run: &PlanRun) -> Option<StepId> {
    let index = run
        .plan
        .steps()
        .zip(&run.steps)
        .position(|(step, course)| {
            matches!(step.action, Action::Effect(_)) && course.status == Status::Started
        })?;
    Some(StepId {
        plan: number,
        index: u16::try_from(index).expect("plans are bounded"),
    })
}

fn all_done(deployment: &Deployment, run: &PlanRun) -> Command {
    if !deployment.goes_back() {
        return Command::End(Outcome::Succeeded);
    }
    if run.goal.is_some() {
        return Command::Confirm;
    }
    // There was nowhere to go, and a person answered: what was left out is named, or it is looked at once more.
    match &run.cause {
        Some(cause) if deployment.residue.is_empty() => Command::Rollback(cause.clone()),
        _ => Command::End(ending(deployment)),
    }
}

/// How a way back ends once its goal is met, or a person said it is enough.
pub fn ending(deployment: &Deployment) -> Outcome {
    let asked_for = deployment
        .inputs
        .as_ref()
        .is_some_and(|inputs| inputs.kind != Kind::Deploy);
    if asked_for && deployment.plans.len() == 1 && deployment.residue.is_empty() {
        return Outcome::Succeeded;
    }
    let rollback = if deployment.residue.is_empty() {
        RollbackResult::Complete
    } else {
        RollbackResult::Incomplete
    };
    Outcome::Failed {
        rollback,
        residue: deployment.residue.clone(),
    }
}

fn abandoned(deployment: &Deployment) -> Vec<String> {
    let mut residue = deployment.residue.clone();
    if let Some((_, why)) = &deployment.parked {
        residue.push(format!("given up: {why}"));
    }
    residue
}

fn next_step(deployment: &Deployment, id: StepId, now_us: i64) -> Command {
    let (step, run) = deployment.step(id);
    let begin = match step.action {
        Action::Effect(_) => Command::Perform(id),
        Action::Verify { .. } => Command::Verify(id),
    };
    match &run.status {
        Status::Pending => begin,
        // A verification begun before a crash goes on; its time counts from its beginning.
        Status::Started => Command::Verify(id),
        Status::Unknown => {
            if run.attempts >= retry::cap(Class::Connectivity, deployment.goes_back()) {
                return give_up(deployment, id, &lost(run.attempts));
            }
            begin
        }
        Status::Failed(failure) => {
            if run.attempts >= retry::cap(failure.class, deployment.goes_back()) {
                return give_up(deployment, id, failure);
            }
            let due_us = run.ended_us + retry::pause_us(run.attempts, failure.retry_after_ms);
            if now_us < due_us {
                Command::WaitUntil(due_us)
            } else {
                begin
            }
        }
        Status::Refused(verdict) => {
            let ask = verdict.outcome == verdict::Outcome::Inconclusive
                && deployment
                    .inputs
                    .as_ref()
                    .is_some_and(|inputs| inputs.inconclusive == Inconclusive::Ask);
            if deployment.goes_back() || ask {
                return Command::Park {
                    step: Some(id),
                    why: verdict.sentence.clone(),
                };
            }
            failed(deployment, Cause::Verification(verdict.clone()))
        }
        Status::Done | Status::Skipped => {
            unreachable!("the caller asked for a step that is not over")
        }
    }
}

fn lost(attempts: u32) -> Failure {
    Failure {
        class: Class::Connectivity,
        effect: belay_model::error::Effect::NotApplied,
        message: format!("lost sight of the step {attempts} times"),
        detail: Vec::new(),
        retry_after_ms: None,
    }
}

/// A failed rollback never triggers another by itself (I9), and what someone else changed is theirs to judge (I10).
fn give_up(deployment: &Deployment, step: StepId, failure: &Failure) -> Command {
    if deployment.goes_back() || failure.class == Class::Conflict {
        let mut why = failure.message.clone();
        for line in &failure.detail {
            why.push_str("\n  ");
            why.push_str(line);
        }
        return Command::Park {
            step: Some(step),
            why,
        };
    }
    let failure = failure.clone();
    failed(deployment, Cause::Step { step, failure })
}

/// What policy says about a deployment that failed by itself. Someone who asks to go back is not asked for a policy.
fn failed(deployment: &Deployment, cause: Cause) -> Command {
    let policy = deployment
        .inputs
        .as_ref()
        .map(|inputs| inputs.on_first_failure);
    let is_first = deployment.baseline.is_absent() && !deployment.left.is_absent();
    if is_first && policy == Some(FirstFailure::Leave) {
        return Command::Leave(cause);
    }
    Command::Rollback(cause)
}
