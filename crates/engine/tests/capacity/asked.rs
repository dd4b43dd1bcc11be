//! There is no room for all of it, and a person is asked.

use crate::{USUAL, serving};
use belay_model::config::{BackCapacity, Duration, Strategy};
use belay_model::error::Class;
use belay_model::event::{Ask, Outcome, RollbackResult};
use belay_model::id::DeploymentId;
use belay_model::summary::Phase;
use belay_testkit::{Fault, Kind, Scene};

/// Goes back where the platform has no room for all of it: half of it is ready, and a person is asked.
async fn short_of_room(within: Option<u64>) -> (Scene, DeploymentId) {
    let mut scene = Scene::of(Kind::SideBySide, Strategy::Basic, USUAL);
    scene.back_order.capacity = BackCapacity::Ask;
    scene.back_order.ask_within = within.map(Duration::from_secs);
    for release in [1, 2] {
        scene.deploy(release).await;
        scene.work().await;
    }
    let tries = [Fault::Half(Class::Quota)].into_iter();
    let again = std::iter::repeat_n(Fault::Refused(Class::Quota), 7);
    scene.world.faults(tries.chain(again).map(Some));
    let id = scene.go_back(None).await;
    (scene, id)
}

fn short(outcome: Option<&Outcome>) -> &str {
    let Some(Outcome::Failed {
        rollback: RollbackResult::Incomplete,
        residue,
    }) = outcome
    else {
        panic!("it says what is missing: {outcome:?}");
    };
    assert_eq!(residue.len(), 1, "{residue:?}");
    &residue[0]
}

#[tokio::test(start_paused = true)]
async fn a_person_decides_whether_what_is_ready_will_do() {
    let (scene, id) = short_of_room(None).await;
    scene.work().await;
    let summary = scene.summary(&id).await;
    assert_eq!(summary.phase, Phase::NeedsOperator);
    let why = summary.stuck.expect("it says why");
    assert!(
        why.contains("`advance` goes on with what is ready"),
        "{why}"
    );
    assert_eq!(
        serving(&scene),
        Some(scene.record(2).group()),
        "nobody is moved"
    );

    scene.signal(&id, Ask::Advance).await;
    scene.work().await;
    let outcome = scene.summary(&id).await.outcome;
    let residue = short(outcome.as_ref());
    assert!(residue.contains("test said so: grow"), "{residue}");
    assert_eq!(serving(&scene), Some(scene.record(1).group()));
    assert_eq!(scene.world.asked_for(), Some(USUAL / 2), "what was ready");
    assert_eq!(scene.world.groups(), [scene.record(1).group()]);
}

#[tokio::test(start_paused = true)]
async fn a_person_may_try_for_all_of_it() {
    let (scene, id) = short_of_room(None).await;
    scene.work().await;
    assert_eq!(scene.summary(&id).await.phase, Phase::NeedsOperator);
    scene.signal(&id, Ask::Retry).await;
    scene.work().await;
    let outcome = scene.summary(&id).await.outcome;
    assert_eq!(outcome, Some(Outcome::Succeeded));
    assert_eq!(scene.world.asked_for(), Some(USUAL));
}

/// At three in the morning nobody answers.
#[tokio::test(start_paused = true)]
async fn where_nobody_answers_in_time_what_is_ready_will_do() {
    let (scene, id) = short_of_room(Some(60)).await;
    scene.work_for(10 * 60 * 1000).await;
    let summary = scene.summary(&id).await;
    let residue = short(summary.outcome.as_ref());
    assert!(
        residue.contains("nobody said otherwise in time"),
        "{residue}"
    );
    assert_eq!(serving(&scene), Some(scene.record(1).group()));
    assert_eq!(scene.world.asked_for(), Some(USUAL / 2));
}

/// Others wait for a person, and there is no such answer.
#[tokio::test(start_paused = true)]
async fn nobody_goes_on_with_less_who_was_not_asked() {
    let scene = Scene::of(Kind::SideBySide, Strategy::Basic, USUAL);
    for release in [1, 2] {
        scene.deploy(release).await;
        scene.work().await;
    }
    let refused = std::iter::repeat_n(Fault::Refused(Class::Quota), 8);
    scene.world.faults(refused.map(Some));
    let id = scene.go_back(None).await;
    scene.work().await;
    assert_eq!(scene.summary(&id).await.phase, Phase::NeedsOperator);
    scene.signal(&id, Ask::Advance).await;
    scene.work().await;
    assert_eq!(scene.summary(&id).await.phase, Phase::NeedsOperator);
    assert_eq!(serving(&scene), Some(scene.record(2).group()));
}
