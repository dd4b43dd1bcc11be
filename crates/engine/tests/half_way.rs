//! What comes after a deployment that ended half-way: what serves then is told by what is there.

use belay_model::config::{FirstFailure, Strategy};
use belay_model::environment::Standing;
use belay_model::error::Class;
use belay_model::event::{Ask, Event, Outcome, RollbackResult};
use belay_model::id::DeploymentId;
use belay_model::plan::{Approval, Look};
use belay_model::policy::{Act, Rule};
use belay_model::summary::Phase;
use belay_model::verdict::Outcome as Said;
use belay_testkit::parts::{canary, check_at, rolled_back};
use belay_testkit::{Fault, Scene};

async fn with_one() -> Scene {
    Scene::new(Strategy::BlueGreen, 2).with_good(1).await
}

fn known_to_serve(scene: &Scene) -> Option<u32> {
    let view = scene.view();
    view.serving().map(|known| known.record.release.0)
}

/// What the deployment found, in words.
fn found(scene: &Scene, id: &DeploymentId) -> String {
    let journal = scene.store.journal(id);
    let found = journal.into_iter().find_map(|entry| match entry.event {
        Event::Planned { baseline_goal, .. } => Some(baseline_goal.title),
        _ => None,
    });
    found.expect("it was planned")
}

/// Release 2 has all the traffic and bakes when someone stops it.
#[tokio::test(start_paused = true)]
async fn what_was_stopped_with_all_the_traffic_serves_and_is_gone_back_from_and_to() {
    let mut scene = with_one().await;
    let ask = Act::Ask {
        within_ms: None,
        then: Box::new(Act::RollBack),
    };
    let on = Vec::new();
    scene.on_failure = vec![Rule { on, act: ask }];
    scene.checks = vec![check_at("live")];
    scene.script.say(2, Look::Live, Said::Inconclusive);
    let id = scene.deploy_and_work(2).await;
    assert_eq!(scene.summary(&id).await.phase, Phase::NeedsOperator);
    assert_eq!(known_to_serve(&scene), Some(1), "it is not promoted");
    scene.signal(&id, Ask::Stop).await;
    scene.work().await;
    assert_eq!(scene.summary(&id).await.outcome, Some(Outcome::Stopped));
    assert_eq!(known_to_serve(&scene), Some(2));
    // Another one fails, and goes back to what was there.
    scene.on_failure = Vec::new();
    scene.script.say(2, Look::Live, Said::Pass);
    scene.script.say(3, Look::Live, Said::Fail);
    let id = scene.deploy_and_work(3).await;
    assert!(found(&scene, &id).starts_with(&scene.record(2).title()));
    assert_eq!(scene.serving(), Some(scene.record(2).group()));
    assert_eq!(known_to_serve(&scene), Some(2));
    // Going back from it leads to what was good before it.
    let back = scene.go_back(None).await;
    scene.work().await;
    assert_eq!(scene.summary(&back).await.outcome, Some(Outcome::Succeeded));
    assert_eq!(scene.serving(), Some(scene.record(1).group()));
}

/// Release 2 is bad, cannot be taken back, and someone gives up: the next one that fails does not go back to it, whether it has
/// all of the traffic by then or a part of it.
#[tokio::test(start_paused = true)]
async fn nobody_is_led_back_to_a_bad_release_that_someone_gave_up_on() {
    for (strategy, share) in [(Strategy::BlueGreen, 1000), (canary([10]), 100)] {
        let mut scene = with_one().await;
        scene.strategy = strategy;
        scene.checks = vec![check_at("live")];
        scene.script.say(2, Look::Live, Said::Fail);
        let refused = std::iter::repeat_n(Some(Fault::Refused(Class::Unknown)), 3);
        scene.world.faults([None, None].into_iter().chain(refused));
        let id = scene.deploy_and_work(2).await;
        assert_eq!(known_to_serve(&scene), Some(1), "it is not promoted");
        scene.signal(&id, Ask::Abandon).await;
        scene.work().await;
        let outcome = scene.summary(&id).await.outcome;
        assert!(matches!(
            outcome,
            Some(Outcome::Failed {
                rollback: RollbackResult::Incomplete,
                ..
            })
        ));
        let bad = scene.record(2);
        assert_eq!(scene.world.weights().get(&bad.group()), Some(&share));
        let standing = scene.view().records[&bad.hash()].standing;
        assert_eq!(standing, Standing::Quarantined);
        scene.world.faults([]);
        scene.script.say(3, Look::Bake, Said::Fail);
        let id = scene.deploy_and_work(3).await;
        let summary = scene.summary(&id).await;
        assert_eq!(summary.outcome, rolled_back(), "{summary:#?}");
        assert_eq!(scene.serving(), Some(scene.record(1).group()), "{share}");
    }
}

