//! Kill -9 anywhere is normal operation: every append (before, after) and every driver call (before, inside, after)
//! of a deployment, forward and back, once each. The world is simulated here; the real processes have their own test.

use belay_model::config::{CanaryStep, Duration, Percent, Strategy};
use belay_model::event::{Outcome, RollbackResult};
use belay_model::plan::Look;
use belay_model::verdict::Outcome as Said;
use belay_testkit::{Scene, check_journal};

fn canary() -> Strategy {
    let step = |percent| CanaryStep {
        to: Percent::from_percent(percent),
        hold: Some(Duration::from_secs(5)),
    };
    Strategy::Canary(vec![step(10), step(50)])
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Way {
    /// Release 2 is good.
    Forward,
    /// Release 2 is bad and goes back by itself.
    Back,
    /// Release 2 is good, and someone returns to release 1.
    Return,
}

/// Makes an empty world.
type Make = fn(Strategy, u32) -> Scene;

async fn scene(make: Make, strategy: &Strategy, way: Way) -> Scene {
    let scene = make(strategy.clone(), 4);
    scene.deploy(1).await;
    scene.work().await;
    if way == Way::Back {
        let look = if matches!(strategy, Strategy::Canary(_)) {
            Look::Live
        } else {
            Look::Bake
        };
        scene.script.say(2, look, Said::Fail);
    }
    if way == Way::Return {
        scene.deploy(2).await;
        scene.work().await;
    }
    scene
}

async fn run(scene: &Scene, way: Way) -> u32 {
    let id = if way == Way::Return {
        scene.go_back(None).await
    } else {
        scene.deploy(2).await
    };
    let killed = scene.work().await;
    let summary = scene.summary(&id).await;
    check_journal(&scene.store.journal(&id));
    let (outcome, serves) = match way {
        Way::Forward => (Outcome::Succeeded, 2),
        Way::Back => (
            Outcome::Failed {
                rollback: RollbackResult::Complete,
                residue: Vec::new(),
            },
            1,
        ),
        Way::Return => (Outcome::Succeeded, 1),
    };
    assert_eq!(
        summary.outcome,
        Some(outcome),
        "{summary:#?}\n{:#?}",
        scene.store.journal(&id)
    );
    assert_eq!(scene.serving(), Some(scene.record(serves).group()));
    assert_eq!(
        scene.world.groups(),
        [scene.record(serves).group()],
        "nothing is left over"
    );
    assert_eq!(
        scene.view().serving().map(|known| known.record.release.0),
        Some(serves)
    );
    killed
}

async fn every_point(strategy: Strategy, way: Way) {
    every_point_of(Scene::new, strategy, way).await;
}

async fn every_point_of(make: Make, strategy: Strategy, way: Way) {
    let untouched = scene(make, &strategy, way).await;
    untouched.crashes.kill_at(usize::MAX);
    run(&untouched, way).await;
    let points = untouched.crashes.seen();
    assert!(
        points.len() >= 20,
        "only {} points in {strategy:?} {way:?}",
        points.len()
    );
    let mut killed = 0;
    for point in 0..points.len() {
        let scene = scene(make, &strategy, way).await;
        scene.crashes.kill_at(point);
        killed += run(&scene, way).await;
    }
    assert_eq!(killed as usize, points.len(), "every point was a kill");
}

#[tokio::test(start_paused = true)]
async fn blue_green_forward() {
    every_point(Strategy::BlueGreen, Way::Forward).await;
}

#[tokio::test(start_paused = true)]
async fn blue_green_back() {
    every_point(Strategy::BlueGreen, Way::Back).await;
}

#[tokio::test(start_paused = true)]
async fn blue_green_return() {
    every_point(Strategy::BlueGreen, Way::Return).await;
}

#[tokio::test(start_paused = true)]
async fn canary_forward() {
    every_point(canary(), Way::Forward).await;
}

#[tokio::test(start_paused = true)]
async fn canary_back() {
    every_point(canary(), Way::Back).await;
}

#[tokio::test(start_paused = true)]
async fn canary_return() {
    every_point(canary(), Way::Return).await;
}

#[tokio::test(start_paused = true)]
async fn rolling_forward() {
    every_point(Strategy::Rolling, Way::Forward).await;
}

#[tokio::test(start_paused = true)]
async fn rolling_back() {
    every_point(Strategy::Rolling, Way::Back).await;
}

#[tokio::test(start_paused = true)]
async fn without_traffic_forward() {
    every_point_of(Scene::workers, Strategy::Basic, Way::Forward).await;
    every_point_of(Scene::workers, Strategy::Rolling, Way::Forward).await;
}

#[tokio::test(start_paused = true)]
async fn without_traffic_back() {
    every_point_of(Scene::workers, Strategy::Basic, Way::Back).await;
    every_point_of(Scene::workers, Strategy::Rolling, Way::Back).await;
}

#[tokio::test(start_paused = true)]
async fn without_traffic_return() {
    every_point_of(Scene::workers, Strategy::Basic, Way::Return).await;
}
