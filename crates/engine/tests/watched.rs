//! A bake watches what runs: where the platform tells of changes it asks for nothing meanwhile.

use belay_model::config::Strategy;
use belay_model::event::{Outcome, RollbackResult};
use belay_model::id::DeploymentId;
use belay_model::summary::Phase;
use belay_testkit::Scene;

const BAKE_MS: u64 = 600_000;

/// Release 2 is to bake.
async fn begun(tells: bool) -> (Scene, DeploymentId) {
    let mut scene = Scene::new(Strategy::BlueGreen, 2).with_good(1).await;
    if tells {
        scene.world.tells();
    }
    scene.bake_ms = BAKE_MS;
    let id = scene.deploy(2).await;
    (scene, id)
}

/// How often it was looked at in ten minutes in which nothing happened.
async fn looks(tells: bool) -> usize {
    let (scene, id) = begun(tells).await;
    let before = scene.world.looks();
    scene.work().await;
    assert_eq!(scene.outcome(&id).await, Some(Outcome::Succeeded));
    scene.world.looks() - before
}

#[tokio::test(start_paused = true)]
async fn nobody_looks_at_what_tells_of_changes() {
    let (told, untold) = (looks(true).await, looks(false).await);
    assert!(told < 30, "{told}");
    assert!(untold > 500, "{untold}");
}

/// A release gets sick a minute after it has begun to bake: it has gone back some seconds later.
async fn goes_back(meanwhile: impl Fn(&Scene)) {
    let (scene, id) = begun(true).await;
    let sickens = async {
        scene.until(&id, Phase::Baking).await;
        scene.pass(30_000).await;
        meanwhile(&scene);
        scene.pass(30_000).await;
        scene.world.sicken(&scene.record(2).group());
        scene.now_ms()
    };
    let ends = async {
        scene.work().await;
        scene.now_ms()
    };
    let (sick_ms, back_ms) = tokio::join!(sickens, ends);
    let back = Outcome::Failed {
        rollback: RollbackResult::Complete,
        residue: Vec::new(),
    };
    assert_eq!(scene.outcome(&id).await, Some(back));
    assert!(back_ms - sick_ms < 20_000, "{}", back_ms - sick_ms);
}

#[tokio::test(start_paused = true)]
async fn what_is_told_is_looked_at() {
    goes_back(|_| ()).await;
}

#[tokio::test(start_paused = true)]
async fn where_nobody_tells_any_more_one_looks_again() {
    goes_back(|scene| scene.world.tells_no_more()).await;
}
