//! What both ways are made of: steps, in the order of their waves, and no more of them than allowed.

use belay_driver::Error;
use belay_model::config::{At, Check, CheckKind};
use belay_model::error::Class;
use belay_model::plan::{Action, Effect, Look, Phase, Plan, Step, Wave};

/// Most steps that a plan of a release may have (I11).
pub const MAX_STEPS: usize = 500;
/// Most steps that the moves of a way back may have. More than those of any release: on each target a way back can take
/// more steps than the way there did, and what could go out has to be able to go back.
pub const MAX_STEPS_BACK: usize = 4 * MAX_STEPS;

pub(super) fn bounded(phases: Vec<Phase>, parallel: u16, most: usize) -> Result<Plan, Error> {
    let plan = Plan {
        parallel,
        ..Plan::of(phases)
    };
    let steps = plan.len();
    if steps > most {
        let message = format!("the plan has {steps} steps, more than the {most} allowed");
        return Err(Error::not_applied(Class::Application, message));
    }
    Ok(plan)
}

pub(super) fn by_wave(effects: Vec<Effect>) -> [Vec<Effect>; 3] {
    let mut waves = [Vec::new(), Vec::new(), Vec::new()];
    for effect in effects {
        let wave = match effect.wave {
            Wave::Grow => 0,
            Wave::Switch => 1,
            Wave::Shrink => 2,
        };
        waves[wave].push(effect);
    }
    waves
}

pub(super) fn effect_step(effect: Effect) -> Step {
    Step::of(Action::Effect(effect))
}

pub(super) fn verify_step(look: Look, checks: Vec<Check>, hold_ms: u64) -> Step {
    Step::of(Action::Verify {
        look,
        checks,
        hold_ms,
    })
}

pub(super) fn checks_at(checks: &[Check], at: At) -> Vec<Check> {
    checks
        .iter()
        .filter(|check| check.at() == at)
        .cloned()
        .collect()
}

pub(super) fn without_traffic(checks: Vec<Check>) -> Vec<Check> {
    let is_traffic = |check: &Check| matches!(check.kind(), Ok(CheckKind::Traffic(_)));
    checks
        .into_iter()
        .filter(|check| !is_traffic(check))
        .collect()
}
