//! I11: a plan is not longer than it may be, and what could go out can always go back.

use async_trait::async_trait;
use belay_driver::Progress;
use belay_engine::planning::{MAX_STEPS, MAX_STEPS_BACK};
use belay_engine::ports::{Ledger, MAX_EVENT, Ports, Question, Verifier};
use belay_engine::worker::Worker;
use belay_model::config::{BackCapacity, Strategy};
use belay_model::event::{Ask, Event, Outcome, RollbackResult};
use belay_model::id::DeploymentId;
use belay_model::verdict::{Outcome as Said, Verdict};
use belay_testkit::Scene;
use belay_testkit::parts::{phase, rolled_back, run};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

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

/// How many steps a deployment's plan has, and how many bytes.
fn plan_of(scene: &Scene, id: &DeploymentId) -> (usize, usize) {
    let journal = scene.store.journal(id).into_iter();
    let mut sizes = journal.filter_map(|entry| match &entry.event {
        Event::Planned { plan, .. } => Some((plan.len(), json!(entry.event).to_string().len())),
        _ => None,
    });
    sizes.next_back().expect("it was planned")
}

/// The plans of a release on so many targets, and of going back from it.
async fn there_and_back(targets: usize, padding: usize) -> ((usize, usize), (usize, usize)) {
    let names: Vec<String> = (0..targets)
        .map(|number| format!("place-{number:02}"))
        .collect();
    let places: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut scene = Scene::spread(Strategy::Basic, 8, &places);
    scene.config = padded(padding);
    scene.back_order.capacity = BackCapacity::Proportional;
    let scene = scene.with_good(1).await;
    let there = scene.deploy_and_work(2).await;
    let back = scene.go_back(None).await;
    scene.work().await;
    assert_eq!(scene.outcome(&back).await, Some(Outcome::Succeeded));
    (plan_of(&scene, &there), plan_of(&scene, &back))
}

/// On each target the way back takes more steps than the way there did. Were there as many targets as can go out at all, it
/// would not be too long, either.
#[tokio::test(start_paused = true)]
async fn i11_whatever_could_go_out_can_go_back() {
    let ((there, _), (back, _)) = there_and_back(51, 0).await;
    assert!(back > MAX_STEPS, "{back} steps show nothing");
    assert!(
        back * MAX_STEPS <= there * MAX_STEPS_BACK,
        "{there} there, {back} back"
    );
    let ((_, there), (_, back)) = there_and_back(10, 510_000).await;
    assert!(
        there <= MAX_EVENT && back > MAX_EVENT,
        "{there} bytes there, {back} back"
    );
}

/// What a release says of itself is in the plan twice: of the one that comes, and of the one that was there.
fn padded(bytes: usize) -> BTreeMap<String, String> {
    BTreeMap::from([("PADDING".to_owned(), "x".repeat(bytes))])
}

#[tokio::test(start_paused = true)]
async fn i11_a_release_whose_plan_is_too_large_is_refused_with_nothing_changed() {
    let mut scene = Scene::new(Strategy::Basic, 1);
    scene.config = padded(600_000);
    let scene = scene.with_good(1).await;
    let id = scene.deploy_and_work(2).await;
    let Some(Outcome::Failed { rollback, residue }) = scene.outcome(&id).await else {
        panic!("it is refused");
    };
    assert_eq!(rollback, RollbackResult::None);
    assert!(
        residue[0].contains("more than the 1048576 allowed"),
        "{residue:?}"
    );
    assert_eq!(scene.world.groups(), [scene.record(1).group()]);
}

/// A verifier that says far too much.
struct Wordy;

#[async_trait]
impl Verifier for Wordy {
    async fn verify(&self, _: &Question, _: &dyn Ledger, _: Arc<dyn Progress>) -> Verdict {
        Verdict {
            outcome: Said::Fail,
            check: "wordy".to_owned(),
            sentence: "no ".repeat(MAX_EVENT),
            evidence: Value::Null,
            first_bad_us: None,
        }
    }
}

/// It would be as large the next time: a person is told, and what they say is heard.
#[tokio::test(start_paused = true)]
async fn i11_what_cannot_be_written_down_waits_for_a_person() {
    let scene = Scene::new(Strategy::Basic, 1).with_good(1).await;
    let id = scene.deploy(2).await;
    let wordy = Ports {
        verifier: Arc::new(Wordy),
        ..scene.ports()
    };
    let worker = Worker::new(wordy, scene.owner());
    let parked = async {
        tokio::select! {
            _ = worker.run() => {}
            () = scene.until_parked(&id) => {}
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(60), parked).await;
    in_time.expect("it is not tried again and again");
    drop(worker);
    let why = scene.summary(&id).await.stuck.expect("it waits");
    assert!(why.contains("cannot be written down"), "{why}");
    scene.signal(&id, Ask::Abort).await;
    scene.work().await;
    assert_eq!(scene.outcome(&id).await, rolled_back());
}
