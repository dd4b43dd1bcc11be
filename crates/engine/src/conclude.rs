//! What a deployment's events mean for its environment: standings, what serves, what is removed later. The functions
//! that answer events are pure; their answers go into the same transaction as the events they belong to.

use crate::fold::{Deployment, Status, StepRun};
use crate::journal::Journal;
use crate::mutant::{self, Mutant};
use crate::ports::{Ports, StoreError};
use crate::{freeze, goal};
use belay_model::environment::{Event, Known, Standing, View};
use belay_model::event::{Cause, Inputs, Kind, Outcome, RollbackResult};
use belay_model::id::{DeploymentId, RecordHash, StepId};
use belay_model::plan::{Action, Step, Wave};
use belay_model::release::Record;
use belay_model::state::Goal;
use std::collections::BTreeSet;

/// Why a deployment may not begin, looked at once more when it has the lock.
pub(crate) fn refusal(inputs: &Inputs, view: &View) -> Option<String> {
    if inputs.kind != Kind::Deploy {
        return None;
    }
    let record = inputs.record.as_ref()?;
    let known = view.records.get(&record.hash())?;
    if known.standing != Standing::Quarantined {
        return None;
    }
    let why = known.reason.as_deref().unwrap_or("it was rolled back");
    Some(format!("{} is quarantined: {why}", record.title()))
}

/// A rollback on request has its plan: what it leaves is quarantined, what it leads to is not any more, and what it
/// needs is not removed meanwhile. `undone`: what the deployment started from that an undo takes back.
pub(crate) fn on_planned(
    id: &DeploymentId,
    inputs: &Inputs,
    goal: &Goal,
    undone: Option<&Inputs>,
    view: &View,
) -> Vec<Event> {
    if inputs.kind == Kind::Deploy {
        return Vec::new();
    }
    let mut events = Vec::new();
    let asked = inputs.reason.as_deref();
    if let Kind::Undo { of } = &inputs.kind {
        let known = goal.record.as_ref().and_then(|to| view.records.get(to));
        if let Some(known) = known.filter(|known| known.standing == Standing::Quarantined) {
            let why = asked.map_or_else(|| format!("{of} is taken back"), str::to_owned);
            let why = format!("{} lifted it: {why}", inputs.actor);
            events.extend(known.lift(Some(id), &inputs.actor, Some(&why)));
        }
    }
    let left = match &inputs.kind {
        Kind::Return { .. } => view.serving().map(|known| known.record.hash()),
        // Undoing a deployment says the same of its release as going back from it would have said.
        _ => undone
            .filter(|undone| undone.kind == Kind::Deploy)
            .and_then(|undone| undone.record.as_ref().map(Record::hash)),
    };
    if let Some(left) = left.filter(|left| Some(left) != goal.record.as_ref()) {
        let why = asked.map_or_else(String::new, |why| format!(": {why}"));
        let why = format!("{} rolled it back{why}", inputs.actor);
        events.push(quarantine(id, left, Some(inputs.actor.clone()), why));
    }
    let needed = inputs.record.iter().map(Record::hash);
    events.extend(keep(needed, view, "the rollback needs it"));
    events
}

