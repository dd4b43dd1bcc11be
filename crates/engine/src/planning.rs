//! Plans. One planning function of the driver serves both ways; the engine cuts a strategy into stages, calls it
//! once per stage, and puts its own steps between. Pure.

use belay_driver::{Capabilities, Driver, Error, Old, Stage};
use belay_model::config::{At, Check, CheckKind, Strategy};
use belay_model::error::Class;
use belay_model::event::Inputs;
use belay_model::plan::{Action, Effect, Look, Phase, Plan, Step, Wave};
use belay_model::release::Target;
use belay_model::state::{Goal, State};

/// Most steps a plan may have (I11).
pub const MAX_STEPS: usize = 500;

/// One stage of a strategy and how long it is watched.
struct Part {
    stage: Stage,
    hold_ms: u64,
    last: bool,
}

/// The forward plan: from what is there to the new record, as slowly as the strategy says.
///
/// # Errors
/// The strategy is impossible on this platform, or the plan too long.
pub fn forward(
    driver: &dyn Driver,
    target: &Target,
    from: &State,
    goal: &Goal,
    inputs: &Inputs,
) -> Result<Plan, Error> {
    let capabilities = driver.capabilities(target);
    let nothing_beside = driver.diff(&goal.want, from).is_met() || from.is_absent();
    let parts = cut(&inputs.strategy, capabilities, nothing_beside)?;
    let staged = checks_at(&inputs.checks, At::Staged);
    let live = checks_at(&inputs.checks, At::Live);

    let mut steps = Vec::new();
    let mut at = from.clone();
    let mut staged_seen = staged.is_empty();
    for part in &parts {
        let effects = driver.plan(target, &at, goal, part.stage)?;
        for effect in &effects {
            at = driver.after(target, &at, effect);
        }
        let [grow, switch, shrink] = by_wave(effects);
        let grows = !grow.is_empty();
        steps.extend(grow.into_iter().map(effect_step));
        if grows && !staged_seen {
            steps.push(verify_step(Look::Staged, staged.clone(), 0));
            staged_seen = true;
        }
        steps.extend(switch.into_iter().map(effect_step));
        if !part.last && part.hold_ms > 0 {
            steps.push(verify_step(Look::Live, live.clone(), part.hold_ms));
        }
        steps.extend(shrink.into_iter().map(effect_step));
    }
    promote_and_bake(&mut steps, &live, inputs.bake_ms);
    bounded(target, steps)
}

/// The way back: one move to the goal, verified once between switch and shrink, no bake.
///
/// # Errors
/// The goal is impossible on this platform, or the plan too long.
pub fn back(
    driver: &dyn Driver,
    target: &Target,
    from: &State,
    goal: &Goal,
    checks: &[Check],
) -> Result<Plan, Error> {
    let [grow, switch, shrink] = by_wave(driver.plan(target, from, goal, Stage::BACK)?);
    let mut steps: Vec<Step> = grow.into_iter().chain(switch).map(effect_step).collect();
    if goal.record.is_some() {
        // Traffic checks compare two releases; on the way back there is one, and it was good.
        let live = without_traffic(checks_at(checks, At::Live));
        steps.push(verify_step(Look::Live, live, 0));
    }
    steps.extend(shrink.into_iter().map(effect_step));
    bounded(target, steps)
}

