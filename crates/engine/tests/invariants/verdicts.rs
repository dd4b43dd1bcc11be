//! What is made of verdicts: inconclusive ones, those on a first release, and that what was refused once is refused again.

use crate::with_one;
use belay_model::config::{FirstFailure, Inconclusive, Strategy};
use belay_model::environment::Standing;
use belay_model::event::{Ask, Outcome, RollbackResult};
use belay_model::plan::Look;
use belay_model::policy::{Act, Rule};
use belay_model::summary::Phase;
use belay_model::verdict::Outcome as Said;
use belay_testkit::Scene;
use belay_testkit::parts::{canary, check_at, rolled_back};

#[tokio::test(start_paused = true)]
async fn i8_inconclusive_is_never_pass() {
    let mut scene = with_one(canary([10, 50])).await;
    scene.script.say(2, Look::Live, Said::Inconclusive);
    let id = scene.deploy(2).await;
    scene.work().await;
    assert_eq!(scene.summary(&id).await.outcome, rolled_back());
    // Where policy asks a person, it waits for one.
    scene.inconclusive = Inconclusive::Ask;
    scene.script.say(3, Look::Live, Said::Inconclusive);
    let id = scene.deploy(3).await;
    scene.work().await;
    assert_eq!(scene.summary(&id).await.phase, Phase::NeedsOperator);
    scene.signal(&id, Ask::Abort).await;
    scene.work().await;
    assert_eq!(scene.summary(&id).await.outcome, rolled_back());
}

/// It was promoted, and good until then: nothing says that it is bad, and nothing that it is good.
#[tokio::test(start_paused = true)]
async fn i8_what_a_bake_could_not_say_leaves_it_a_candidate() {
    let stop = Rule {
        on: Vec::new(),
        act: Act::Stop,
    };
    for rules in [vec![], vec![stop]] {
        let mut scene = with_one(Strategy::BlueGreen).await;
        scene.on_failure = rules;
        scene.script.say(2, Look::Bake, Said::Inconclusive);
        let id = scene.deploy(2).await;
        scene.work().await;
        assert!(scene.summary(&id).await.promoted_us.is_some());
        let known = scene.view().records.remove(&scene.record(2).hash());
        let known = known.expect("it was deployed");
        assert_eq!(known.standing, Standing::Candidate);
        assert_eq!(known.failures, 0, "it is not blamed");
        let why = known.reason.expect("it says why");
        assert!(
            scene
                .summary(&id)
                .await
                .cause
                .is_some_and(|cause| cause.contains(&why)),
            "{why}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_deployment_that_fails_is_removed() {
    let scene = Scene::default();
    scene.script.say(1, Look::Bake, Said::Fail);
    let id = scene.deploy(1).await;
    scene.work().await;
    assert_eq!(scene.summary(&id).await.outcome, rolled_back());
    assert!(scene.world.groups().is_empty());
    assert!(scene.world.weights().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_first_deployment_that_fails_is_left_where_policy_says_so() {
    for look in [Look::Staged, Look::Bake] {
        let mut scene = Scene::default();
        scene.on_first_failure = FirstFailure::Leave;
        scene.checks = vec![check_at("staged")];
        scene.script.say(1, look, Said::Fail);
        let id = scene.deploy(1).await;
        scene.work().await;
        let summary = scene.summary(&id).await;
        let Some(Outcome::Failed { rollback, residue }) = &summary.outcome else {
            panic!("it failed: {summary:#?}");
        };
        assert_eq!(*rollback, RollbackResult::Limited);
        let group = scene.record(1).group();
        assert!(
            residue.len() == 1 && residue[0].contains(&group),
            "{residue:?}"
        );
        assert!(summary.cause.is_some_and(|cause| cause.contains("Fail")));
        assert_eq!(scene.world.groups(), [group], "it is left");
        let standing = scene.standing(1);
        assert_eq!(standing, Standing::Quarantined);
        let served = scene.view().serving().is_some();
        assert_eq!(served, look == Look::Bake, "what has the traffic serves");
        // The next release takes its place, and nothing of it stays.
        let next = scene.deploy(2).await;
        scene.work().await;
        assert_eq!(scene.summary(&next).await.outcome, Some(Outcome::Succeeded));
        assert_eq!(scene.world.groups(), [scene.record(2).group()]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_quarantined_release_is_refused_with_nothing_changed() {
    let scene = with_one(canary([10, 50])).await;
    scene.script.say(2, Look::Live, Said::Fail);
    scene.deploy(2).await;
    scene.work().await;
    let log = scene.world.log();
    let again = scene.deploy(2).await;
    scene.work().await;
    let outcome = scene.summary(&again).await.outcome;
    assert!(
        matches!(
            outcome,
            Some(Outcome::Failed {
                rollback: RollbackResult::None,
                ..
            })
        ),
        "{outcome:?}"
    );
    assert_eq!(scene.world.log(), log);
}
