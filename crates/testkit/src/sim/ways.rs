//! How people go back: as the commands do, which look first and say no where it makes no sense.

use super::people::{create, head, signal, tell};
use super::stage::{Ground, Stage};
use super::story::Order;
use super::wire::Wires;
use belay_engine::fold::Deployment;
use belay_engine::goal;
use belay_engine::ports::Store;
use belay_engine::targets::Targets;
use belay_model::back::{Back, Risk};
use belay_model::config::{BackOrder, Queue};
use belay_model::environment::Standing;
use belay_model::event::{Ask, Event, Inputs, Kind};
use belay_model::id::{DeploymentId, ReleaseNumber};
use belay_model::release::Record;
use belay_model::state::Goal;
use belay_model::summary::{Phase, Summary};

/// To what was good: a signal to what runs (I12), else a deployment of its own.
pub(super) async fn go_back(stage: &Stage, ground: &Ground) {
    if head(stage, ground).await.is_some() {
        return tell(stage, ground, Ask::Abort, 1).await;
    }
    let view = stage.store.view(&ground.scope);
    if let Some(record) = goal::choose(&view, None).record {
        let leaves = view.serving_since().cloned();
        let kind = Kind::Return { leaves };
        create_back(stage, ground, kind, Some(record), None, Back::default()).await;
    }
}

/// To what was there before the last deployment, likewise.
pub(super) async fn undo(stage: &Stage, ground: &Ground) {
    if head(stage, ground).await.is_some() {
        return tell(stage, ground, Ask::Abort, 1).await;
    }
    if let Some((of, mut goal)) = last_planned(stage, ground).await {
        // Where nothing was before, what was brought says where.
        let deployment = Deployment::of(of.clone(), &stage.store.journal(&of));
        let brought = deployment.inputs.and_then(|inputs| inputs.record);
        if let Some(record) = brought.filter(|_| goal.records.is_empty()) {
            goal.records.insert(record.hash(), record);
        }
        let record = goal.record.as_ref().and_then(|hash| goal.records.get(hash));
        let record = record.cloned();
        let (kind, back) = (Kind::Undo { of }, Back::default());
        create_back(stage, ground, kind, record, Some(goal), back).await;
    }
}

async fn create_back(
    stage: &Stage,
    ground: &Ground,
    kind: Kind,
    record: Option<Record>,
    goal: Option<Goal>,
    back: Back,
) {
    let mut order = Order::plain(0);
    order.back = capacity_of(stage, ground, record.as_ref()).await;
    let with = |inputs| Inputs {
        kind,
        record,
        goal,
        back,
        ..inputs
    };
    create(stage, ground, &order, Queue::All, with).await;
}

/// How much of its capacity it needs: as the deployment had it that put it out last.
async fn capacity_of(stage: &Stage, ground: &Ground, record: Option<&Record>) -> BackOrder {
    let history = stage
        .store
        .history(&ground.scope, 64)
        .await
        .expect("memory");
    let hash = record.map(Record::hash);
    let mut tries = history.into_iter();
    let last = tries.find(|it| it.kind == "deploy" && it.record == hash);
    let journal = last.map(|last| stage.store.journal(&last.id));
    let first = journal.and_then(|journal| journal.into_iter().next());
    match first.map(|entry| entry.event) {
        Some(Event::Created(inputs)) => BackOrder {
            capacity: inputs.back_order.capacity,
            ask_within: inputs.back_order.ask_within,
            foreign_change: inputs.back_order.foreign_change,
            ..BackOrder::default()
        },
        _ => BackOrder::default(),
    }
}

/// The last deployment here that had a plan, and what it started from.
async fn last_planned(stage: &Stage, ground: &Ground) -> Option<(DeploymentId, Goal)> {
    let history = stage.store.history(&ground.scope, 9).await.expect("memory");
    history.into_iter().find_map(|summary| {
        let journal = stage.store.journal(&summary.id);
        let goal = journal.into_iter().find_map(|entry| match entry.event {
            Event::Planned { baseline_goal, .. } => Some(*baseline_goal),
            _ => None,
        });
        Some((summary.id, goal?))
    })
}

/// To a release and no other.
pub(super) async fn go_to(stage: &Stage, ground: &Ground, release: u32, accept: &[Risk]) {
    let to = ground.record(release).release;
    match head(stage, ground).await {
        Some(head) => tell_to_go_to(stage, ground, &head, to, accept).await,
        None => return_to(stage, ground, to, accept).await,
    }
}

fn refused(stage: &Stage) {
    stage.audit.count("to a release: refused");
}

async fn tell_to_go_to(
    stage: &Stage,
    ground: &Ground,
    open: &Summary,
    to: ReleaseNumber,
    accept: &[Risk],
) {
    let deployment = Deployment::of(open.id.clone(), &stage.store.journal(&open.id));
    let is_stuck = open.phase == Phase::NeedsOperator;
    if deployment.baseline_goal.is_none() || (deployment.goes_back() && !is_stuck) {
        return refused(stage);
    }
    let view = stage.store.view(&ground.scope);
    let leads_there = |goal: &Goal| {
        let record = goal.record.as_ref().and_then(|hash| goal.records.get(hash));
        record.is_some_and(|record| record.release == to) && !accept.contains(&Risk::Drift)
    };
    let mut back = Back {
        accept: accept.to_vec(),
        ..Back::default()
    };
    if !deployment.baseline_goal.as_ref().is_some_and(leads_there) {
        let unproven = accept.contains(&Risk::Unproven);
        let choice = goal::choose_from(&view, &deployment, to, unproven);
        // Who takes nothing upon them does not look first, either: then it is the engine that says no.
        let hasty = view
            .of_release(to)
            .into_iter()
            .find(|known| accept.is_empty() && known.standing == Standing::Candidate);
        let hasty = hasty.map(|known| known.record.clone());
        let Some(record) = choice.record.or(hasty) else {
            return refused(stage);
        };
        back.to = Some(record.hash());
        stage.audit.count("to a release: told");
    }
    signal(stage, &open.id, "ann", &Ask::Abort, back).await;
}

async fn return_to(stage: &Stage, ground: &Ground, to: ReleaseNumber, accept: &[Risk]) {
    let view = stage.store.view(&ground.scope);
    let choice = match accept.contains(&Risk::Unproven) {
        true => goal::choose_unproven(&view, to),
        false => goal::choose(&view, Some(to)),
    };
    let Some(record) = choice.record else {
        return refused(stage);
    };
    // Where it is what was there before the deployment that serves, what people had changed by hand then is kept.
    let since = view.serving_since().cloned();
    let before = since.as_ref().and_then(|since| {
        let journal = stage.store.journal(since);
        let goal = Deployment::of(since.clone(), &journal).baseline_goal?;
        (goal.record.as_ref() == Some(&record.hash())).then_some(goal)
    });
    let targets = Targets::of(&Wires::of(ground), &record.targets);
    let targets = targets.expect("each has a driver");
    let before = before.map(|before| goal::by_hand(&targets, &view, &record, &before));
    let by_hand = before.filter(|before| !before.hands.is_empty() && !before.is_broken);
    let goal = by_hand.map(|before| before.goal);
    let goal = goal.filter(|_| !accept.contains(&Risk::Drift));
    stage.audit.count(match &goal {
        Some(_) => "to a release: as it was changed by hand",
        None => "to a release: returned to",
    });
    let back = Back {
        accept: accept.to_vec(),
        ..Back::default()
    };
    let kind = Kind::Return { leaves: since };
    create_back(stage, ground, kind, Some(record), goal, back).await;
}