fn cut(
    strategy: &Strategy,
    capabilities: Capabilities,
    nothing_beside: bool,
) -> Result<Vec<Part>, Error> {
    let all = |old| Part {
        stage: Stage {
            share: 1000,
            capacity: 1000,
            old,
        },
        hold_ms: 0,
        last: true,
    };
    if let Some(why) = impossible(strategy, capabilities) {
        return Err(Error::not_applied(Class::Application, why));
    }
    // What cannot stand by is either at work or gone.
    let at_the_end = if capabilities.warm_standby {
        Old::Keep
    } else {
        Old::Remove
    };
    if nothing_beside {
        return Ok(vec![all(at_the_end)]);
    }
    Ok(match strategy {
        Strategy::Basic | Strategy::BlueGreen => vec![all(at_the_end)],
        Strategy::Rolling => {
            let units = capabilities.units.max(1);
            let part = |unit: u32| {
                let share = 1000 * unit / units;
                let last = unit == units;
                let old = if last { Old::Remove } else { Old::Proportional };
                Part {
                    stage: Stage {
                        share,
                        capacity: share,
                        old,
                    },
                    hold_ms: 0,
                    last,
                }
            };
            (1..=units).map(part).collect()
        }
        Strategy::Canary(shares) => {
            let part = |step: &belay_model::config::CanaryStep| {
                let share = per_mille(step.to);
                let stage = Stage {
                    share,
                    capacity: share,
                    old: Old::Keep,
                };
                Part {
                    stage,
                    hold_ms: step.hold.map_or(0, belay_model::config::Duration::as_ms),
                    last: false,
                }
            };
            let stages = shares
                .iter()
                .filter(|step| per_mille(step.to) < 1000)
                .map(part);
            stages.chain([all(at_the_end)]).collect()
        }
    })
}

/// Why a strategy cannot be carried out. The configuration is refused before, with the line: this is for plans whose
/// target is not what it was then. Rolling needs no weights: the share follows the instances.
fn impossible(strategy: &Strategy, capabilities: Capabilities) -> Option<&'static str> {
    match strategy {
        Strategy::Canary(_) if !capabilities.weights => {
            Some("a canary needs a share of the traffic, and this target cannot give one")
        }
        Strategy::BlueGreen if !capabilities.warm_standby => {
            Some("blue/green needs a release that stands by, and on this target none can")
        }
        _ => None,
    }
}

/// Marks where the release becomes good, and adds the bake.
fn promote_and_bake(steps: &mut Vec<Step>, live: &[Check], bake_ms: u64) {
    let once = without_traffic(live.to_vec());
    if !once.is_empty() || steps.is_empty() {
        steps.push(verify_step(Look::Live, once, 0));
    }
    if let Some(last) = steps.last_mut() {
        last.promotes = true;
    }
    if bake_ms > 0 {
        steps.push(Step {
            bake: true,
            ..verify_step(Look::Bake, live.to_vec(), bake_ms)
        });
    }
}

fn bounded(target: &Target, steps: Vec<Step>) -> Result<Plan, Error> {
    if steps.len() > MAX_STEPS {
        let message = format!(
            "the plan has {} steps, more than the {MAX_STEPS} allowed",
            steps.len()
        );
        return Err(Error::not_applied(Class::Application, message));
    }
    let phase = Phase {
        name: target.name.clone(),
        target: target.name.clone(),
        steps,
    };
    Ok(Plan {
        format: 1,
        phases: vec![phase],
    })
}

fn by_wave(effects: Vec<Effect>) -> [Vec<Effect>; 3] {
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

fn effect_step(effect: Effect) -> Step {
    Step {
        action: Action::Effect(effect),
        promotes: false,
        bake: false,
    }
}

fn verify_step(look: Look, checks: Vec<Check>, hold_ms: u64) -> Step {
    Step {
        action: Action::Verify {
            look,
            checks,
            hold_ms,
        },
        promotes: false,
        bake: false,
    }
}

fn checks_at(checks: &[Check], at: At) -> Vec<Check> {
    checks
        .iter()
        .filter(|check| check.at() == at)
        .cloned()
        .collect()
}

/// Shares are kept in basis points where people write them, and in per mille where traffic is split; half a per mille
/// is rounded up so that no stage is empty.
fn per_mille(share: belay_model::config::Percent) -> u32 {
    share.as_basis_points().div_ceil(10)
}

fn without_traffic(checks: Vec<Check>) -> Vec<Check> {
    let is_traffic = |check: &Check| matches!(check.kind(), Ok(CheckKind::Traffic(_)));
    checks
        .into_iter()
        .filter(|check| !is_traffic(check))
        .collect()
}
