//! The forward plan: what each phase does, in which order, and where the release is promoted and watched.

use super::stages::stages;
use super::steps::{MAX_STEPS, bounded, checks_at, verify_step, without_traffic};
use crate::mutant::{self, Mutant};
use crate::targets::{Place, Targets};
use belay_driver::Error;
use belay_model::config::{At, Check};
use belay_model::error::Class;
use belay_model::event::{Inputs, PhaseInput};
use belay_model::plan::{Look, Phase, Plan, Step};
use belay_model::state::{Goal, States};

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
    bounded(phases, inputs.parallel, MAX_STEPS)
}

/// The phases that someone wrote, or one for each target.
fn written(targets: &Targets, inputs: &Inputs) -> Vec<PhaseInput> {
    if !inputs.phases.is_empty() {
        return inputs.phases.clone();
    }
    let of = |place: &Place| PhaseInput::of(&place.target.name, Some(&place.target.name));
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
