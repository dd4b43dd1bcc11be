//! The queue of a scope: who waits, who takes whose place, and who never does.

use belay_model::config::{Queue, Strategy};
use belay_model::event::{Ask, Outcome, RollbackResult};
use belay_model::id::DeploymentId;
use belay_model::summary::Phase;
use belay_testkit::Scene;

/// Release 1 serves, and release 2 bakes.
async fn with_one_under_way(queue: Queue) -> (Scene, DeploymentId) {
    let mut scene = Scene::new(Strategy::BlueGreen, 2);
    scene.deploy(1).await;
    scene.work().await;
    scene.queue = queue;
    scene.bake_ms = 60_000;
    let running = scene.deploy(2).await;
    scene.work_for(10_000).await;
    assert_eq!(scene.summary(&running).await.phase, Phase::Baking);
    (scene, running)
}

fn replaced(by: &DeploymentId) -> Option<Outcome> {
    Some(Outcome::Replaced { by: by.clone() })
}

#[tokio::test(start_paused = true)]
async fn the_newest_takes_the_place_of_those_that_wait_at_once() {
    let (scene, running) = with_one_under_way(Queue::Latest).await;
    let second = scene.deploy(3).await;
    let third = scene.deploy(4).await;
    // Before any worker has looked.
    assert_eq!(scene.outcome(&second).await, replaced(&third));
    let fourth = scene.deploy(5).await;
    assert_eq!(scene.outcome(&third).await, replaced(&fourth));
    scene.work().await;
    for id in [&running, &fourth] {
        assert_eq!(scene.outcome(id).await, Some(Outcome::Succeeded));
    }
    assert_eq!(scene.serving(), Some(scene.record(5).group()));
    let begun = |id: &DeploymentId| scene.store.journal(id).len() > 2;
    assert!(!begun(&second) && !begun(&third), "nothing of them began");
}

