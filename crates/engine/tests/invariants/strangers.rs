//! What someone else changed.

use crate::{scene_point, with_one};
use belay_engine::worker::Worker;
use belay_model::config::Inconclusive;
use belay_model::error::Class;
use belay_model::event::Ask;
use belay_model::plan::Look;
use belay_model::summary::Phase;
use belay_model::verdict::Outcome as Said;
use belay_testkit::Fault;
use belay_testkit::parts::{canary, rolled_back};
use std::collections::BTreeMap;

#[tokio::test(start_paused = true)]
async fn i10_forward_a_foreign_change_waits_for_a_person() {
    let scene = with_one(canary([10, 50])).await;
    let id = scene.deploy(2).await;
    // Growing is held up for long enough that a stranger can change the weights before the switch.
    scene
        .world
        .faults([Some(Fault::AnswerLost(Class::Connectivity))]);
    let observe = scene_point(|| with_one(canary([10, 50])), "append", "after").await;
    scene.crashes.kill_at(observe);
    let stranger = BTreeMap::from([("stranger".to_owned(), 1000)]);
    let meddle = async {
        scene.crashes.killed().await;
        scene.world.set_weights(stranger.clone());
        scene.crashes.revive();
    };
    let worker = Worker::new(scene.ports(), "first");
    let first = tokio::spawn(async move { worker.run().await });
    meddle.await;
    first.abort();
    scene.work().await;
    let summary = scene.summary(&id).await;
    let kinds: Vec<String> = scene
        .store
        .journal(&id)
        .iter()
        .map(|e| format!("{:?}", e.event).chars().take(90).collect())
        .collect();
    assert_eq!(summary.phase, Phase::NeedsOperator, "{kinds:#?}");
    assert_eq!(scene.world.weights(), stranger, "nothing was overwritten");
}

#[tokio::test(start_paused = true)]
async fn i10_going_back_a_foreign_change_is_reported_and_overwritten() {
    let mut scene = with_one(canary([10, 50])).await;
    scene.inconclusive = Inconclusive::Ask;
    scene.script.say(2, Look::Live, Said::Inconclusive);
    let id = scene.deploy(2).await;
    scene.work().await;
    scene
        .world
        .set_weights(BTreeMap::from([(scene.record(2).group(), 1000)]));
    scene.signal(&id, Ask::Abort).await;
    scene.work().await;
    let summary = scene.summary(&id).await;
    assert_eq!(summary.outcome, rolled_back());
    assert_eq!(scene.serving(), Some(scene.record(1).group()));
    assert!(
        summary
            .remarks
            .iter()
            .any(|remark| remark.contains("changed by someone else")),
        "{summary:#?}"
    );
}