/// A rollback inside a deployment begins. `again`: it goes on with the one before, of which all is said.
pub(crate) fn on_rollback(
    id: &DeploymentId,
    inputs: &Inputs,
    cause: &Cause,
    goal: Option<&Goal>,
    view: &View,
    again: bool,
    now_us: i64,
) -> Vec<Event> {
    let needed = goal.and_then(|goal| goal.record.clone());
    if again {
        return keep(needed, view, "the rollback needs it");
    }
    let own = inputs.record.as_ref().map(Record::hash);
    // Also where someone wants it and there is no way to it.
    let is_wanted = cause.leads_to().is_some() && cause.leads_to() == own.as_ref();
    let is_kept = is_wanted || needed.is_some() && needed == own;
    // What went wrong when a release went out once more says nothing against it where it serves, unless that was looked at.
    let is_blamed = !is_kept || matches!(cause, Cause::Verification(_));
    let said = is_blamed.then(|| said_against(id, inputs, cause, view));
    let mut events: Vec<_> = said.flatten().into_iter().collect();
    // What a rollback had quarantined it lifts when it is turned round (I9).
    let to = goal.and_then(|goal| view.records.get(goal.record.as_ref()?));
    if let (Some(known), Cause::Request { actor, reason, .. }) = (to, cause)
        && goal::is_quarantined_by(known, id)
    {
        let why = reason
            .clone()
            .unwrap_or_else(|| format!("{id} is taken back"));
        let why = format!("{actor} lifted it: {why}");
        events.extend(known.lift(Some(id), actor, Some(&why)));
    }
    events.extend(keep(needed, view, "the rollback needs it"));
    if inputs.kind == Kind::Deploy && cause.is_automatic() {
        events.push(Event::WentBack {
            deployment: id.clone(),
        });
        events.extend(freeze::breaker(view, now_us));
    }
    events
}

/// A hotfix took over before the bake was over: what had been promoted by then has not proved itself.
pub(crate) fn on_superseded(
    id: &DeploymentId,
    inputs: &Inputs,
    by: &DeploymentId,
    view: &View,
) -> Option<Event> {
    if mutant::is(Mutant::CountsItAsGood) {
        return None;
    }
    let why = format!("{by} superseded it before its bake was over");
    not_proved(id, inputs, why, view)
}

/// What a deployment brought has been promoted, and has not proved itself after all.
fn not_proved(id: &DeploymentId, inputs: &Inputs, why: String, view: &View) -> Option<Event> {
    let record = inputs.record.as_ref()?.hash();
    let known = view.records.get(&record)?;
    let is_own = known.deployment.as_ref() == Some(id);
    (is_own && known.standing == Standing::Good).then(|| Event::Stands {
        record,
        standing: Standing::Candidate,
        deployment: Some(id.clone()),
        actor: None,
        reason: Some(why),
    })
}

/// A deployment failed and stays as it is. What has the traffic serves, whatever it is worth: the next deployment
/// replaces it, and its rollback knows what it was. Where there is no traffic it is what was brought up. `cause`: what says
/// something against it, if anything does.
pub(crate) fn on_left(
    state: &Deployment,
    inputs: &Inputs,
    cause: Option<&Cause>,
    view: &View,
) -> Vec<Event> {
    let said = cause.and_then(|cause| said_against(&state.id, inputs, cause, view));
    let mut events: Vec<_> = said.into_iter().collect();
    if view.serving().is_some() {
        // What is there says whether that has changed.
        return events;
    }
    let is_at_work = state.plans.first().is_some_and(|run| {
        let of_wave = |wave: Wave| {
            let steps = run.plan.steps().zip(&run.steps);
            steps.filter(move |(step, _)| {
                matches!(&step.action, Action::Effect(effect) if effect.wave == wave)
            })
        };
        let wave = match of_wave(Wave::Switch).next() {
            Some(_) => Wave::Switch,
            None => Wave::Grow,
        };
        of_wave(wave).any(|(_, course)| *course.status() == Status::Done)
    });
    if let Some(record) = inputs.record.as_ref().filter(|_| is_at_work) {
        events.push(Event::Serves {
            record: Some(record.hash()),
            deployment: state.id.clone(),
        });
    }
    events
}

/// It ended half-way, and something else serves by now than is known to: `there`.
pub(crate) fn on_half_way(state: &Deployment, there: Option<&Known>, view: &View) -> Option<Event> {
    let there = there?.record.hash();
    let known = view.serving().map(|known| known.record.hash());
    (known.as_ref() != Some(&there)).then(|| Event::Serves {
        record: Some(there),
        deployment: state.id.clone(),
    })
}

