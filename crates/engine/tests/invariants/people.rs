//! What people say while it runs.

use crate::with_one;
use belay_model::config::{FirstFailure, Inconclusive};
use belay_model::event::{Ask, Event, Outcome, RollbackResult};
use belay_model::plan::Look;
use belay_model::summary::Phase;
use belay_model::verdict::Outcome as Said;
use belay_testkit::Scene;
use belay_testkit::parts::{canary, rolled_back};

#[tokio::test(start_paused = true)]
async fn i12_a_rollback_of_what_runs_is_a_signal_and_others_wait_their_turn() {
    let scene = with_one(canary([10, 50])).await;
    let id = scene.deploy(2).await;
    let queued = scene.deploy(3).await;
    scene.signal(&id, Ask::Abort).await;
    scene.work().await;
    // It had changed nothing: it ends without a plan.
    assert!(matches!(
        scene.summary(&id).await.outcome,
        Some(Outcome::Failed {
            rollback: RollbackResult::None,
            ..
        })
    ));
    let (first, second) = (scene.summary(&id).await, scene.summary(&queued).await);
    assert_eq!(second.outcome, Some(Outcome::Succeeded));
    let planned = scene
        .store
        .journal(&queued)
        .iter()
        .find_map(|entry| match entry.event {
            Event::Planned { .. } => Some(entry.at_us),
            _ => None,
        });
    assert!(
        planned > first.ended_us,
        "the second was planned when the first was over"
    );
}

#[tokio::test(start_paused = true)]
async fn someone_who_asks_to_go_back_is_not_asked_for_a_policy() {
    let mut scene = Scene::default();
    scene.on_first_failure = FirstFailure::Leave;
    scene.inconclusive = Inconclusive::Ask;
    scene.bake_ms = 60 * 60 * 1000;
    scene.script.say(1, Look::Bake, Said::Inconclusive);
    let id = scene.deploy(1).await;
    scene.work().await;
    assert_eq!(scene.summary(&id).await.phase, Phase::NeedsOperator);
    scene.signal(&id, Ask::Abort).await;
    scene.work().await;
    assert_eq!(scene.summary(&id).await.outcome, rolled_back());
    assert!(scene.world.groups().is_empty());
}