#[tokio::test(start_paused = true)]
async fn where_the_policy_says_all_each_has_its_turn() {
    let (scene, running) = with_one_under_way(Queue::All).await;
    let ids = [
        running,
        scene.deploy(3).await,
        scene.deploy(4).await,
        scene.deploy(5).await,
    ];
    scene.work().await;
    let mut ended = Vec::new();
    for id in &ids {
        assert_eq!(scene.outcome(id).await, Some(Outcome::Succeeded));
        ended.push(scene.summary(id).await.ended_us);
    }
    assert!(ended.is_sorted(), "in the order of asking: {ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_waits_is_not_replaced_and_replaces_nobody() {
    let (scene, running) = with_one_under_way(Queue::Latest).await;
    let waiting = scene.deploy(3).await;
    let back = scene.go_back(Some(1)).await;
    let newest = scene.deploy(4).await;
    assert_eq!(scene.outcome(&waiting).await, replaced(&newest));
    scene.work().await;
    for id in [&running, &back, &newest] {
        assert_eq!(scene.outcome(id).await, Some(Outcome::Succeeded));
    }
    let back = scene.summary(&back).await;
    assert!(back.ended_us < scene.summary(&newest).await.locked_us);
}

/// It has the lock and a worker is at it, and it has not begun: whoever comes then ends it, and the worker lets go.
#[tokio::test(start_paused = true)]
async fn one_that_a_worker_has_just_taken_is_replaced_before_it_begins() {
    for point in 0..3 {
        let mut scene = Scene::new(Strategy::BlueGreen, 2);
        scene.deploy(1).await;
        scene.work().await;
        scene.queue = Queue::Latest;
        let old = scene.deploy(2).await;
        // The worker stops where it looks at the world, or right before it says what it will do.
        let held = scene.work_and_hold(point, scene.deploy(3)).await;
        let (new, _) = held.expect("it is held on its way");
        let begun = scene.store.journal(&old).len() > 2;
        if begun {
            // Too late: it had begun, and nobody replaces it.
            assert_eq!(scene.outcome(&old).await, Some(Outcome::Succeeded));
        } else {
            assert_eq!(scene.outcome(&old).await, replaced(&new), "{point}");
            // No error that a worker pauses after.
            let locked_us = scene.summary(&new).await.locked_us.expect("it began");
            let ended_us = scene.summary(&old).await.ended_us.expect("it ended");
            assert!(locked_us - ended_us < 100_000, "{point}");
        }
        assert_eq!(point < 2, !begun, "point {point}");
        assert_eq!(scene.outcome(&new).await, Some(Outcome::Succeeded));
        assert_eq!(scene.serving(), Some(scene.record(3).group()));
        assert!(scene.world.breaches().is_empty());
    }
}

/// A pause before it has begun holds up nobody else's newer release.
#[tokio::test(start_paused = true)]
async fn one_that_was_told_to_wait_before_it_began_is_replaced() {
    let (scene, running) = with_one_under_way(Queue::Latest).await;
    let paused = scene.deploy(3).await;
    scene.signal(&paused, Ask::Pause).await;
    let newest = scene.deploy(4).await;
    assert_eq!(scene.outcome(&paused).await, replaced(&newest));
    scene.work().await;
    assert_eq!(scene.outcome(&running).await, Some(Outcome::Succeeded));
    assert_eq!(scene.outcome(&newest).await, Some(Outcome::Succeeded));
}

fn unchanged() -> Option<Outcome> {
    Some(Outcome::Failed {
        rollback: RollbackResult::None,
        residue: Vec::new(),
    })
}

/// Whoever waits for its turn holds nothing: it ends without a worker, and whoever is before it goes on.
#[tokio::test(start_paused = true)]
async fn one_that_waits_and_is_not_wanted_any_more_ends_at_once() {
    let asks = [
        (Ask::Abort, unchanged()),
        (Ask::Abandon, unchanged()),
        (Ask::Stop, Some(Outcome::Stopped)),
    ];
    for (ask, ends) in asks {
        let (scene, running) = with_one_under_way(Queue::All).await;
        let waiting = scene.deploy(3).await;
        scene.signal(&waiting, Ask::Pause).await;
        assert_eq!(scene.outcome(&waiting).await, None, "a pause is no end");
        scene.signal(&waiting, ask).await;
        assert_eq!(scene.outcome(&waiting).await, ends);
        assert_eq!(scene.summary(&running).await.phase, Phase::Baking);
        scene.work().await;
        assert_eq!(scene.outcome(&running).await, Some(Outcome::Succeeded));
        assert_eq!(scene.serving(), Some(scene.record(2).group()));
    }
}

/// A worker is about to begin it: it has not begun, and the worker lets go; or it has, and goes back.
#[tokio::test(start_paused = true)]
async fn one_that_a_worker_has_just_taken_ends_once_however_close_the_word_comes() {
    for point in 0..3 {
        let scene = Scene::new(Strategy::BlueGreen, 2);
        scene.deploy(1).await;
        scene.work().await;
        let id = scene.deploy(2).await;
        let tell = async {
            scene.signal(&id, Ask::Abort).await;
            let has_begun = scene.store.journal(&id).len() > 3;
            let ended = scene.outcome(&id).await;
            assert_eq!(ended.is_some(), !has_begun, "point {point}");
            assert_eq!(has_begun, point == 2, "point {point}");
        };
        let held = scene.work_and_hold(point, tell).await;
        held.expect("it is held on its way");
        let ended = match point {
            2 => RollbackResult::Complete,
            _ => RollbackResult::None,
        };
        let Some(Outcome::Failed { rollback, .. }) = scene.outcome(&id).await else {
            panic!("it failed");
        };
        assert_eq!(rollback, ended, "point {point}");
        assert_eq!(scene.serving(), Some(scene.record(1).group()));
        let next = scene.deploy(3).await;
        scene.work().await;
        assert_eq!(scene.outcome(&next).await, Some(Outcome::Succeeded));
    }
}