/// What the end of a deployment says against what it brought, if anything: its quarantine, or that nobody knows after all (I8).
fn said_against(id: &DeploymentId, inputs: &Inputs, cause: &Cause, view: &View) -> Option<Event> {
    let record = inputs.record.as_ref()?;
    if inputs.kind != Kind::Deploy {
        return None;
    }
    if cause.is_inconclusive() {
        return not_proved(id, inputs, cause.sentence(), view);
    }
    if !cause.blames_release() {
        return None;
    }
    let actor = match cause {
        Cause::Request { actor, .. } => Some(actor.clone()),
        _ => None,
    };
    Some(quarantine(id, record.hash(), actor, cause.sentence()))
}

/// A step ended: where it finishes the promotion, the release is good from this transaction on.
pub(crate) async fn after_step(
    journal: &mut Journal,
    ports: &Ports,
    id: StepId,
) -> Result<(), StoreError> {
    let state = journal.state();
    let promotes = id.plan == 0 && state.step(id).0.promotes;
    if !promotes || !state.promoted {
        return Ok(());
    }
    let inputs = state
        .inputs
        .as_ref()
        .expect("a planned deployment has inputs");
    let Some(record) = &inputs.record else {
        return Ok(());
    };
    let view = ports.store.view(&inputs.scope).await?;
    for event in on_promoted(state, inputs, record, &view, journal.now_us()) {
        journal.push_environment(event);
    }
    Ok(())
}

fn on_promoted(
    state: &Deployment,
    inputs: &Inputs,
    record: &Record,
    view: &View,
    now_us: i64,
) -> Vec<Event> {
    let (id, hash) = (&state.id, record.hash());
    let mut events = vec![Event::Serves {
        record: Some(hash.clone()),
        deployment: id.clone(),
    }];
    if state.is_proved() {
        events.insert(0, stands(id, hash.clone(), Standing::Good));
    }
    // What served, and what else was found: a release that an earlier deployment left behind goes with it.
    let serving = view.serving().map(|known| known.record.hash());
    let taken_over = state.takes_over.iter().map(|over| &*over.found);
    let taken_over = taken_over.filter(|_| !mutant::is(Mutant::LeavesItStanding));
    let goals = state.baseline_goal.iter().chain(taken_over);
    let found = goals.flat_map(|goal| goal.records.keys());
    let left = found.filter(|record| !view.cleanups.contains_key(record));
    let old: BTreeSet<RecordHash> = serving.into_iter().chain(left.cloned()).collect();
    let due_ms = now_us / 1000 + i64::try_from(keep_ms(inputs)).unwrap_or(i64::MAX / 2000);
    for record in old.into_iter().filter(|old| *old != hash) {
        events.push(Event::CleanupDue {
            deployment: id.clone(),
            record,
            due_ms,
        });
    }
    events
}

/// How long the old side stays after promotion: `basic` stops it when the bake is over, the others keep it warm.
fn keep_ms(inputs: &Inputs) -> u64 {
    match inputs.strategy {
        belay_model::config::Strategy::Basic => inputs.bake_ms,
        _ => inputs.warm_ms,
    }
}

/// It is over.
pub(crate) fn on_end(
    state: &Deployment,
    outcome: &Outcome,
    view: &View,
    now_us: i64,
) -> Vec<Event> {
    let Some(inputs) = &state.inputs else {
        return Vec::new();
    };
    let rolled_back = state.plans.len() > 1;
    match (&inputs.kind, outcome) {
        (Kind::Deploy, Outcome::Succeeded) => {
            let Some(record) = &inputs.record else {
                return Vec::new();
            };
            let is_concluded = view.served.iter().any(|(_, by)| *by == state.id);
            // A person skipped the step that would have promoted it.
            let promoted =
                (!is_concluded).then(|| on_promoted(state, inputs, record, view, now_us));
            let is_baked = inputs.bake_ms > 0 && state.is_proved();
            let baked = is_baked.then(|| stands(&state.id, record.hash(), Standing::Baked));
            promoted.into_iter().flatten().chain(baked).collect()
        }
        (Kind::Return { .. } | Kind::Undo { .. }, Outcome::Succeeded) => {
            let goal = state.plans.first().and_then(|run| run.goal.as_ref());
            let mut events = serves(state, goal, view);
            events.extend(stands_by(state, inputs, goal, view, now_us));
            events
        }
        (
            _,
            Outcome::Failed {
                rollback: RollbackResult::Complete,
                ..
            },
        ) if rolled_back => {
            let goal = state.plans.last().and_then(|run| run.goal.as_ref());
            let mut events = serves(state, goal, view);
            events.extend(stands_by(state, inputs, goal, view, now_us));
            events
        }
        _ => Vec::new(),
    }
}

