//! Plans. One planning function of the driver serves both ways; the engine cuts a strategy into stages, calls it
//! once per stage, and puts its own steps between. Pure.

use crate::capacity::Fitted;
use crate::mutant::{self, Mutant};
use crate::targets::{Place, Targets};
use belay_driver::{Capabilities, Error, Old, Split, Stage};
use belay_model::config::{At, BackCapacity, BackOrder, Check, CheckKind, Duration, Strategy};
use belay_model::error::Class;
use belay_model::event::{Inputs, PhaseInput};
use belay_model::plan::{Action, Effect, Look, Phase, Plan, Step, Wave};
use belay_model::policy::{Act, Rule};
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
    forward_beside(targets, from, from, goal, inputs)
}

/// The same where not all that is there serves: `beside` is what the new record shares the traffic with.
pub(crate) fn forward_beside(
    targets: &Targets,
    from: &States,
    beside: &States,
    goal: &Goal,
    inputs: &Inputs,
) -> Result<Plan, Error> {
    let live = checks_at(&inputs.checks, At::Live);
    let written = written(targets, inputs);
    let left_out = |place: &&Place| {
        let is_here = |input: &PhaseInput| input.target.as_ref() == Some(&place.target.name);
        !written.iter().any(is_here)
    };
    if let Some(place) = targets.iter().find(left_out) {
        let name = &place.target.name;
        let message =
            format!("no phase is about target {name}, so the release would never be there");
        return Err(Error::not_applied(Class::Application, message));
    }
    let mut phases: Vec<Phase> = Vec::new();
    let mut at = from.clone();
    for (number, input) in written.iter().enumerate() {
        let mut steps = input.before.clone();
        if let Some(name) = &input.target {
            let place = targets.get(name).ok_or_else(|| unknown(input, name))?;
            let is_alone = beside.of(name).is_absent() || at.of(name).is_absent();
            let (moves, then) = stages(place, at.of(name), is_alone, goal, input, inputs)?;
            at.set(name, then);
            steps.extend(moves);
            steps.extend(input.after.clone());
            let is_other = |other: &PhaseInput| other.target.as_ref() != Some(name);
            if written[number + 1..].iter().all(is_other) {
                promote(&mut steps, &live);
            }
        } else {
            steps.extend(input.after.clone());
        }
        for step in &mut steps {
            if mutant::is(Mutant::OuterFirst) {
                step.on_failure
                    .splice(0..0, inputs.on_failure.iter().cloned());
            }
            step.on_failure.extend(input.on_failure.iter().cloned());
            step.on_failure.extend(inputs.on_failure.iter().cloned());
        }
        phases.push(Phase {
            name: input.name.clone(),
            target: input.target.clone(),
            after: behind(&phases, input, !inputs.phases.is_empty()),
            steps,
        });
    }
    bake(&mut phases, &live, inputs.bake_ms);
    bounded(phases, inputs.parallel)
}

/// The phases that someone wrote, or one for each target.
fn written(targets: &Targets, inputs: &Inputs) -> Vec<PhaseInput> {
    if !inputs.phases.is_empty() {
        return inputs.phases.clone();
    }
    let of = |place: &Place| PhaseInput {
        name: place.target.name.clone(),
        target: Some(place.target.name.clone()),
        strategy: None,
        share: None,
        before: Vec::new(),
        after: Vec::new(),
        back_before: Vec::new(),
        back_after: Vec::new(),
        on_failure: Vec::new(),
    };
    targets.iter().map(of).collect()
}

fn unknown(input: &PhaseInput, target: &str) -> Error {
    let name = &input.name;
    Error::not_applied(
        Class::Application,
        format!("phase {name} is about target {target}, and there is no such target"),
    )
}

/// What a phase waits for: those before it on its target, and those that touch none, which may matter to all. One that
/// touches none waits for all. Phases that someone wrote follow each other; only parts of one go side by side.
fn behind(phases: &[Phase], input: &PhaseInput, is_written: bool) -> Vec<u16> {
    let before = |phase: &Phase| {
        let is_other = is_written && phase.name != input.name;
        let is_free = input.target.is_none() || phase.target.is_none();
        is_other || is_free || phase.target == input.target
    };
    let before = phases.iter().zip(0..).filter(|(phase, _)| before(phase));
    before.map(|(_, number)| number).collect()
}

/// The moves of one phase, and what its target is like then.
fn stages(
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
    bounded(phases, parallel)
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

/// The stage that gives the release a share, to be held.
fn by_share(share: u32, capabilities: Capabilities) -> Stage {
    Stage {
        share,
        capacity: share,
        old: match capabilities.split {
            Split::Instances => Old::Proportional,
            Split::Weights | Split::Platform | Split::None => Old::Keep,
        },
    }
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
                    },
                    hold_ms: 0,
                    last,
                }
            };
            (1..=units).map(part).collect()
        }
        Strategy::Canary(shares) => {
            let part = |step: &belay_model::config::CanaryStep| Part {
                stage: by_share(per_mille(step.to), capabilities),
                hold_ms: step.hold.map_or(0, belay_model::config::Duration::as_ms),
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
    let mut bakes: Vec<Phase> = Vec::new();
    for phase in phases.iter().filter(|phase| phase.target.is_some()) {
        if bakes.iter().any(|bake| bake.target == phase.target) {
            continue;
        }
        bakes.push(Phase {
            name: phase.target.clone().unwrap_or_default(),
            target: phase.target.clone(),
            after: all.clone(),
            steps: vec![step()],
        });
    }
    phases.extend(bakes);
}

fn phase(place: &Place, steps: Vec<Step>) -> Phase {
    Phase {
        name: place.target.name.clone(),
        target: Some(place.target.name.clone()),
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
    Step::of(Action::Effect(effect))
}

fn verify_step(look: Look, checks: Vec<Check>, hold_ms: u64) -> Step {
    Step::of(Action::Verify {
        look,
        checks,
        hold_ms,
    })
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