/// The bad release is on both targets, and the next one fails on the first: it goes back to another one than what was there,
/// and that goes for the target, too, that it had not come to.
#[tokio::test(start_paused = true)]
async fn what_is_gone_back_to_instead_of_a_bad_release_is_one_for_all_targets() {
    let mut scene = Scene::spread(Strategy::BlueGreen, 2, &["eu", "us"]);
    scene.deploy_and_work(1).await;
    scene.script.say(2, Look::Bake, Said::Fail);
    for world in scene.worlds.values() {
        let refused = std::iter::repeat_n(Some(Fault::Refused(Class::Unknown)), 3);
        world.faults([None, None].into_iter().chain(refused));
    }
    let id = scene.deploy_and_work(2).await;
    scene.signal(&id, Ask::Abandon).await;
    scene.work().await;
    for (name, world) in &scene.worlds {
        let bad = scene.record(2).group();
        assert_eq!(world.weights().get(&bad), Some(&1000), "{name}");
        world.faults([]);
    }
    scene.checks = vec![check_at("live")];
    scene.script.say(3, Look::Live, Said::Fail);
    let id = scene.deploy_and_work(3).await;
    let phase = scene.summary(&id).await.phase;
    assert_eq!(phase, Phase::Ended);
    assert!(
        !scene.worlds["us"]
            .log()
            .iter()
            .any(|line| line.contains("r3-"))
    );
    let group = scene.record(1).group();
    for (name, world) in &scene.worlds {
        assert_eq!(world.weights().get(&group), Some(&1000), "{name}");
    }
}

/// Of a first release only the copies are there when someone stops it: there is nobody to share the traffic with.
#[tokio::test(start_paused = true)]
async fn a_canary_where_nobody_serves_goes_out_at_once() {
    let mut scene = Scene::new(canary([10]), 10);
    scene.on_first_failure = FirstFailure::Leave;
    scene.approve = Some(Approval {
        title: "go on".to_owned(),
        by: Vec::new(),
        count: 1,
        within_ms: None,
    });
    let id = scene.deploy(1).await;
    let people = async {
        scene.until(&id, Phase::Waiting).await;
        scene.signal(&id, Ask::Stop).await;
    };
    tokio::join!(people, scene.work());
    assert_eq!(scene.serving(), None);
    assert_eq!(scene.world.groups(), [scene.record(1).group()]);
    scene.approve = None;
    let id = scene.deploy_and_work(2).await;
    let outcome = scene.summary(&id).await.outcome;
    assert_eq!(outcome, Some(Outcome::Succeeded));
    let log = scene.world.log();
    let moves: Vec<_> = log
        .iter()
        .filter(|line| line.starts_with("weights"))
        .collect();
    assert_eq!(moves.len(), 1, "{log:#?}");
    let grown = log.iter().filter(|line| line.contains("grow r2"));
    assert_eq!(
        grown.count(),
        1,
        "all of it before anybody reaches it: {log:#?}"
    );
}

/// Release 2 has a tenth of the traffic when someone stops it.
async fn stopped_with_a_share() -> Scene {
    let mut scene = with_one().await;
    scene.strategy = canary([10]);
    let id = scene.deploy(2).await;
    scene.work_for(3_000).await;
    scene.signal(&id, Ask::Stop).await;
    scene.work().await;
    assert_eq!(scene.summary(&id).await.outcome, Some(Outcome::Stopped));
    assert!(is_shared(&scene));
    scene.strategy = Strategy::BlueGreen;
    scene
}

/// Whether releases 1 and 2 have the traffic.
fn is_shared(scene: &Scene) -> bool {
    let weights = scene.world.weights();
    let of = |release| weights.get(&scene.record(release).group()).copied();
    (of(1), of(2)) == (Some(900), Some(100))
}

/// A stranger moves the traffic, and a deployment finds it so: whether it asks a person.
async fn asks_about_a_stranger(scene: &Scene) -> bool {
    let stranger = [("stranger".to_owned(), 1000)];
    scene.world.set_weights(stranger.into_iter().collect());
    let id = scene.deploy_and_work(4).await;
    let stuck = scene.summary(&id).await.stuck;
    stuck.is_some_and(|why| why.contains("someone else"))
}

