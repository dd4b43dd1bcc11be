//! I11: a plan is not longer than it may be, and what could go out can always go back.

use belay_engine::planning::{MAX_STEPS, MAX_STEPS_BACK};
use belay_model::config::{BackCapacity, Strategy};
use belay_model::event::{Event, Outcome, RollbackResult};
use belay_model::id::DeploymentId;
use belay_testkit::Scene;
use belay_testkit::parts::{phase, run};

#[tokio::test(start_paused = true)]
async fn i11_a_plan_that_is_too_long_is_refused_with_nothing_changed() {
    let mut scene = Scene::new(Strategy::Basic, 1).with_good(1).await;
    let commands = (0..MAX_STEPS).map(|number| run(&format!("c{number}")));
    let commands = commands.collect();
    scene.phases = vec![phase("all", Some("shop/test"), commands, vec![])];
    let id = scene.deploy_and_work(2).await;
    let Some(Outcome::Failed { rollback, residue }) = scene.outcome(&id).await else {
        panic!("it is refused");
    };
    assert_eq!(rollback, RollbackResult::None);
    assert!(
        residue[0].contains("more than the 500 allowed"),
        "{residue:?}"
    );
    assert_eq!(scene.runner.log(), Vec::<String>::new());
    assert_eq!(scene.world.groups(), [scene.record(1).group()]);
}

/// How long a deployment's plan is.
fn steps(scene: &Scene, id: &DeploymentId) -> usize {
    let journal = scene.store.journal(id).into_iter();
    let lengths = journal.filter_map(|entry| match entry.event {
        Event::Planned { plan, .. } => Some(plan.len()),
        _ => None,
    });
    lengths.last().expect("it was planned")
}

/// On each target the way back takes more steps than the way there did. Were there as many targets as can go out at all, it
/// would not be too long, either.
#[tokio::test(start_paused = true)]
async fn i11_whatever_could_go_out_can_go_back() {
    let names: Vec<String> = (0..51).map(|number| format!("place-{number:02}")).collect();
    let places: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut scene = Scene::spread(Strategy::Basic, 8, &places)
        .with_good(1)
        .await;
    scene.back_order.capacity = BackCapacity::Proportional;
    let there = scene.deploy_and_work(2).await;
    let back = scene.go_back(None).await;
    scene.work().await;
    assert_eq!(scene.outcome(&back).await, Some(Outcome::Succeeded));
    let (there, back) = (steps(&scene, &there), steps(&scene, &back));
    assert!(back > MAX_STEPS, "{back} steps show nothing");
    assert!(
        back * MAX_STEPS <= there * MAX_STEPS_BACK,
        "{there} there, {back} back"
    );
}
