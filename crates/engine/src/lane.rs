//! What each phase of a plan does next. Phases that wait for nobody run side by side, as many as the plan allows; within
//! one, step follows step.

use crate::decide::{Command, step_id};
use crate::fold::{Deployment, PlanRun, Status, StepRun};
use crate::mutant::{self, Mutant};
use crate::retry;
use belay_model::config::{FirstFailure, Inconclusive};
use belay_model::error::{Class, Effect, Failure};
use belay_model::event::Cause;
use belay_model::id::StepId;
use belay_model::plan::{Action, Approval, OnUnknown, Wave};
use belay_model::policy::Act;
use belay_model::verdict::{self, Verdict};
use std::collections::BTreeSet;

/// What one phase does next.
pub(crate) enum Next {
    /// It begins something.
    Begin(Command),
    /// What it is at is in hand.
    InHand,
    /// It waits for people.
    Waits,
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
    /// Whether a phase waits for people.
    pub(crate) is_waiting: bool,
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
    for (phase, index) in run.open_phases() {
        // A bake only watches: it takes nobody's turn.
        let bakes = run.step(index).bake;
        if open >= run.plan.parallel.max(1) && !bakes {
            continue;
        }
        let mut before = run.plan.phases[phase].after.iter();
        if !before.all(|before| run.is_phase_over(usize::from(*before))) {
            continue;
        }
        open += u16::from(!bakes);
        let id = step_id(number, index);
        let next = if in_hand.contains(&id) {
            Next::InHand
        } else {
            next_step(deployment, id, now_us)
        };
        match next {
            Next::Begin(command) => lanes.commands.push(command),
            Next::InHand => {}
            Next::Waits => lanes.is_waiting = true,
            Next::Until(at_us) => {
                lanes.until_us = Some(lanes.until_us.map_or(at_us, |until| until.min(at_us)));
            }
            stuck @ Next::Stuck(_) => {
                // It keeps nobody else from going on.
                open -= u16::from(!bakes);
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
    let wait = |within_ms| Command::Await {
        step: id,
        within_ms,
    };
    let begin = Next::Begin(match &step.action {
        Action::Effect(_) | Action::Run(_) => Command::Perform(id),
        Action::Verify { .. } => Command::Verify(id),
        Action::Approve(approval) => wait(approval.within_ms),
        Action::Wait { ms } => wait(Some(*ms)),
    });
    match run.status() {
        Status::Pending => begin,
        Status::Started => match &step.action {
            // Settled first, elsewhere.
            Action::Effect(_) | Action::Run(_) => Next::InHand,
            // A verification begun before a crash goes on; its time counts from its beginning.
            Action::Verify { .. } => begin,
            Action::Approve(approval) => {
                let yes = deployment.yes(approval, run).len();
                waits(id, run, approval, yes, now_us)
            }
            Action::Wait { .. } => match run.due_us {
                Some(due_us) if due_us > now_us => Next::Until(due_us),
                _ => finish(id, None),
            },
        },
        Status::Unknown => begin,
        Status::Failed(failure) => failed_step(deployment, id, failure, now_us, begin),
        Status::Refused(verdict) => refused_step(deployment, id, verdict, now_us, begin),
        Status::Done | Status::Ignored(_) | Status::Skipped => {
            unreachable!("asked of a step that is not over")
        }
    }
}

fn failed_step(
    deployment: &Deployment,
    id: StepId,
    failure: &Failure,
    now_us: i64,
    begin: Next,
) -> Next {
    let (_, run) = deployment.step(id);
    let is_final = deployment.is_final(id);
    let act = deployment.rule(id);
    if let Some(act @ Act::Retry { .. }) = act
        && !is_final
    {
        let pause_ms = act.pause_ms(run.failures);
        let pause_ms = failure.retry_after_ms.unwrap_or(0).max(pause_ms);
        return after(run.ended_us, pause_ms, now_us, begin);
    }
    if let Some(next) = act.and_then(|act| obey(deployment, id, act, failure, now_us)) {
        return next;
    }
    let is_spent = run.failures >= retry::cap(failure.class, deployment.goes_back());
    if is_spent || is_final {
        return give_up(deployment, id, failure, now_us);
    }
    let pause_ms = retry::pause_ms(run.failures, failure.retry_after_ms);
    after(run.ended_us, pause_ms, now_us, begin)
}

fn refused_step(
    deployment: &Deployment,
    id: StepId,
    verdict: &Verdict,
    now_us: i64,
    begin: Next,
) -> Next {
    let (_, run) = deployment.step(id);
    let failure = run.failure().expect("a refusal is a failure");
    let act = deployment.rule(id);
    if let Some(act @ Act::Retry { .. }) = act {
        return after(run.ended_us, act.pause_ms(run.failures), now_us, begin);
    }
    if let Some(next) = act.and_then(|act| obey(deployment, id, act, &failure, now_us)) {
        return next;
    }
    let inputs = deployment.inputs.as_ref();
    let ask = verdict.outcome == verdict::Outcome::Inconclusive
        && inputs.is_some_and(|inputs| inputs.inconclusive == Inconclusive::Ask);
    if deployment.goes_back() || ask {
        return park(id, verdict.sentence.clone());
    }
    failed(deployment, Cause::Verification(verdict.clone()))
}

fn after(ended_us: i64, pause_ms: u64, now_us: i64, begin: Next) -> Next {
    let pause_us = i64::try_from(pause_ms.saturating_mul(1000)).unwrap_or(i64::MAX / 2);
    let due_us = ended_us.saturating_add(pause_us);
    if now_us < due_us {
        Next::Until(due_us)
    } else {
        begin
    }
}

fn waits(id: StepId, run: &StepRun, approval: &Approval, yes: usize, now_us: i64) -> Next {
    if yes >= usize::from(approval.count.max(1)) {
        return finish(id, None);
    }
    match run.due_us {
        None => Next::Waits,
        Some(due_us) if due_us > now_us => Next::Until(due_us),
        Some(_) => {
            let count = approval.count;
            let message = format!("get it approved in time: {yes} of {count} said yes");
            finish(id, Some(failure(Class::Timeout, message)))
        }
    }
}

fn finish(step: StepId, failure: Option<Failure>) -> Next {
    Next::Begin(Command::Finish { step, failure })
}

/// None: what would be done without a rule.
fn obey(
    deployment: &Deployment,
    step: StepId,
    act: &Act,
    failure: &Failure,
    now_us: i64,
) -> Option<Next> {
    let cause = || match deployment.step(step).1.status() {
        Status::Refused(verdict) => Cause::Verification(verdict.clone()),
        _ => Cause::Step {
            step,
            failure: failure.clone(),
        },
    };
    match act {
        // Counted, and over by the time that this is asked.
        Act::Retry { .. } | Act::Ignore { .. } => None,
        Act::Ask { within_ms, then } => {
            Some(ask_person(step, told(failure), *within_ms, then, now_us))
        }
        Act::RollBackPhase if !mutant::is(Mutant::TakesAllBack) => {
            let run = &deployment.plans[usize::from(step.plan)];
            let phase = run.phase_of(usize::from(step.index));
            Some(Next::Fails(Command::Rollback(Cause::Phase {
                phase: u16::try_from(phase).expect("plans are bounded"),
                cause: Box::new(cause()),
            })))
        }
        Act::RollBack | Act::RollBackPhase => Some(Next::Fails(Command::Rollback(cause()))),
        Act::Stop => Some(Next::Fails(Command::Leave {
            cause: cause(),
            policy: "on_failure: stop",
        })),
    }
}

fn failure(class: Class, message: String) -> Failure {
    Failure {
        class,
        effect: Effect::NotApplied,
        message,
        detail: Vec::new(),
        retry_after_ms: None,
    }
}

fn told(failure: &Failure) -> String {
    let mut why = failure.message.clone();
    for line in &failure.detail {
        why.push_str("\n  ");
        why.push_str(line);
    }
    why
}

fn ask_person(step: StepId, why: String, within_ms: Option<u64>, then: &Act, now_us: i64) -> Next {
    let within_ms = within_ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX / 2000));
    Next::Stuck(Command::Park {
        step: Some(step),
        why,
        until_ms: within_ms.map(|ms| now_us / 1000 + ms),
        then: Some(then.clone()),
    })
}

fn park(step: StepId, why: String) -> Next {
    Next::Stuck(Command::Park {
        step: Some(step),
        why,
        until_ms: None,
        then: None,
    })
}

/// Whether a person shall say if what is ready will do, where a step of the way back could not bring up all of its capacity.
fn capacity_ask(deployment: &Deployment, step: StepId) -> Option<(Option<u64>, &Act)> {
    let (step, _) = deployment.step(step);
    let grows = step
        .effect()
        .is_some_and(|effect| effect.wave == Wave::Grow);
    let asks = grows && deployment.goes_back() && !mutant::is(Mutant::NeverAsks);
    let mut rules = step.on_failure.iter().filter(|_| asks);
    rules.find_map(|rule| match &rule.act {
        Act::Ask { within_ms, then } => Some((*within_ms, &**then)),
        _ => None,
    })
}

/// A failed rollback never triggers another by itself (I9), what someone else changed is theirs to judge (I10), and so is
/// what nobody knows the end of, where the plan says so.
fn give_up(deployment: &Deployment, step: StepId, failure: &Failure, now_us: i64) -> Next {
    let asks = match &deployment.step(step).0.action {
        Action::Run(run) => {
            run.on_unknown == OnUnknown::Ask && failure.effect == Effect::MaybeApplied
        }
        _ => false,
    };
    let tries_another = mutant::is(Mutant::TriesAnother) && deployment.plans.len() < 4;
    if let Some((within_ms, then)) = capacity_ask(deployment, step) {
        let why = format!(
            "not all of the capacity can be had: {}; `advance` goes on with what is ready, `retry` tries for all of it",
            told(failure)
        );
        return ask_person(step, why, within_ms, then, now_us);
    }
    if !tries_another && (deployment.goes_back() || failure.class == Class::Conflict || asks) {
        return park(step, told(failure));
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
        Command::Leave {
            cause,
            policy: "on_first_failure: leave",
        }
    } else {
        Command::Rollback(cause)
    })
}
