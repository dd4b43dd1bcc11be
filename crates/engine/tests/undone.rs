//! Undos: where they lead when nobody says so but the deployment that they take back, and with which secrets.

use belay_engine::fold::Deployment;
use belay_model::config::Strategy;
use belay_model::event::{Ask, Event, Outcome, PhaseInput, RollbackResult};
use belay_model::id::{BlobId, DeploymentId};
use belay_model::plan::{Action, Call, Look, OnUnknown, Run, Step};
use belay_model::state::{Goal, State};
use belay_model::verdict::Outcome as Said;
use belay_testkit::Scene;

async fn ended(scene: &Scene, id: &DeploymentId) -> Option<Outcome> {
    scene.work().await;
    scene.summary(id).await.outcome
}

async fn with_one() -> Scene {
    let scene = Scene::new(Strategy::BlueGreen, 2);
    let first = scene.deploy(1).await;
    assert_eq!(ended(&scene, &first).await, Some(Outcome::Succeeded));
    scene
}

/// A phase that runs a command that can be taken back, before anything is moved.
fn with_command() -> PhaseInput {
    let call = |text: &str| Call::Command(text.parse().expect("a command line"));
    let step = Step::of(Action::Run(Run {
        title: "run warm-up".to_owned(),
        call: call("warm-up"),
        back: Some(call("un-warm-up")),
        timeout_ms: 1000,
        on_unknown: OnUnknown::Retry,
        residue: None,
        record: None,
    }));
    PhaseInput {
        name: "shop".to_owned(),
        target: Some("shop/test".to_owned()),
        strategy: None,
        share: None,
        before: vec![step],
        after: Vec::new(),
        back_before: Vec::new(),
        back_after: Vec::new(),
        on_failure: Vec::new(),
    }
}

/// What a deployment was planned to lead to.
fn goal(scene: &Scene, id: &DeploymentId) -> Goal {
    let journal = scene.store.journal(id).into_iter();
    let mut goals = journal.filter_map(|entry| match entry.event {
        Event::Planned { goal, .. } => Some(*goal),
        _ => None,
    });
    goals.next().expect("it was planned")
}

/// Neither their goals nor what they take back have a record that names the target: the first one took back a first release.
#[tokio::test(start_paused = true)]
async fn undos_of_undos_to_nothing_are_done_where_those_were() {
    let scene = Scene::new(Strategy::BlueGreen, 2);
    scene.script.say(1, Look::Bake, Said::Fail);
    let first = scene.deploy(1).await;
    scene.work().await;
    let undo = scene.undo(&first).await;
    assert_eq!(ended(&scene, &undo).await, Some(Outcome::Succeeded));
    // And of that one, as nothing was there before it, either.
    let again = scene.undo(&undo).await;
    assert_eq!(ended(&scene, &again).await, Some(Outcome::Succeeded));
    scene.world.meddle();
    assert!(!scene.world.users().is_empty(), "someone else is there");
    let last = scene.undo(&again).await;
    assert_eq!(ended(&scene, &last).await, Some(Outcome::Succeeded));
    assert!(scene.world.users().is_empty(), "nothing, as before");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_knows_how_to_reach_is_not_passed_over() {
    let scene = with_one().await;
    let record = scene.record(1);
    let mut goal = goal(&scene, &DeploymentId::new("dep_1"));
    goal.want.set("elsewhere", State::default());
    let id = scene.return_to(&record, goal).await;
    let why = "could not plan: find target elsewhere: no record tells of it";
    let refused = Outcome::Failed {
        rollback: RollbackResult::None,
        residue: vec![why.to_owned()],
    };
    assert_eq!(ended(&scene, &id).await, Some(refused));
}

/// Commands are taken back in the files of the release that ran them, and here that is the one that serves.
#[tokio::test(start_paused = true)]
async fn i7_an_undo_of_what_only_ran_commands_takes_the_newest_seals() {
    let mut scene = with_one().await;
    scene.phases = vec![with_command()];
    let again = scene.deploy(1).await;
    assert_eq!(ended(&scene, &again).await, Some(Outcome::Succeeded));
    let undo = scene.undo(&again).await;
    let newest = scene.reseal(1, "blob_1").await;
    assert_eq!(ended(&scene, &undo).await, Some(Outcome::Succeeded));
    let record = scene.record(1).hash();
    let sealed = goal(&scene, &undo).records[&record].sealed.clone();
    assert_eq!(sealed, Some(newest));
}

/// The release is in the goal of the plan that went forward, too, as it was sealed then.
#[tokio::test(start_paused = true)]
async fn i7_what_is_run_on_the_way_back_is_as_it_is_sealed_now() {
    let mut scene = with_one().await;
    scene.bake_ms = 60_000;
    let again = scene.deploy(1).await;
    scene.work_for(5_000).await;
    let newest: BlobId = scene.reseal(1, "blob_1").await;
    scene.signal(&again, Ask::Abort).await;
    scene.work().await;
    let deployment = Deployment::of(again.clone(), &scene.store.journal(&again));
    let record = deployment.record(&scene.record(1).hash());
    let sealed = record.expect("it is known").sealed.clone();
    assert_eq!(sealed, Some(newest));
}
