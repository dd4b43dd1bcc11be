//! What someone else changed.

use crate::{scene_point, with_one};
use belay_engine::worker::Worker;
use belay_model::config::{ForeignChange, Inconclusive};
use belay_model::error::Class;
use belay_model::event::{Ask, Outcome};
use belay_model::plan::{Action, Approval, Look, Step};
use belay_model::summary::Phase;
use belay_model::verdict::Outcome as Said;
use belay_testkit::Fault;
use belay_testkit::parts::{canary, phase, rolled_back};
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

/// Where policy says so, a person decides before anything moves: while the deployment is open, and after it.
#[tokio::test(start_paused = true)]
async fn i10_going_back_a_person_decides_about_a_foreign_change_where_policy_says_so() {
    for is_open in [true, false] {
        let mut scene = with_one(canary([10, 50])).await;
        scene.back_order.foreign_change = ForeignChange::Ask;
        scene.inconclusive = Inconclusive::Ask;
        if is_open {
            scene.script.say(2, Look::Live, Said::Inconclusive);
        }
        let there = scene.deploy_and_work(2).await;
        let theirs = BTreeMap::from([(scene.record(2).group(), 900), ("x".to_owned(), 100)]);
        scene.world.set_weights(theirs);
        let moved = scene.world.log().len();
        let back = if is_open {
            scene.signal(&there, Ask::Abort).await;
            there
        } else {
            scene.go_back(None).await
        };
        scene.work().await;
        let summary = scene.summary(&back).await;
        assert_eq!(summary.phase, Phase::NeedsOperator, "{is_open}");
        let why = summary.stuck.expect("it says why");
        assert!(why.contains("what someone else changed"), "{why}");
        assert_eq!(scene.world.log().len(), moved, "nothing has moved");
        scene.signal(&back, Ask::Retry).await;
        scene.work().await;
        assert_eq!(scene.serving(), Some(scene.record(1).group()), "{is_open}");
        let outcome = scene.outcome(&back).await;
        let went_back = [rolled_back(), Some(Outcome::Succeeded)];
        assert_eq!(outcome, went_back[usize::from(!is_open)]);
    }
}

/// A way back that moves nothing overwrites nothing, and asks nobody.
#[tokio::test(start_paused = true)]
async fn i10_nobody_is_asked_about_what_is_not_in_the_way() {
    let mut scene = with_one(canary([10, 50])).await;
    scene.back_order.foreign_change = ForeignChange::Ask;
    let ask = vec![Step::of(Action::Approve(Approval {
        title: "go on".to_owned(),
        by: Vec::new(),
        count: 1,
        within_ms: None,
    }))];
    scene.phases = vec![phase("all", Some("shop/test"), ask, vec![])];
    let id = scene.deploy(2).await;
    scene.work_for(60_000).await;
    assert_eq!(scene.summary(&id).await.phase, Phase::Waiting);
    let theirs = BTreeMap::from([("x".to_owned(), 1000)]);
    scene.world.set_weights(theirs);
    let moved = scene.world.log().len();
    scene.signal(&id, Ask::Abort).await;
    scene.work().await;
    let summary = scene.summary(&id).await;
    assert_eq!(summary.phase, Phase::Ended, "{summary:#?}");
    let is_told = |line: &String| line.starts_with("changed by someone else");
    assert!(summary.remarks.iter().any(is_told), "{summary:#?}");
    assert_eq!(scene.world.log().len(), moved, "nothing has moved");
}
