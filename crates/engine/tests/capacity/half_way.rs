//! What Belay itself brought up is nobody else's scale.

use crate::USUAL;
use belay_model::config::Strategy;
use belay_model::error::Class;
use belay_model::event::{Ask, Entry, Event, Outcome};
use belay_model::policy::{Act, Rule};
use belay_model::summary::Phase;
use belay_testkit::parts::{phase, run};
use belay_testkit::{Fault, Kind, Scene};

/// A deployment that was left half-way says nothing of what is wanted: its own instances are not taken for a scale.
#[tokio::test(start_paused = true)]
async fn what_was_left_half_way_is_no_scale() {
    let mut was_more = false;
    for ms in (0..300).step_by(10) {
        let mut scene = Scene::of(Kind::Resized, Strategy::Rolling, USUAL);
        scene.deploy(1).await;
        scene.work().await;
        let half = scene.deploy(2).await;
        scene.work_for(ms).await;
        scene.signal(&half, Ask::Stop).await;
        scene.work().await;
        was_more |= scene.world.asked_for() > Some(USUAL);
        scene.strategy = Strategy::Basic;
        let last = scene.deploy(3).await;
        scene.work().await;
        let summary = scene.summary(&last).await;
        assert_eq!(summary.outcome, Some(Outcome::Succeeded), "{ms} ms");
        assert_eq!(scene.world.asked_for(), Some(USUAL), "{ms} ms");
    }
    assert!(was_more, "both have their part of it at no time");
}

/// Told to go back while it goes back, in a state that nobody had planned: its own instances are nobody else's scale.
#[tokio::test(start_paused = true)]
async fn what_a_way_back_had_brought_up_is_no_scale_either() {
    let mut was_caught = false;
    for ms in (0..200).step_by(10) {
        let mut scene = Scene::of(Kind::Resized, Strategy::Basic, USUAL);
        scene.deploy(1).await;
        scene.work().await;
        // Both release 1 and 2 stay, and release 3 cannot take them away.
        let refused = Fault::Refused(Class::Authorisation);
        scene.world.faults([None, Some(refused.clone())]);
        let on = Vec::new();
        let act = Act::Ignore { as_passed: false };
        scene.on_failure = vec![Rule { on, act }];
        scene.deploy(2).await;
        scene.work().await;
        assert_eq!(scene.world.asked_for(), Some(2 * USUAL));
        scene.on_failure = Vec::new();
        scene.world.faults([None, Some(refused)]);
        let third = scene.deploy(3).await;
        let people = async {
            scene.until(&third, Phase::RollingBack).await;
            scene.pass(ms).await;
            if scene.summary(&third).await.outcome.is_none() {
                scene.signal(&third, Ask::Abort).await;
            }
        };
        tokio::join!(people, scene.work());
        let journal = scene.store.journal(&third);
        let is_back = |entry: &&Entry| matches!(entry.event, Event::RollbackPlanned { .. });
        was_caught |= journal.iter().filter(is_back).count() > 1;
        let lines = scene.remarks(&third);
        let is_told = lines.iter().any(|line| line.contains("someone else"));
        assert!(!is_told, "{ms} ms: {lines:?}");
        assert_eq!(scene.world.asked_for(), Some(2 * USUAL), "{ms} ms");
    }
    assert!(was_caught, "it is over before anybody says so");
}

/// What a hotfix finds half-way is what Belay itself brought up.
#[tokio::test(start_paused = true)]
async fn what_a_hotfix_finds_half_way_is_no_scale() {
    let mut was_more = false;
    for ms in (0..200).step_by(10) {
        let mut scene = Scene::of(Kind::Resized, Strategy::Basic, USUAL);
        scene.deploy(1).await;
        scene.work().await;
        scene.deploy(2).await;
        scene.work_for(ms).await;
        was_more |= scene.world.asked_for() > Some(USUAL);
        // It fails before it moves anything.
        scene.phases = vec![phase(
            "all",
            Some("shop/test"),
            vec![run("migrate")],
            vec![],
        )];
        scene.runner.fails("migrate", 1, Class::Application);
        let hotfix = scene.hotfix(1).await.expect("the other one goes forward");
        scene.work().await;
        let summary = scene.summary(&hotfix).await;
        let lines = scene.remarks(&hotfix);
        let is_told = lines.iter().any(|line| line.contains("someone else"));
        assert!(!is_told, "{ms} ms: {lines:?}");
        assert_eq!(scene.world.asked_for(), Some(USUAL), "{ms} ms: {summary:?}");
    }
    assert!(was_more, "both have their part of it at no time");
}
