//! The invariants of the engine, each by a test of its name. ARCHITECTURE.md lists them.

mod back;
mod people;
mod steps;
mod strangers;
mod stuck;
mod verdicts;
mod workers;

use belay_model::config::Strategy;
use belay_model::event::Event;
use belay_model::id::DeploymentId;
use belay_testkit::{Scene, check_journal};

/// A scene in which release 1 is good and serves.
pub(crate) async fn with_one(strategy: Strategy) -> Scene {
    Scene::new(strategy, 4).with_good(1).await
}

pub(crate) async fn journal_of(scene: &Scene, id: &DeploymentId) -> Vec<Event> {
    let journal = scene.store.journal(id);
    check_journal(&journal);
    journal.into_iter().map(|entry| entry.event).collect()
}

/// Index of the first point of that kind in a deployment of release 2.
pub(crate) async fn scene_point<F: Future<Output = Scene>>(
    make: impl Fn() -> F,
    call: &str,
    place: &str,
) -> usize {
    let scene = make().await;
    scene.deploy(2).await;
    scene.crashes.kill_at(usize::MAX);
    scene.work().await;
    let seen = scene.crashes.seen();
    seen.iter()
        .position(|point| point.call == call && point.place == place)
        .expect("there is such a point")
}
