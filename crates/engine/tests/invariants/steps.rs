//! What comes before what, and what a step that was cut off comes to.

use crate::{journal_of, scene_point, with_one};
use belay_model::config::Strategy;
use belay_model::event::{Event, Finish, Outcome};
use belay_model::plan::Look;
use belay_model::verdict::Outcome as Said;
use belay_testkit::parts::{canary, rolled_back};

#[tokio::test(start_paused = true)]
async fn i1_the_baseline_is_durable_with_or_before_the_first_start() {
    let scene = with_one(Strategy::BlueGreen).await;
    let id = scene.deploy(2).await;
    scene.work().await;
    let events = journal_of(&scene, &id).await;
    let planned = events
        .iter()
        .position(|event| matches!(event, Event::Planned { .. }))
        .expect("planned");
    let started = events
        .iter()
        .position(|event| matches!(event, Event::Started { .. }))
        .expect("started");
    assert!(planned < started);
    let Event::Planned { baseline, .. } = &events[planned] else {
        unreachable!()
    };
    let group = format!("group/{}", scene.record(1).group());
    assert!(
        baseline.keys().any(|key| *key == group),
        "the baseline holds what served: {baseline:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn i2_going_back_grows_switches_verifies_and_only_then_shrinks() {
    let scene = with_one(canary([10, 50])).await;
    scene.script.say(2, Look::Live, Said::Fail);
    let id = scene.deploy(2).await;
    scene.work().await;
    assert_eq!(scene.summary(&id).await.outcome, rolled_back());
    let log = scene.world.log();
    let back = log
        .iter()
        .rposition(|line| line.starts_with("weights"))
        .expect("switched back");
    let gone = log
        .iter()
        .rposition(|line| line.starts_with("remove"))
        .expect("removed");
    assert!(back < gone, "{log:?}");
    assert_eq!(scene.serving(), Some(scene.record(1).group()));
    assert_eq!(scene.world.groups(), [scene.record(1).group()]);
    journal_of(&scene, &id).await;
}

#[tokio::test(start_paused = true)]
async fn i3_no_forward_step_starts_once_a_rollback_is_planned() {
    let scene = with_one(canary([10, 50])).await;
    scene.script.say(2, Look::Live, Said::Fail);
    let id = scene.deploy(2).await;
    scene.work().await;
    let events = journal_of(&scene, &id).await;
    let planned = events
        .iter()
        .position(|event| matches!(event, Event::RollbackPlanned { .. }))
        .expect("planned");
    let forward = |event: &Event| matches!(event, Event::Started { step, .. } if step.plan == 0);
    assert!(!events[planned..].iter().any(forward));
}

#[tokio::test(start_paused = true)]
async fn i4_a_step_cut_off_half_way_is_settled_and_tried_again() {
    // Killed inside a grow: something was done, the step is idempotent, a new attempt follows.
    let scene = with_one(Strategy::BlueGreen).await;
    let id = scene.deploy(2).await;
    let point = scene_point(|| with_one(Strategy::BlueGreen), "apply", "inside").await;
    scene.crashes.kill_at(point);
    assert_eq!(scene.work().await, 1);
    assert_eq!(scene.summary(&id).await.outcome, Some(Outcome::Succeeded));
    let events = journal_of(&scene, &id).await;
    let unknown = |event: &&Event| {
        matches!(
            event,
            Event::Finished {
                finish: Finish::Unknown,
                ..
            }
        )
    };
    assert_eq!(events.iter().filter(unknown).count(), 1);
    let again = events
        .iter()
        .any(|event| matches!(event, Event::Started { attempt: 2, .. }));
    assert!(again, "{events:#?}");
}

#[tokio::test(start_paused = true)]
async fn i13_back_in_one_move_from_any_share() {
    let scene = with_one(canary([10, 50])).await;
    scene.script.say(2, Look::Bake, Said::Fail);
    let id = scene.deploy(2).await;
    let before = scene.world.log().len();
    scene.work().await;
    assert_eq!(scene.summary(&id).await.outcome, rolled_back());
    let log = scene.world.log().split_off(before);
    let switches: Vec<_> = log
        .iter()
        .filter(|line| line.starts_with("weights"))
        .collect();
    // 10 %, 50 %, 100 %, and one move back.
    assert_eq!(switches.len(), 4, "{log:?}");
}
