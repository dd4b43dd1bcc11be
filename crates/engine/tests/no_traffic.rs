//! Targets without traffic: there is nothing to switch and nothing that stands by, so the old side goes as soon as the new
//! one is ready, and going back starts it again.

use belay_model::config::{FirstFailure, Strategy};
use belay_model::environment::Standing;
use belay_model::error::Class;
use belay_model::event::{Event, Outcome, RollbackResult};
use belay_model::plan::Look;
use belay_model::verdict::Outcome as Said;
use belay_testkit::parts::{canary, rolled_back};
use belay_testkit::{Fault, Scene, check_journal};

/// A scene in which release 1 is good and works.
async fn with_one(strategy: Strategy) -> Scene {
    Scene::workers(strategy, 4).with_good(1).await
}

#[tokio::test(start_paused = true)]
async fn i2_without_traffic_the_old_side_goes_when_the_new_one_is_ready_both_ways() {
    for strategy in [Strategy::Basic, Strategy::Rolling] {
        let mut scene = with_one(strategy).await;
        scene.bake_ms = 60 * 60 * 1000;
        scene.script.say(2, Look::Bake, Said::Inconclusive);
        let before = scene.world.log().len();
        let id = scene.deploy(2).await;
        scene.work().await;
        let log = scene.world.log().split_off(before);
        let [old, new] = [1, 2].map(|release| scene.record(release).group());
        // The bake goes back by itself: release 1 is started anew before release 2 is stopped.
        let turns = [
            format!("grow {new} to 4"),
            format!("remove {old}"),
            format!("grow {old} to 4"),
            format!("remove {new}"),
        ];
        let seen: Vec<_> = log.iter().filter(|line| turns.contains(line)).collect();
        assert_eq!(seen, turns.iter().collect::<Vec<_>>(), "{log:?}");
        assert!(!log.iter().any(|line| line.starts_with("weights")));
        let journal = scene.store.journal(&id);
        check_journal(&journal);
        let planned = journal.iter().find_map(|entry| match &entry.event {
            Event::Planned { plan, .. } => Some(plan.clone()),
            _ => None,
        });
        let planned = planned.expect("planned");
        let promotes: Vec<_> = planned
            .steps()
            .filter(|step| step.promotes)
            .map(|step| step.title())
            .collect();
        assert_eq!(promotes.len(), 1, "{promotes:?}");
        assert!(promotes[0].starts_with("remove"), "{promotes:?}");
        assert_eq!(scene.summary(&id).await.outcome, rolled_back());
        assert_eq!(scene.world.groups(), [scene.record(1).group()]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_get_ready_never_costs_the_old_side() {
    let scene = with_one(Strategy::Basic).await;
    let before = scene.world.log().len();
    let id = scene.deploy(2).await;
    scene
        .world
        .faults([Some(Fault::Refused(Class::Application))]);
    scene.work().await;
    assert_eq!(scene.summary(&id).await.outcome, rolled_back());
    let log = scene.world.log().split_off(before);
    let old = scene.record(1).group();
    assert!(!log.iter().any(|line| line.contains(&old)), "{log:?}");
    assert_eq!(scene.standing(2), Standing::Quarantined);
}

#[tokio::test(start_paused = true)]
async fn a_rollback_on_request_starts_the_old_side_anew() {
    let scene = with_one(Strategy::Rolling).await;
    scene.deploy(2).await;
    scene.work().await;
    assert_eq!(scene.serving(), Some(scene.record(2).group()));
    assert_eq!(scene.standing(2), Standing::Baked);
    let back = scene.go_back(None).await;
    scene.work().await;
    let summary = scene.summary(&back).await;
    assert_eq!(summary.outcome, Some(Outcome::Succeeded));
    assert_eq!(scene.serving(), Some(scene.record(1).group()));
    assert_eq!(scene.standing(2), Standing::Quarantined);
    let times = &summary.timeline;
    assert_eq!((times.t3, times.t4), (None, None), "nothing was switched");
    assert!(times.t5.is_some() && times.t5 <= times.t7, "{times:?}");
    let undone = scene.undo(&back).await;
    scene.work().await;
    assert_eq!(
        scene.summary(&undone).await.outcome,
        Some(Outcome::Succeeded)
    );
    assert_eq!(scene.serving(), Some(scene.record(2).group()));
}

#[tokio::test(start_paused = true)]
async fn strategies_that_need_traffic_are_refused_with_nothing_changed() {
    for (strategy, why) in [
        (canary([10]), "a canary needs a share of the traffic"),
        (
            Strategy::BlueGreen,
            "blue/green needs a release that stands by",
        ),
    ] {
        let mut scene = with_one(Strategy::Basic).await;
        scene.strategy = strategy;
        let log = scene.world.log();
        let id = scene.deploy(2).await;
        scene.work().await;
        let outcome = scene.summary(&id).await.outcome;
        let Some(Outcome::Failed { rollback, residue }) = outcome else {
            panic!("it failed: {outcome:?}");
        };
        assert_eq!(rollback, RollbackResult::None);
        assert!(residue[0].contains(why), "{residue:?}");
        assert_eq!(scene.world.log(), log);
    }
}

/// What works serves, whatever it is worth: the next deployment replaces it, and knows what it was.
#[tokio::test(start_paused = true)]
async fn a_first_deployment_that_is_left_is_what_works() {
    for look in [Look::Staged, Look::Bake] {
        let mut scene = Scene::workers(Strategy::Basic, 2);
        scene.on_first_failure = FirstFailure::Leave;
        let check = serde_json::json!({ "command": "./check", "at": "staged" });
        scene.checks = vec![serde_json::from_value(check).expect("a check")];
        scene.script.say(1, look, Said::Fail);
        scene.deploy(1).await;
        scene.work().await;
        let serving = scene.view().serving().map(|known| known.record.hash());
        assert_eq!(serving, Some(scene.record(1).hash()), "{look:?}");
        let next = scene.deploy(2).await;
        scene.work().await;
        assert_eq!(scene.summary(&next).await.outcome, Some(Outcome::Succeeded));
        assert_eq!(scene.world.groups(), [scene.record(2).group()]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_a_stranger_took_away_waits_for_a_person() {
    let scene = with_one(Strategy::Basic).await;
    scene.world.remove_group(&scene.record(1).group());
    let id = scene.deploy(2).await;
    scene.work().await;
    let stuck = scene.summary(&id).await.stuck.expect("it waits");
    assert!(stuck.contains(&scene.record(1).group()), "{stuck}");
}
