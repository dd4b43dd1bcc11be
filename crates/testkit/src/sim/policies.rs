//! What is done about a failure: of the rules of a step, its group, its phase and its deployment the first that fits and is
//! not spent, found here a second time.

use super::audit::Audit;
use belay_engine::fold::{Deployment, Status, StepRun};
use belay_model::error::{Class, Effect, Failure};
use belay_model::event::{Cause, Inputs};
use belay_model::id::StepId;
use belay_model::plan::{Action, OnUnknown, Step};
use belay_model::policy::{Act, Rule};

/// How often a step may be lost sight of.
const LOSSES: u32 = 3;

fn rules<'a>(
    deployment: &'a Deployment,
    inputs: &'a Inputs,
    id: StepId,
) -> impl Iterator<Item = &'a Rule> {
    let run = &deployment.plans[0];
    let phase = &run.plan.phases[run.phase_of(usize::from(id.index))];
    let title = run.step(usize::from(id.index)).title();
    // A bake is no part of what somebody wrote.
    let is_bake = run.step(usize::from(id.index)).bake;
    let written = inputs
        .phases
        .iter()
        .filter(move |it| it.name == phase.name && !is_bake);
    let steps = written
        .clone()
        .flat_map(|it| it.before.iter().chain(&it.after));
    let own = steps.filter(move |step| step.title() == title);
    let own = own.flat_map(|step| &step.on_failure);
    own.chain(written.flat_map(|it| &it.on_failure))
        .chain(inputs.on_failure.iter().filter(move |_| !is_bake))
}

/// What the first rule says that fits.
pub(super) fn act<'a>(
    deployment: &'a Deployment,
    inputs: &'a Inputs,
    id: StepId,
    class: Class,
) -> Option<&'a Act> {
    let (step, run) = deployment.step(id);
    let is_final = is_final(step, run);
    let is_spent =
        |act: &Act| matches!(act, Act::Retry { times, .. } if is_final || run.failures > *times);
    let mut fits = rules(deployment, inputs, id).filter(|rule| rule.on.contains(&class));
    let mut act = &fits.find(|rule| !is_spent(&rule.act))?.act;
    while let Act::Ask { then, .. } = act {
        if !run.is_lapsed {
            break;
        }
        act = then;
    }
    Some(act)
}

/// Whether trying again is no answer: its workers died over it, or it may be half done and is not to be done twice.
fn is_final(step: &Step, run: &StepRun) -> bool {
    let may_repeat = match &step.action {
        Action::Effect(effect) => effect.idempotent,
        Action::Run(run) => run.on_unknown == OnUnknown::Retry,
        Action::Verify { .. } | Action::Approve(_) | Action::Wait { .. } => true,
    };
    let may_be_done = |failure: Failure| failure.effect == Effect::MaybeApplied;
    run.losses >= LOSSES || !may_repeat && run.failure().is_some_and(may_be_done)
}

impl Audit {
    /// Of a way back that began by itself; `deployment`: as it was then.
    pub(super) fn by_policy(&self, deployment: &Deployment, inputs: &Inputs, cause: &Cause) {
        let is_phase = matches!(cause, Cause::Phase { .. });
        let inner = match cause {
            Cause::Phase { cause, .. } => cause.as_ref(),
            other => other,
        };
        let mut is_right = true;
        for (id, failure) in failed(deployment, inner) {
            let act = act(deployment, inputs, id, failure.class);
            is_right = match act {
                None | Some(Act::RollBack) => !is_phase,
                Some(Act::RollBackPhase) => is_phase,
                Some(Act::Retry { .. } | Act::Ignore { .. } | Act::Ask { .. } | Act::Stop) => false,
            };
            if is_right {
                let own = rules(deployment, inputs, id).count();
                self.count(match act {
                    None => "failures: no rule",
                    Some(_) if own > inputs.on_failure.len() => "failures: by an inner rule",
                    Some(_) => "failures: by a rule of the deployment",
                });
                break;
            }
        }
        if !is_right {
            let why = inner.sentence();
            self.breach(format!(
                "failures: it goes back, and no rule says so (phase only: {is_phase}): {why}"
            ));
        }
    }

    /// It ended as it was, because a rule says so.
    pub(super) fn left_by_policy(&self, deployment: &Deployment, inputs: &Inputs) {
        let Some(run) = deployment.plans.first() else {
            return;
        };
        let mut says_so = (0..).zip(&run.steps).filter_map(|(index, course)| {
            act(
                deployment,
                inputs,
                StepId { plan: 0, index },
                course.failure()?.class,
            )
        });
        self.count("failures: left as it is");
        if !says_so.any(|act| *act == Act::Stop) {
            self.breach("failures: it was left as it is, and no rule says so");
        }
    }

    /// A person is asked for a while, because a rule says so.
    pub(super) fn asks_by_policy(&self, deployment: &Deployment, inputs: &Inputs, id: StepId) {
        let failure = deployment.step(id).1.failure();
        let act = failure.and_then(|failure| act(deployment, inputs, id, failure.class));
        self.count("failures: a person is asked for a while");
        if !matches!(act, Some(Act::Ask { .. })) {
            self.breach(format!(
                "failures: a person is asked about {id}, and the rules say {act:?}"
            ));
        }
    }
}

/// The steps that it may be about: of several with the same verdict nobody says which.
fn failed(deployment: &Deployment, cause: &Cause) -> Vec<(StepId, Failure)> {
    match cause {
        Cause::Step { step, failure } => vec![(*step, failure.clone())],
        Cause::Verification(verdict) => {
            let steps = deployment.plans.iter().take(1);
            let steps = steps.flat_map(|run| (0..).zip(&run.steps));
            let refused = steps.filter(
                |(_, course)| matches!(course.status(), Status::Refused(it) if it == verdict),
            );
            let of = |(index, course): (u16, &StepRun)| {
                Some((StepId { plan: 0, index }, course.failure()?))
            };
            refused.filter_map(of).collect()
        }
        _ => Vec::new(),
    }
}
