//! Plans. One planning function of the driver serves both ways; the engine cuts a strategy into stages, calls it
//! once per stage, and puts its own steps between. Pure.

use crate::targets::{Place, Targets};
use belay_driver::{Capabilities, Error, Old, Split, Stage};
use belay_model::config::{At, Check, CheckKind, Strategy};
use belay_model::error::Class;
use belay_model::event::Inputs;
use belay_model::plan::{Action, Effect, Look, Phase, Plan, Step, Wave};
use belay_model::state::{Goal, State, States};

/// Most steps a plan may have (I11).
pub const MAX_STEPS: usize = 500;

/// One stage of a strategy and how long it is watched.
struct Part {
    stage: Stage,
    hold_ms: u64,
    last: bool,
}

/// The forward plan: from what is there to the new record, as slowly as the strategy says; the record's targets in their
/// order, as many side by side as the inputs allow, and the bake once all of them are done.
///
/// # Errors
/// The strategy is impossible on this platform, or the plan too long.
pub fn forward(
    targets: &Targets,
    from: &States,
    goal: &Goal,
    inputs: &Inputs,
) -> Result<Plan, Error> {
    let live = checks_at(&inputs.checks, At::Live);
    let mut phases = Vec::new();
    for place in targets.iter() {
        let mut steps = stages(place, from.of(&place.target.name), goal, inputs)?;
        promote(&mut steps, &live);
        phases.push(phase(place, steps));
    }
    bake(&mut phases, &live, inputs.bake_ms);
    bounded(phases, inputs.parallel)
}

/// The steps of one target, up to its promotion.
fn stages(place: &Place, from: &State, goal: &Goal, inputs: &Inputs) -> Result<Vec<Step>, Error> {
    let Place { target, driver } = place;
    let capabilities = driver.capabilities(target);
    let is_met = driver.diff(goal.want.of(&target.name), from).is_met();
    possible(inputs, capabilities)?;
    let parts = cut(&inputs.strategy, capabilities, is_met || from.is_absent());
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
    Ok(steps)
}

/// The way back: one move to the goal on each target, in the reverse of their order, verified once between switch and
/// shrink, no bake.
///
/// # Errors
/// The goal is impossible on this platform, or the plan too long.
pub fn back(
    targets: &Targets,
    from: &States,
    goal: &Goal,
    checks: &[Check],
    parallel: u16,
) -> Result<Plan, Error> {
    let mut phases = Vec::new();
    for place in targets.iter() {
        let Place { target, driver } = place;
        let from = from.of(&target.name);
        let [grow, switch, shrink] = by_wave(driver.plan(target, from, goal, Stage::BACK)?);
        let mut steps: Vec<Step> = grow.into_iter().chain(switch).map(effect_step).collect();
        let serves = goal.record.as_ref().and_then(|hash| goal.records.get(hash));
        if serves.is_some_and(|record| record.target(&target.name).is_some()) {
            // Traffic checks compare two releases; on the way back there is one, and it was good.
            let live = without_traffic(checks_at(checks, At::Live));
            steps.push(verify_step(Look::Live, live, 0));
        }
        steps.extend(shrink.into_iter().map(effect_step));
        phases.push(phase(place, steps));
    }
    phases.reverse();
    bounded(phases, parallel)
}

/// What the platform cannot do is refused before anything is changed, on a first deployment, too: what was asked for must
/// not turn out to be impossible later.
fn possible(inputs: &Inputs, capabilities: Capabilities) -> Result<(), Error> {
    let is_canary = matches!(inputs.strategy, Strategy::Canary(_));
    let is_blue_green = matches!(inputs.strategy, Strategy::BlueGreen);
    let is_rolling = matches!(inputs.strategy, Strategy::Rolling);
    let why = if is_canary && capabilities.split == Split::Platform {
        "a canary needs a share of the traffic: this target's platform replaces all instances by itself"
    } else if is_blue_green && !capabilities.warm_standby {
        "blue-green needs room for a release without traffic: this target has none"
    } else if is_rolling && capabilities.units == 0 {
        "rolling replaces copies one by one: this target replaces a release whole"
    } else if !capabilities.warm_standby && !checks_at(&inputs.checks, At::Staged).is_empty() {
        // Left out they would count as passed (I8).
        "checks at `staged` need a release without traffic: on this target none can stand beside the one that serves"
    } else {
        return Ok(());
    };
    Err(Error::not_applied(Class::Application, why))
}

fn cut(strategy: &Strategy, capabilities: Capabilities, nothing_beside: bool) -> Vec<Part> {
    let all = |old| Part {
        stage: Stage {
            share: 1000,
            capacity: 1000,
            old,
        },
        hold_ms: 0,
        last: true,
    };
    if nothing_beside {
        return vec![all(Old::Keep)];
    }
    match strategy {
        Strategy::Basic | Strategy::BlueGreen => vec![all(Old::Keep)],
        Strategy::Rolling if capabilities.split == Split::Platform => vec![all(Old::Remove)],
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
                let old = match capabilities.split {
                    Split::Instances => Old::Proportional,
                    Split::Weights | Split::Platform => Old::Keep,
                };
                let stage = Stage {
                    share,
                    capacity: share,
                    old,
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
            stages.chain([all(Old::Keep)]).collect()
        }
    }
}

/// Marks where the release is promoted on a target: it becomes good when it is on all of them.
fn promote(steps: &mut Vec<Step>, live: &[Check]) {
    let once = without_traffic(live.to_vec());
    if !once.is_empty() || steps.is_empty() {
        steps.push(verify_step(Look::Live, once, 0));
    }
    if let Some(last) = steps.last_mut() {
        last.promotes = true;
    }
}

/// Adds the bake: behind the promotion of the only target, or of all of them.
fn bake(phases: &mut Vec<Phase>, live: &[Check], bake_ms: u64) {
    if bake_ms == 0 {
        return;
    }
    let step = || Step {
        bake: true,
        ..verify_step(Look::Bake, live.to_vec(), bake_ms)
    };
    if let [only] = phases.as_mut_slice() {
        only.steps.push(step());
        return;
    }
    let all: Vec<u16> = (0..).take(phases.len()).collect();
    let bakes = phases.iter().map(|phase| Phase {
        name: format!("{} bakes", phase.name),
        target: phase.target.clone(),
        after: all.clone(),
        steps: vec![step()],
    });
    let bakes: Vec<Phase> = bakes.collect();
    phases.extend(bakes);
}

fn phase(place: &Place, steps: Vec<Step>) -> Phase {
    Phase {
        name: place.target.name.clone(),
        target: place.target.name.clone(),
        after: Vec::new(),
        steps,
    }
}

fn bounded(phases: Vec<Phase>, parallel: u16) -> Result<Plan, Error> {
    let plan = Plan {
        parallel,
        ..Plan::of(phases)
    };
    let steps = plan.len();
    if steps > MAX_STEPS {
        let message = format!("the plan has {steps} steps, more than the {MAX_STEPS} allowed");
        return Err(Error::not_applied(Class::Application, message));
    }
    Ok(plan)
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
