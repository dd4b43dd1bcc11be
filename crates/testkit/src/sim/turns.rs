//! In which order phases go back: as the order of the way back says, seen from when their steps began and ended.

use super::audit::Audit;
use super::backwards::{back_steps, cause_phase};
use super::handed::Own;
use belay_engine::fold::Deployment;
use belay_model::config::{BackPhases, Provisioning, ProvisioningOrder};
use belay_model::event::{Ask, Entry, Event, Inputs};
use belay_model::id::StepId;
use std::collections::BTreeMap;

/// First and last event of each phase of a plan.
type Spans = BTreeMap<String, (u64, u64)>;

/// Of all ways back of a deployment.
pub(super) fn check(
    audit: &Audit,
    deployment: &Deployment,
    inputs: &Inputs,
    own: &Own,
    journal: &[Entry],
) {
    // What was taken over goes back behind the own phases, under names of another plan.
    if inputs.phases.is_empty() || !own.before.is_empty() {
        return;
    }
    for (number, run) in deployment.plans.iter().enumerate().skip(1) {
        if cause_phase(run.cause.as_ref()).is_none() {
            let spans = spans(own, number, journal);
            in_turn(audit, inputs, &spans);
        }
    }
}

fn spans(own: &Own, number: usize, journal: &[Entry]) -> Spans {
    let mut spans = Spans::new();
    // What is tried again on request has its turn once more.
    let is_again = |entry: &&Entry| {
        let retry = |ask: &Ask| matches!(ask, Ask::Retry | Ask::Skip);
        matches!(&entry.event, Event::Signal { ask, .. } if retry(ask))
    };
    for entry in journal.iter().take_while(|entry| !is_again(entry)) {
        let (Event::Started { step, .. }
        | Event::Finished { step, .. }
        | Event::Verified { step, .. }) = &entry.event
        else {
            continue;
        };
        let StepId { plan, index } = *step;
        if usize::from(plan) == number
            && let Some(name) = back_steps(&own.plans[number], index)
        {
            let span = spans
                .entry(name.to_owned())
                .or_insert((entry.seq, entry.seq));
            span.1 = entry.seq;
        }
    }
    spans
}

fn in_turn(audit: &Audit, inputs: &Inputs, spans: &Spans) {
    let order = inputs.back_order;
    let first_with = inputs.phases.iter().position(|it| it.target.is_some());
    let provisions = |number: usize| first_with.is_none_or(|first| number < first);
    for (number, phase) in inputs.phases.iter().enumerate() {
        for (later, other) in inputs.phases.iter().enumerate().skip(number + 1) {
            let (Some(one), Some(two)) = (spans.get(&phase.name), spans.get(&other.name)) else {
                continue;
            };
            let (what, is_reverse) = match (provisions(number), provisions(later)) {
                (true, true) => match order.provisioning_order {
                    ProvisioningOrder::Reverse => ("turns: provisioning in reverse", true),
                    ProvisioningOrder::Same => ("turns: provisioning as it came", false),
                },
                (true, false) => match order.provisioning {
                    Provisioning::Last => ("turns: provisioning last", true),
                    Provisioning::First => ("turns: provisioning first", false),
                },
                _ if order.phases == BackPhases::InTurn => ("turns: one after the other", true),
                _ if phase.target == other.target => ("turns: one target", true),
                _ => {
                    let is_beside = one.0 < two.1 && two.0 < one.1;
                    audit.add("turns: at once", usize::from(is_beside));
                    continue;
                }
            };
            audit.count(what);
            let (before, behind) = if is_reverse { (two, one) } else { (one, two) };
            if before.1 > behind.0 {
                let (one, two) = (&phase.name, &other.name);
                audit.breach(format!("{what}: {one} and {two} go back in another order"));
            }
        }
    }
}
