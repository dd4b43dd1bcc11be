//! A strategy cut into stages: the moves of one phase on its target, with what is checked and asked between them.

use super::steps::{by_wave, checks_at, effect_step, verify_step};
use crate::targets::Place;
use belay_driver::{Capabilities, Error, Old, Split, Stage};
use belay_model::config::{At, BackCapacity, CanaryStep, Duration, Percent, Strategy};
use belay_model::error::Class;
use belay_model::event::{Inputs, PhaseInput};
use belay_model::plan::{Action, Look, Step};
use belay_model::state::{Goal, State};

/// One stage of a strategy and how long it is watched.
struct Part {
    stage: Stage,
    hold_ms: u64,
    last: bool,
}

/// The moves of one phase, and what its target is like then.
pub(super) fn stages(
    place: &Place,
    from: &State,
    is_alone: bool,
    goal: &Goal,
    input: &PhaseInput,
    inputs: &Inputs,
) -> Result<(Vec<Step>, State), Error> {
    let Place { target, driver } = place;
    let capabilities = driver.capabilities(target);
    let is_met = driver.diff(goal.want.of(&target.name), from).is_met();
    let strategy = input.strategy.as_ref().unwrap_or(&inputs.strategy);
    let share = input.share.filter(|share| *share < 1000);
    possible(strategy, share, inputs, capabilities)?;
    let shares = matches!(capabilities.split, Split::Weights | Split::Instances);
    let has_number = driver
        .capacity(target, goal.want.of(&target.name))
        .is_some();
    if inputs.back_order.capacity == BackCapacity::Proportional && !(shares && has_number) {
        let why = "going back with capacity in proportion to the users that are moved needs shares of the traffic and a number of \
                   instances, and this target does not have both";
        return Err(Error::not_applied(Class::Application, why));
    }
    // A share of nobody's traffic would be all of it, on a part of the copies.
    let is_alone = is_alone || is_met || shares && place.serves_nobody(from, goal)?;
    let parts = match share.filter(|_| !is_alone || is_met) {
        Some(share) => vec![Part {
            stage: by_share(share, capabilities),
            hold_ms: 0,
            last: false,
        }],
        None => cut(strategy, capabilities, is_alone),
    };
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
        if let Some(approval) = inputs.approve.clone().filter(|_| part.last) {
            steps.push(Step::of(Action::Approve(approval)));
        }
        steps.extend(switch.into_iter().map(effect_step));
        if !part.last && part.hold_ms > 0 {
            steps.push(verify_step(Look::Live, live.clone(), part.hold_ms));
        }
        steps.extend(shrink.into_iter().map(effect_step));
    }
    Ok((steps, at))
}

/// What the platform cannot do is refused before anything is changed, on a first deployment, too: what was asked for must
/// not turn out to be impossible later. The configuration is refused before, with the line, where it tells enough.
fn possible(
    strategy: &Strategy,
    share: Option<u32>,
    inputs: &Inputs,
    capabilities: Capabilities,
) -> Result<(), Error> {
    let is_canary = matches!(strategy, Strategy::Canary(_));
    let is_blue_green = matches!(strategy, Strategy::BlueGreen);
    let is_rolling = matches!(strategy, Strategy::Rolling);
    let shares = matches!(capabilities.split, Split::Weights | Split::Instances);
    let why = if is_canary && !shares {
        "a canary needs a share of the traffic, and this target cannot give one"
    } else if share.is_some() && !shares {
        "a phase cannot go a part of the way: this target cannot give a share of the traffic"
    } else if is_blue_green && !capabilities.warm_standby {
        "blue/green needs a release that stands by without traffic, and on this target none can"
    } else if is_rolling && capabilities.units == 0 {
        "rolling replaces copies one by one: this target replaces a release whole"
    } else if !capabilities.staged && !checks_at(&inputs.checks, At::Staged).is_empty() {
        // Left out they would count as passed (I8).
        "checks at `staged` need a release that is ready before it is reached, and on this target none can be"
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
            overwrites: false,
        },
        hold_ms: 0,
        last: true,
    };
    // What cannot stand by is either at work or gone.
    let at_the_end = if capabilities.warm_standby {
        Old::Keep
    } else {
        Old::Remove
    };
    if nothing_beside {
        return vec![all(at_the_end)];
    }
    match strategy {
        Strategy::Basic | Strategy::BlueGreen => vec![all(at_the_end)],
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
                        overwrites: false,
                    },
                    hold_ms: 0,
                    last,
                }
            };
            (1..=units).map(part).collect()
        }
        Strategy::Canary(shares) => {
            let part = |step: &CanaryStep| Part {
                stage: by_share(per_mille(step.to), capabilities),
                hold_ms: step.hold.map_or(0, Duration::as_ms),
                last: false,
            };
            let stages = shares
                .iter()
                .filter(|step| per_mille(step.to) < 1000)
                .map(part);
            stages.chain([all(at_the_end)]).collect()
        }
    }
}

/// The stage that gives the release a share, to be held.
pub(super) fn by_share(share: u32, capabilities: Capabilities) -> Stage {
    Stage {
        share,
        capacity: share,
        old: match capabilities.split {
            Split::Instances => Old::Proportional,
            Split::Weights | Split::Platform | Split::None => Old::Keep,
        },
        overwrites: false,
    }
}

/// Shares are kept in basis points where people write them, and in per mille where traffic is split; half a per mille
/// is rounded up so that no stage is empty.
fn per_mille(share: Percent) -> u32 {
    share.as_basis_points().div_ceil(10)
}
