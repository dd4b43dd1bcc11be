//! What each phase of a plan does next. Phases that wait for nobody run side by side, as many as the plan allows; within
//! one, step follows step.

use crate::decide::{Command, step_id};
use crate::fold::{Deployment, PlanRun, Status};
use crate::retry;
use belay_model::config::{FirstFailure, Inconclusive};
use belay_model::error::{Class, Effect, Failure};
use belay_model::event::Cause;
use belay_model::id::StepId;
use belay_model::plan::Action;
use belay_model::verdict;
use std::collections::BTreeSet;

/// What one phase does next.
pub(crate) enum Next {
    /// It begins something.
    Begin(Command),
    /// What it is at is in hand.
    InHand,
    /// Nothing before that time, Unix microseconds.
    Until(i64),
    /// A person has to answer; others go on.
    Stuck(Command),
    /// The deployment cannot go on: this is the end of it.
    Fails(Command),
}

/// What all phases do next, together.
#[derive(Default)]
pub(crate) struct Lanes {
    /// What begins.
    pub(crate) commands: Vec<Command>,
    /// The earliest time that something waits for, Unix microseconds.
    pub(crate) until_us: Option<i64>,
    /// The first phase that is stuck.
    pub(crate) stuck: Option<Next>,
    /// The first phase that ends the deployment.
    pub(crate) failed: Option<Next>,
}

pub(crate) fn next(
    deployment: &Deployment,
    number: u16,
    run: &PlanRun,
    in_hand: &BTreeSet<StepId>,
    now_us: i64,
) -> Lanes {
    let mut lanes = Lanes::default();
    let mut open = 0;
    for phase in 0..run.plan.phases.len() {
        if open >= run.plan.parallel.max(1) {
            break;
        }
        let Some(index) = run.at(phase) else { continue };
        let mut before = run.plan.phases[phase].after.iter();
        if !before.all(|before| run.is_phase_over(usize::from(*before))) {
            continue;
        }
        open += 1;
        let id = step_id(number, index);
        let next = if in_hand.contains(&id) {
            Next::InHand
        } else {
            next_step(deployment, id, now_us)
        };
        match next {
            Next::Begin(command) => lanes.commands.push(command),
            Next::InHand => {}
            Next::Until(at_us) => {
                lanes.until_us = Some(lanes.until_us.map_or(at_us, |until| until.min(at_us)));
            }
            stuck @ Next::Stuck(_) => {
                // It keeps nobody else from going on.
                open -= 1;
                lanes.stuck.get_or_insert(stuck);
            }
            failed @ Next::Fails(_) => {
                lanes.failed.get_or_insert(failed);
            }
        }
    }
    lanes
}

fn next_step(deployment: &Deployment, id: StepId, now_us: i64) -> Next {
    let (step, run) = deployment.step(id);
    let begin = match step.action {
        Action::Effect(_) => Next::Begin(Command::Perform(id)),
        Action::Verify { .. } => Next::Begin(Command::Verify(id)),
    };
    match &run.status {
        Status::Pending => begin,
        Status::Started => match step.action {
            // Settled first, elsewhere.
            Action::Effect(_) => Next::InHand,
            // A verification begun before a crash goes on; its time counts from its beginning.
            Action::Verify { .. } => Next::Begin(Command::Verify(id)),
        },
        Status::Unknown => {
            if run.losses >= retry::cap(Class::Connectivity, deployment.goes_back()) {
                return give_up(deployment, id, &lost(run.losses));
            }
            begin
        }
        Status::Failed(failure) => {
            let is_spent = run.failures >= retry::cap(failure.class, deployment.goes_back());
            if is_spent || !may_repeat(&step.action, failure) {
                return give_up(deployment, id, failure);
            }
            let due_us = run.ended_us + retry::pause_us(run.failures, failure.retry_after_ms);
            if now_us < due_us {
                Next::Until(due_us)
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
                return Next::Stuck(Command::Park {
                    step: Some(id),
                    why: verdict.sentence.clone(),
                });
            }
            failed(deployment, Cause::Verification(verdict.clone()))
        }
        Status::Done | Status::Skipped => unreachable!("asked of a step that is not over"),
    }
}

/// I4: what may have been done in part is done again only where doing it twice equals doing it once.
fn may_repeat(action: &Action, failure: &Failure) -> bool {
    match action {
        Action::Effect(effect) => effect.idempotent || failure.effect == Effect::NotApplied,
        Action::Verify { .. } => true,
    }
}

fn lost(attempts: u32) -> Failure {
    Failure {
        class: Class::Connectivity,
        effect: Effect::NotApplied,
        message: format!("lost sight of the step {attempts} times"),
        detail: Vec::new(),
        retry_after_ms: None,
    }
}

/// A failed rollback never triggers another by itself (I9), and what someone else changed is theirs to judge (I10).
fn give_up(deployment: &Deployment, step: StepId, failure: &Failure) -> Next {
    if deployment.goes_back() || failure.class == Class::Conflict {
        let mut why = failure.message.clone();
        for line in &failure.detail {
            why.push_str("\n  ");
            why.push_str(line);
        }
        return Next::Stuck(Command::Park {
            step: Some(step),
            why,
        });
    }
    let failure = failure.clone();
    failed(deployment, Cause::Step { step, failure })
}

/// What policy says about a deployment that failed by itself. Someone who asks to go back is not asked for a policy.
fn failed(deployment: &Deployment, cause: Cause) -> Next {
    let policy = deployment
        .inputs
        .as_ref()
        .map(|inputs| inputs.on_first_failure);
    let is_first = deployment.baseline.is_absent() && !deployment.left.is_absent();
    Next::Fails(if is_first && policy == Some(FirstFailure::Leave) {
        Command::Leave(cause)
    } else {
        Command::Rollback(cause)
    })
}