fn serves(state: &Deployment, goal: Option<&Goal>, view: &View) -> Vec<Event> {
    let record = goal.and_then(|goal| goal.record.clone());
    let now = view.served.last().and_then(|(record, _)| record.clone());
    if record == now {
        return Vec::new();
    }
    vec![Event::Serves {
        record,
        deployment: state.id.clone(),
    }]
}

/// What a deployment had moved the traffic to and what it took it from may have stood by before: then it stands by again,
/// and nobody owes its removal any more. What a rollback needed was not to be removed from its beginning on.
fn stands_by(
    state: &Deployment,
    inputs: &Inputs,
    goal: Option<&Goal>,
    view: &View,
    now_us: i64,
) -> Vec<Event> {
    let Some(goal) = goal else {
        return Vec::new();
    };
    let moved = |step: &Step, course: &StepRun| {
        let is_switch =
            matches!(&step.action, Action::Effect(effect) if effect.wave == Wave::Switch);
        is_switch && *course.status() == Status::Done
    };
    let run = state.plans.first();
    let mut steps = run
        .into_iter()
        .flat_map(|run| run.plan.steps().zip(&run.steps));
    let is_left = inputs.kind == Kind::Deploy || mutant::is(Mutant::ForgetsWhatItKept);
    if is_left && !steps.any(|(step, course)| moved(step, course)) {
        return Vec::new();
    }
    let own = inputs.record.as_ref().map(Record::hash);
    // What a rollback takes the traffic from is of an earlier deployment.
    let served = view.serving().map(|known| known.record.hash());
    let is_ours = |hash: &&RecordHash| {
        let known = view.records.get(*hash);
        let is_left = own.as_ref() == Some(*hash)
            || served.as_ref() == Some(*hash)
            || known.is_some_and(|known| known.deployment.as_ref() == Some(&state.id));
        is_left && goal.record.as_ref() != Some(*hash) && !view.cleanups.contains_key(*hash)
    };
    let due_ms = now_us / 1000 + i64::try_from(keep_ms(inputs)).unwrap_or(i64::MAX / 2000);
    let warm = goal.records.keys().filter(is_ours);
    warm.map(|record| Event::CleanupDue {
        deployment: state.id.clone(),
        record: record.clone(),
        due_ms,
    })
    .collect()
}

fn stands(id: &DeploymentId, record: RecordHash, standing: Standing) -> Event {
    Event::Stands {
        record,
        standing,
        deployment: Some(id.clone()),
        actor: None,
        reason: None,
    }
}

fn quarantine(id: &DeploymentId, record: RecordHash, actor: Option<String>, why: String) -> Event {
    Event::Stands {
        record,
        standing: Standing::Quarantined,
        deployment: Some(id.clone()),
        actor,
        reason: Some(why),
    }
}

fn keep(records: impl IntoIterator<Item = RecordHash>, view: &View, why: &str) -> Vec<Event> {
    let owed = records
        .into_iter()
        .filter(|record| view.cleanups.contains_key(record));
    owed.map(|record| Event::CleanupCancelled {
        record,
        reason: why.to_owned(),
    })
    .collect()
}
