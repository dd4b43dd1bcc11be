//! Phases, steps of the user's own, approvals and rules for failures.

mod alone;
mod back;
mod order;
mod people;
mod rules;
mod runs;

use belay_model::config::Strategy;
use belay_model::error::Class;
use belay_model::policy::{Act, Rule};
use belay_testkit::Scene;
use belay_testkit::parts::{phase, run};

pub(crate) const PLACES: [&str; 2] = ["eu", "us"];

pub(crate) fn rule(on: &[Class], act: Act) -> Vec<Rule> {
    vec![Rule {
        on: on.to_vec(),
        act,
    }]
}

/// Release 1 serves everywhere; then the scene is as `then` makes it.
pub(crate) async fn with_one(then: impl FnOnce(&mut Scene)) -> Scene {
    let mut scene = Scene::spread(Strategy::BlueGreen, 2, &PLACES)
        .with_good(1)
        .await;
    then(&mut scene);
    scene
}

pub(crate) fn three_phases(scene: &mut Scene) {
    scene.phases = vec![
        phase("network", None, vec![run("network")], vec![]),
        phase(
            "eu",
            Some("eu"),
            vec![run("before-eu")],
            vec![run("after-eu")],
        ),
        phase(
            "us",
            Some("us"),
            vec![run("before-us")],
            vec![run("after-us")],
        ),
    ];
}
