//! The way back: one move, or parts of it where users are moved as instances get ready.

use super::stages::by_share;
use super::steps::{
    MAX_STEPS_BACK, bounded, by_wave, checks_at, effect_step, verify_step, without_traffic,
};
use crate::capacity::Fitted;
use crate::mutant::{self, Mutant};
use crate::targets::{Place, Targets};
use belay_driver::{Error, Split, Stage};
use belay_model::config::{At, BackCapacity, BackOrder, Check, Duration};
use belay_model::plan::{Action, Effect, Look, Phase, Plan, Step, Wave};
use belay_model::policy::{Act, Rule};
use belay_model::state::{State, States};

/// The way back: one move to the goal on each target, in the reverse of their order, verified once between switch and
/// shrink, no bake. What was brought up beyond the goal's own scale goes last. With capacity in proportion a target where
/// something has to be brought up is moved to in parts, with nothing between them but that their instances are ready.
///
/// # Errors
/// The goal is impossible on this platform, or the plan too long.
pub fn back(
    targets: &Targets,
    from: &States,
    fitted: &Fitted,
    checks: &[Check],
    parallel: u16,
    order: &BackOrder,
) -> Result<Plan, Error> {
    let goal = &fitted.goal;
    let mut phases = Vec::new();
    for place in targets.iter() {
        let target = &place.target;
        let from = from.of(&target.name);
        let (parts, from) = parts(place, from, fitted, order)?;
        let [grow, switch, shrink] = by_wave(one_move(place, &from, fitted)?);
        let (first, last) = match mutant::is(Mutant::ShrinksFirst) {
            true => (shrink, [grow, switch].concat()),
            false => ([parts, grow, switch].concat(), shrink),
        };
        let mut steps: Vec<Step> = first.into_iter().map(effect_step).collect();
        if order.capacity == BackCapacity::Ask {
            ask_for_capacity(&mut steps, order.ask_within);
        }
        let serves = goal.record.as_ref().and_then(|hash| goal.records.get(hash));
        if serves.is_some_and(|record| record.target(&target.name).is_some()) {
            // Traffic checks compare two releases; on the way back there is one, and it was good.
            let live = without_traffic(checks_at(checks, At::Live));
            steps.push(verify_step(Look::Live, live, 0));
        }
        steps.extend(last.into_iter().map(effect_step));
        if mutant::is(Mutant::GoesBackSlowly) {
            let switches = |step: &Step| matches!(&step.action, Action::Effect(effect) if effect.wave == Wave::Switch);
            if let Some(switch) = steps.iter().find(|step| switches(step)).cloned() {
                steps.push(switch);
            }
        }
        phases.push(phase(place, steps));
    }
    phases.reverse();
    bounded(phases, parallel, MAX_STEPS_BACK)
}

/// The most parts that a way back is cut into.
const PARTS: u32 = 4;

/// What goes before the move itself where users may be moved as their instances get ready, and what is there then. Each part
/// is a share of both. Nothing, where nothing has to be brought up, or nobody serves that could have the rest.
fn parts(
    place: &Place,
    from: &State,
    fitted: &Fitted,
    order: &BackOrder,
) -> Result<(Vec<Effect>, State), Error> {
    let Place { target, driver } = place;
    let goal = fitted.brought_up();
    let (mut effects, mut at) = (Vec::new(), from.clone());
    let capabilities = driver.capabilities(target);
    let capacity = driver.capacity(target, goal.want.of(&target.name));
    let serves = driver.capacity(target, from);
    let (Some(capacity), Some(_)) = (capacity, serves) else {
        return Ok((effects, at));
    };
    let is_possible = matches!(capabilities.split, Split::Weights | Split::Instances);
    if order.capacity != BackCapacity::Proportional || !is_possible {
        return Ok((effects, at));
    }
    let whole = driver.plan(target, from, &goal, Stage::BACK)?;
    if !whole.iter().any(|effect| effect.wave == Wave::Grow) {
        return Ok((effects, at));
    }
    let count = capacity.desired.clamp(1, PARTS);
    for part in 1..count {
        let mut stage = by_share(1000 * part / count, capabilities);
        stage.overwrites = true;
        if mutant::is(Mutant::MovesUsersFirst) {
            stage.capacity /= 2;
        }
        for effect in by_wave(driver.plan(target, &at, &goal, stage)?).concat() {
            at = driver.after(target, &at, &effect);
            effects.push(effect);
        }
    }
    Ok((effects, at))
}

/// Where not all of the capacity can be had, a person decides whether what is ready will do.
fn ask_for_capacity(steps: &mut [Step], within: Option<Duration>) {
    let grows = |step: &&mut Step| {
        let wave = step.effect().map(|effect| effect.wave);
        wave == Some(Wave::Grow)
    };
    for step in steps.iter_mut().filter(grows) {
        step.on_failure = vec![Rule {
            on: Vec::new(),
            act: Act::Ask {
                within_ms: within.map(Duration::as_ms),
                then: Box::new(Act::Ignore { as_passed: false }),
            },
        }];
    }
}

fn one_move(place: &Place, from: &State, fitted: &Fitted) -> Result<Vec<Effect>, Error> {
    let Place { target, driver } = place;
    let goal = &fitted.goal;
    if fitted.up.of(&target.name) == goal.want.of(&target.name) {
        return driver.plan(target, from, goal, Stage::BACK);
    }
    let mut effects = driver.plan(target, from, &fitted.brought_up(), Stage::BACK)?;
    let after = |at: State, effect: &Effect| driver.after(target, &at, effect);
    let at = effects.iter().fold(from.clone(), after);
    effects.extend(driver.plan(target, &at, goal, Stage::BACK)?);
    Ok(effects)
}

fn phase(place: &Place, steps: Vec<Step>) -> Phase {
    Phase {
        name: place.target.name.clone(),
        target: Some(place.target.name.clone()),
        after: Vec::new(),
        steps,
    }
}
