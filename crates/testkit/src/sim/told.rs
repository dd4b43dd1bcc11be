//! A journal in words, for whoever looks into a seed.

use belay_model::event::{Entry, Event};
use belay_model::plan::Step;

/// One event.
pub(super) fn line(entry: &Entry) -> String {
    let (seq, at_us) = (entry.seq, entry.at_us - 1_700_000_000_000_000);
    let what = match &entry.event {
        Event::Created(inputs) => format!("created {:?} {:?}", inputs.kind, inputs.strategy),
        Event::Planned {
            plan,
            goal,
            remarks,
            ..
        } => {
            format!("planned {:?} to {} {remarks:?}", titles(plan), goal.title)
        }
        Event::RollbackPlanned {
            plan,
            goal,
            remarks,
            cause,
            ..
        } => {
            let goal = goal.as_ref().map(|goal| &goal.title);
            let why = cause.sentence();
            format!(
                "rollback {:?} to {goal:?} as {why} {remarks:?}",
                titles(plan)
            )
        }
        Event::Finished {
            step,
            attempt,
            finish,
            ..
        } => {
            format!("finished {step} #{attempt} {finish:?}")
        }
        Event::Started { step, attempt, .. } => format!("started {step} #{attempt}"),
        Event::Verified { step, verdict } => format!("verified {step} {:?}", verdict.outcome),
        other => format!("{other:?}"),
    };
    format!("  {seq:>3} {at_us:>12} {what}")
}

fn titles(plan: &belay_model::plan::Plan) -> Vec<String> {
    plan.steps().map(Step::title).collect()
}