#[tokio::test(start_paused = true)]
async fn what_goes_back_to_what_was_half_way_is_not_taken_for_a_stranger() {
    let scene = stopped_with_a_share().await;
    scene.script.say(3, Look::Bake, Said::Fail);
    let id = scene.deploy_and_work(3).await;
    let outcome = scene.summary(&id).await.outcome;
    assert_eq!(outcome, rolled_back());
    assert!(is_shared(&scene), "as before");
    let id = scene.deploy_and_work(4).await;
    let summary = scene.summary(&id).await;
    assert_eq!(summary.outcome, Some(Outcome::Succeeded), "{summary:#?}");
}

#[tokio::test(start_paused = true)]
async fn nor_is_what_an_undo_brings_back_half_way() {
    let scene = stopped_with_a_share().await;
    let id = scene.deploy_and_work(3).await;
    let outcome = scene.summary(&id).await.outcome;
    assert_eq!(outcome, Some(Outcome::Succeeded));
    scene.undo(&id).await;
    scene.work().await;
    assert!(is_shared(&scene), "as before");
    let id = scene.deploy_and_work(4).await;
    let summary = scene.summary(&id).await;
    assert_eq!(summary.outcome, Some(Outcome::Succeeded), "{summary:#?}");
}

#[tokio::test(start_paused = true)]
async fn who_goes_to_a_release_instead_leaves_it_whole_and_a_stranger_is_seen() {
    let mut scene = stopped_with_a_share().await;
    scene.bake_ms = 60_000;
    let id = scene.deploy(3).await;
    let people = async {
        scene.until(&id, Phase::Baking).await;
        scene.abort_to(&id, 1, &[]).await;
    };
    tokio::join!(people, scene.work());
    assert_eq!(scene.serving(), Some(scene.record(1).group()));
    assert!(asks_about_a_stranger(&scene).await);
}

/// What was superseded ended half-way, and the one that took over leads back to before both.
#[tokio::test(start_paused = true)]
async fn a_hotfix_that_goes_back_leaves_it_whole_and_a_stranger_is_seen() {
    let mut scene = with_one().await;
    scene.strategy = canary([10]);
    let old = scene.deploy(2).await;
    scene.work_for(3_000).await;
    scene.script.say(3, Look::Bake, Said::Fail);
    scene.hotfix(3).await.expect("it is taken");
    scene.work().await;
    assert_eq!(scene.summary(&old).await.outcome, Some(Outcome::Stopped));
    assert_eq!(scene.serving(), Some(scene.record(1).group()));
    assert!(asks_about_a_stranger(&scene).await);
}

/// Release 2 is on the first of two targets and not on the second when someone stops it and takes it back: the second is as it
/// was, until a stranger comes.
#[tokio::test(start_paused = true)]
async fn i5_a_way_back_after_the_end_looks_at_what_it_had_nothing_to_do_on() {
    let mut scene = Scene::spread(Strategy::BlueGreen, 2, &["eu", "us"]);
    scene.deploy_and_work(1).await;
    let act = Act::Ask {
        within_ms: None,
        then: Box::new(Act::RollBack),
    };
    let on = Vec::new();
    scene.on_failure = vec![Rule { on, act }];
    scene.worlds["us"].faults([Some(Fault::Refused(Class::Authorisation))]);
    let id = scene.deploy_and_work(2).await;
    scene.signal(&id, Ask::Stop).await;
    scene.work().await;
    assert_eq!(scene.summary(&id).await.outcome, Some(Outcome::Stopped));
    let [eu, us] = ["eu", "us"].map(|name| scene.worlds[name].weights());
    assert_ne!(eu, us);

    let back = scene.undo(&id).await;
    let stranger = async {
        scene.until(&back, Phase::Running).await;
        let weights = [("stranger".to_owned(), 1000)];
        scene.worlds["us"].set_weights(weights.into_iter().collect());
    };
    tokio::join!(stranger, scene.work());
    let summary = scene.summary(&back).await;
    assert_eq!(summary.phase, Phase::NeedsOperator, "{summary:#?}");
    let why = summary.stuck.unwrap_or_default();
    assert!(why.contains("the goal is not met: us: route"), "{why}");
    scene.signal(&back, Ask::Retry).await;
    scene.work().await;
    let outcome = scene.summary(&back).await.outcome;
    assert_eq!(outcome, Some(Outcome::Succeeded));
    for name in ["eu", "us"] {
        assert_eq!(scene.worlds[name].weights(), us, "{name}");
    }
}
