//! Where going back from one phase alone leads to. Pure.

use crate::fold::{Deployment, PlanRun};
use crate::goal;
use crate::mutant::{self, Mutant};
use crate::targets::Targets;
use belay_model::environment::{Known, Standing, View};
use belay_model::state::{Goal, State};

/// What the targets of a phase were like when it began there, with remarks for people; no goal: a person decides. What is
/// quarantined by now does not serve again by itself: where something was begun the newest good release does in its place.
pub(crate) fn undo(
    targets: &Targets,
    view: &View,
    deployment: &Deployment,
    phase: usize,
) -> (Option<Goal>, Vec<String>) {
    let Some(before) = before(deployment, phase) else {
        let why = "nothing was captured, so there is nothing to go back to";
        return (None, vec![why.to_owned()]);
    };
    let touched = deployment.touched();
    let begun = targets.only(|name| before.want.get(name).is_some() && touched.contains(&name));
    let Some(bad) = quarantined(&begun, view, deployment, &before) else {
        return (Some(before), Vec::new());
    };
    let why = format!("{} ({}) is quarantined", before.title, bad.record.title());
    let Some(newest) = goal::newest_good(view, deployment) else {
        let why = format!("{why}, and no other release was ever good here");
        return (None, vec![why]);
    };
    let title = newest.record.title();
    let remark = format!("{why}, so it goes to {title}, the newest good one");
    let goal = goal::of_record(&begun, &newest.record);
    (Some(goal), vec![remark])
}

/// What the phase's targets were like when it began there; other targets are not meant.
fn before(deployment: &Deployment, phase: usize) -> Option<Goal> {
    let run = deployment.plans.first()?;
    let baseline = deployment.baseline_goal.as_ref()?;
    let own = run.goal.iter().flat_map(|goal| goal.records.clone());
    // Of several parts on one target the first counts.
    let want = run.parts(phase).rev().filter_map(|part| {
        let name = run.plan.phases[part].target.as_ref()?;
        Some((name.clone(), before_part(deployment, run, part)?.clone()))
    });
    Some(Goal {
        want: want.collect(),
        records: baseline.records.clone().into_iter().chain(own).collect(),
        title: format!(
            "what was there before phase {}",
            run.plan.phases[phase].name
        ),
        record: baseline.record.clone(),
    })
}

/// None: it has not begun there, and an earlier phase has. What that did stays.
fn before_part<'a>(deployment: &'a Deployment, run: &'a PlanRun, part: usize) -> Option<&'a State> {
    if let Some(before) = run.before.get(&part) {
        return Some(before);
    }
    let name = run.plan.phases[part].target.as_ref()?;
    let moves = |part: usize| {
        let mut steps = run.range(part);
        steps.any(|index| run.step(index).effect().is_some() && run.steps[index].has_begun())
    };
    let is_earlier = |other: &usize| run.plan.phases[*other].target.as_ref() == Some(name);
    let by_earlier = (0..run.parts(part).start).filter(is_earlier).any(moves);
    (!by_earlier).then(|| deployment.baseline.of(name))
}

/// A release that was there and was rolled back; one that stood by to be removed does not serve again. Whose removal is owed
/// only since then was no such one. What the deployment itself brought is there because its earlier phases stay.
fn quarantined<'a>(
    begun: &Targets,
    view: &'a View,
    deployment: &Deployment,
    before: &Goal,
) -> Option<&'a Known> {
    let states = begun.iter().map(|place| before.want.of(&place.target.name));
    let states: Vec<&State> = states.collect();
    let text = serde_json::to_string(&states).unwrap_or_default();
    let own = goal::brought(deployment);
    let known = view.records.iter().find(|(hash, known)| {
        let is_bad = known.standing == Standing::Quarantined && own.as_ref() != Some(*hash);
        let served = before.record.as_ref() == Some(*hash);
        let stood_by = !served && view.cleanups.contains_key(*hash);
        is_bad && !stood_by && text.contains(hash.as_str())
    });
    known
        .map(|(_, known)| known)
        .filter(|_| !mutant::is(Mutant::PutsTheBadBack))
}
