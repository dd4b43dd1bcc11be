//! Ways back that do not come to their end by themselves.

use crate::{journal_of, with_one};
use belay_engine::ports::Store;
use belay_model::error::Class;
use belay_model::event::{Ask, Outcome, RollbackResult};
use belay_model::id::DeploymentId;
use belay_model::plan::Look;
use belay_model::summary::Phase;
use belay_model::verdict::Outcome as Said;
use belay_testkit::parts::{canary, rolled_back};
use belay_testkit::{Fault, Scene};

#[tokio::test(start_paused = true)]
async fn i5_a_way_back_that_keeps_failing_waits_for_a_person_and_goes_on_with_retry() {
    let scene = with_one(canary([10, 50])).await;
    scene.script.say(2, Look::Live, Said::Fail);
    let id = scene.deploy(2).await;
    // Two forward effects, then the switch back is refused as often as it is tried.
    let refused = std::iter::repeat_n(Some(Fault::Refused(Class::Unknown)), 3);
    scene.world.faults([None, None].into_iter().chain(refused));
    scene.work().await;
    let stuck = scene.summary(&id).await;
    assert_eq!(stuck.phase, Phase::NeedsOperator, "{stuck:#?}");
    assert!(
        stuck
            .stuck
            .is_some_and(|why| why.contains("refused by the test"))
    );
    scene.signal(&id, Ask::Retry).await;
    scene.work().await;
    assert_eq!(scene.summary(&id).await.outcome, rolled_back());
    journal_of(&scene, &id).await;
}

#[tokio::test(start_paused = true)]
async fn i5_skip_names_what_it_leaves_and_abandon_frees_the_lock() {
    for ask in [Ask::Skip, Ask::Abandon] {
        let scene = with_one(canary([10, 50])).await;
        scene.script.say(2, Look::Live, Said::Fail);
        let id = scene.deploy(2).await;
        let refused = std::iter::repeat_n(Some(Fault::Refused(Class::Unknown)), 3);
        // The last effect of the way back (removing release 2) is the one that is stuck.
        scene
            .world
            .faults([None, None, None].into_iter().chain(refused));
        scene.work().await;
        assert_eq!(scene.summary(&id).await.phase, Phase::NeedsOperator);
        scene.signal(&id, ask.clone()).await;
        scene.work().await;
        let Some(Outcome::Failed { rollback, residue }) = scene.summary(&id).await.outcome else {
            panic!("it ended");
        };
        assert_eq!(rollback, RollbackResult::Incomplete);
        assert!(!residue.is_empty(), "{ask:?} names what stays");
        // The lock is free.
        let next = scene.deploy(3).await;
        scene.work().await;
        assert_eq!(scene.summary(&next).await.outcome, Some(Outcome::Succeeded));
    }
}

/// Someone takes the goal's last copies away while the rest is being removed: the way back is done, and its goal not met.
async fn copies_gone(scene: &Scene, id: &DeploymentId) {
    let stranger = async {
        while scene.summary(id).await.timeline.t6.is_none() {
            scene.store.changed(scene.store.generation()).await;
        }
        scene.world.remove_group(&scene.record(1).group());
    };
    tokio::join!(scene.work(), stranger);
    let stuck = scene.summary(id).await;
    let why = stuck.stuck.expect("it waits for a person");
    assert!(why.starts_with("the goal is not met"), "{why}");
    scene.signal(id, Ask::Retry).await;
    scene.work().await;
    assert_eq!(scene.serving(), Some(scene.record(1).group()));
    assert_eq!(scene.world.groups(), [scene.record(1).group()]);
}

#[tokio::test(start_paused = true)]
async fn i13_retry_goes_to_a_goal_that_is_not_met_from_what_is_there() {
    let scene = with_one(canary([10, 50])).await;
    scene.script.say(2, Look::Live, Said::Fail);
    let id = scene.deploy(2).await;
    copies_gone(&scene, &id).await;
    assert_eq!(scene.summary(&id).await.outcome, rolled_back());
    assert_eq!(scene.view().went_back.len(), 1, "it went back once");
    // So does a rollback that someone asked for: it is not turned round by that.
    let id = scene.deploy(3).await;
    scene.work().await;
    assert_eq!(scene.summary(&id).await.outcome, Some(Outcome::Succeeded));
    let back = scene.go_back(Some(1)).await;
    copies_gone(&scene, &back).await;
    assert_eq!(scene.summary(&back).await.outcome, Some(Outcome::Succeeded));
    journal_of(&scene, &back).await;
}
