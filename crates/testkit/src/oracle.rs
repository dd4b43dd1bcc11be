//! What must hold of every journal, whatever happened: the invariants as checks on events.

use belay_model::event::{Ask, Entry, Event};
use belay_model::plan::{Plan, Step, Wave};
use std::collections::{BTreeMap, BTreeSet};

/// Breaches of the invariants in one journal, one line each.
pub fn breaches(journal: &[Entry]) -> Vec<String> {
    let mut found = Vec::new();
    let mut plans: Vec<&Plan> = Vec::new();
    let mut epoch = 0;
    let mut attempts: BTreeMap<String, u32> = BTreeMap::new();
    let mut switched = BTreeSet::new();
    let mut is_skipped = false;
    for entry in journal {
        match &entry.event {
            Event::Claimed { epoch: next, .. } => {
                if *next <= epoch {
                    found.push(format!("I6: epoch {next} after {epoch}"));
                }
                epoch = *next;
            }
            Event::Planned { plan, .. } => plans.push(plan),
            Event::RollbackPlanned { plan, .. } => plans.push(plan),
            Event::Started { step, attempt, .. } => {
                if plans.is_empty() {
                    found.push(format!("I1: {step} started before a baseline was captured"));
                    continue;
                }
                if usize::from(step.plan) + 1 != plans.len() {
                    found.push(format!(
                        "I3: {step} started although plan {} runs",
                        plans.len() - 1
                    ));
                }
                let last = attempts.insert(step.to_string(), *attempt).unwrap_or(0);
                if *attempt != last + 1 {
                    found.push(format!("I6: attempt {attempt} of {step} after {last}"));
                }
                let plan = plans[usize::from(step.plan)];
                if wave(plan, step.index) == Some(Wave::Shrink) {
                    let phase = phase_of(plan, step.index);
                    let planned = waves(plan, phase).filter(|wave| *wave == Wave::Switch);
                    // A person may leave the switch out.
                    if planned.count() > 0 && !is_skipped && !switched.contains(&(step.plan, phase))
                    {
                        found.push(format!("I2: {step} shrinks before the switch was seen"));
                    }
                }
            }
            Event::Finished {
                step,
                attempt,
                finish,
                ..
            } => {
                if attempts.get(&step.to_string()) != Some(attempt) {
                    found.push(format!(
                        "I6: a result of attempt {attempt} of {step}, which does not run"
                    ));
                }
                let done = *finish == belay_model::event::Finish::Done;
                let plan = plans[usize::from(step.plan)];
                if done && wave(plan, step.index) == Some(Wave::Switch) {
                    switched.insert((step.plan, phase_of(plan, step.index)));
                }
            }
            Event::Signal { ask, .. } => is_skipped |= *ask == Ask::Skip,
            _ => {}
        }
    }
    found
}

/// Panics with all breaches.
pub fn check_journal(journal: &[Entry]) {
    let found = breaches(journal);
    assert!(found.is_empty(), "{}\n{journal:#?}", found.join("\n"));
}

fn wave(plan: &Plan, index: u16) -> Option<Wave> {
    plan.steps().nth(usize::from(index)).and_then(wave_of)
}

fn waves(plan: &Plan, phase: usize) -> impl Iterator<Item = Wave> {
    plan.phases[phase].steps.iter().filter_map(wave_of)
}

fn phase_of(plan: &Plan, index: u16) -> usize {
    let mut end = 0;
    let mut ends = plan.phases.iter().map(|phase| {
        end += phase.steps.len();
        end
    });
    let phase = ends.position(|end| usize::from(index) < end);
    phase.expect("a step of the plan")
}

fn wave_of(step: &Step) -> Option<Wave> {
    step.effect().map(|effect| effect.wave)
}
