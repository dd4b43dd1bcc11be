//! What must hold of every journal, whatever happened: the invariants as checks on events.

use belay_model::event::{Entry, Event};
use belay_model::plan::{Action, Plan, Step, Wave};
use std::collections::BTreeMap;

/// Breaches of the invariants in one journal, one line each.
pub fn breaches(journal: &[Entry]) -> Vec<String> {
    let mut found = Vec::new();
    let mut plans: Vec<&Plan> = Vec::new();
    let mut epoch = 0;
    let mut attempts: BTreeMap<String, u32> = BTreeMap::new();
    let mut switched = BTreeMap::new();
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
                if wave(plans[usize::from(step.plan)], step.index) == Some(Wave::Shrink) {
                    let planned = waves(plans[usize::from(step.plan)])
                        .filter(|wave| *wave == Wave::Switch)
                        .count();
                    if planned > 0 && switched.get(&step.plan).copied().unwrap_or(0) == 0 {
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
                if done && wave(plans[usize::from(step.plan)], step.index) == Some(Wave::Switch) {
                    *switched.entry(step.plan).or_insert(0) += 1;
                }
            }
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

fn waves(plan: &Plan) -> impl Iterator<Item = Wave> {
    plan.steps().filter_map(wave_of)
}

fn wave_of(step: &Step) -> Option<Wave> {
    match &step.action {
        Action::Effect(effect) => Some(effect.wave),
        Action::Verify { .. } => None,
    }
}
