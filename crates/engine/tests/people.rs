//! What people say to a deployment that goes on by itself or is stuck: wait no longer, go back, go somewhere else.

use belay_model::back::{Risk, Trigger};
use belay_model::config::{CanaryStep, Check, Duration, Inconclusive, Percent, Strategy};
use belay_model::environment::Standing;
use belay_model::error::Class;
use belay_model::event::{Ask, Event, Finish, Outcome};
use belay_model::id::DeploymentId;
use belay_model::plan::{Approval, Look};
use belay_model::summary::{Phase, Summary};
use belay_model::verdict::Outcome as Said;
use belay_testkit::parts::{check_at, rolled_back};
use belay_testkit::{Fault, Scene, check_journal};
use std::collections::BTreeMap;

const HOUR: Duration = Duration::from_secs(3600);

/// Releases 1 and 2 were good, one after the other; 2 serves.
async fn with_two(targets: &[&str]) -> Scene {
    let scene = Scene::spread(Strategy::BlueGreen, 2, targets);
    scene.with_good(1).await.with_good(2).await
}

/// Release 3 goes out and waits for a person, as nobody can say how it is.
async fn stuck(scene: &mut Scene) -> DeploymentId {
    scene.inconclusive = Inconclusive::Ask;
    scene.checks = vec![check_at("live")];
    scene.script.say(3, Look::Live, Said::Inconclusive);
    let id = scene.deploy(3).await;
    scene.work().await;
    assert_eq!(scene.summary(&id).await.phase, Phase::NeedsOperator);
    id
}

async fn ended(scene: &Scene, id: &DeploymentId) -> Summary {
    scene.work().await;
    check_journal(&scene.store.journal(id));
    scene.summary(id).await
}

/// Release 2 as a canary whose stage and bake last an hour each; which of them someone cuts short.
async fn cut_short(stage: bool, bake: bool, checks: Vec<Check>) -> (Scene, Summary) {
    let mut scene = Scene::default();
    scene.deploy(1).await;
    scene.work().await;
    scene.strategy = Strategy::Canary(vec![CanaryStep {
        to: Percent::from_percent(10),
        hold: Some(HOUR),
    }]);
    scene.bake_ms = HOUR.as_ms();
    scene.checks = checks;
    let id = scene.deploy(2).await;
    let people = async {
        let at = scene.until_time(&id, None).await;
        if stage {
            scene.signal_of("ada", &id, Ask::Advance).await;
        }
        scene.until_time(&id, at).await;
        if bake {
            scene.signal_of("bob", &id, Ask::Advance).await;
        }
    };
    tokio::join!(people, scene.work());
    check_journal(&scene.store.journal(&id));
    let summary = scene.summary(&id).await;
    assert_eq!(summary.outcome, Some(Outcome::Succeeded));
    (scene, summary)
}

#[tokio::test(start_paused = true)]
async fn a_stage_and_a_bake_are_cut_short_and_prove_nothing_then() {
    for (stage, bake, checks, expect) in [
        (false, false, vec![], Standing::Baked),
        // What the stage would have said the bake says.
        (true, false, vec![], Standing::Baked),
        (false, true, vec![], Standing::Good),
        // Only readiness was seen, and not for as long as was asked for.
        (true, true, vec![], Standing::Candidate),
        // At the promotion it passed the same check.
        (true, true, vec![check_at("live")], Standing::Good),
    ] {
        let (scene, summary) = cut_short(stage, bake, checks).await;
        assert_eq!(scene.standing(2), expect, "{stage} {bake}");
        let took_us = summary.ended_us.expect("it ended") - summary.created_us;
        let hours = took_us / 3_600_000_000;
        assert_eq!(hours, i64::from(!stage) + i64::from(!bake), "{took_us}");
        let said: Vec<_> = summary.said.iter().map(|said| &*said.actor).collect();
        let expect: Vec<_> = [(stage, "ada"), (bake, "bob")]
            .into_iter()
            .filter_map(|(is_said, who)| is_said.then_some(who))
            .collect();
        assert_eq!(said, expect);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_waited_for_is_not_cut_short() {
    let scene = with_two(&["eu"]).await;
    scene.script.say(3, Look::Bake, Said::Fail);
    let id = scene.deploy(3).await;
    // Before it began there is nothing to wait for; the bake comes later and says what it says.
    scene.signal(&id, Ask::Advance).await;
    assert_eq!(ended(&scene, &id).await.outcome, rolled_back());
}

#[tokio::test(start_paused = true)]
async fn going_back_leads_where_someone_says() {
    for (release, accept) in [(1, &[][..]), (2, &[Risk::Drift][..])] {
        let mut scene = with_two(&["eu"]).await;
        let id = stuck(&mut scene).await;
        scene.abort_to(&id, release, accept).await;
        let summary = ended(&scene, &id).await;
        assert_eq!(summary.outcome, rolled_back());
        assert_eq!(summary.trigger, Some(Trigger::Slow));
        assert!(summary.cause.is_some_and(|why| why.contains("because")));
        assert_eq!(scene.serving(), Some(scene.record(release).group()));
        let serving = scene.view().serving().map(|known| known.record.release.0);
        assert_eq!(serving, Some(release));
        assert_eq!(scene.standing(3), Standing::Quarantined);
    }
}

#[tokio::test(start_paused = true)]
async fn targets_that_it_had_not_come_to_are_led_there_too() {
    let mut scene = with_two(&["eu", "us"]).await;
    scene.approve = Some(Approval {
        title: "go on".to_owned(),
        by: Vec::new(),
        count: 1,
        within_ms: None,
    });
    let id = scene.deploy(3).await;
    let people = async {
        scene.until_asked(&id, "eu").await;
        scene.abort_to(&id, 1, &[]).await;
    };
    tokio::join!(people, scene.work());
    assert_eq!(ended(&scene, &id).await.outcome, rolled_back());
    let group = scene.record(1).group();
    for (place, world) in &scene.worlds {
        assert_eq!(world.weights().get(&group), Some(&1000), "{place}");
    }
}

#[tokio::test(start_paused = true)]
async fn i5_one_that_is_stuck_on_its_way_back_takes_another_goal() {
    let scene = with_two(&["eu"]).await;
    scene.script.say(3, Look::Live, Said::Fail);
    let mut scene = scene;
    scene.checks = vec![check_at("live")];
    let id = scene.deploy(3).await;
    // Release 3 grows and takes the traffic; then the switch back is refused as often as it is tried.
    let refused = std::iter::repeat_n(Some(Fault::Refused(Class::Unknown)), 3);
    scene.world.faults([None, None].into_iter().chain(refused));
    scene.work().await;
    assert_eq!(scene.summary(&id).await.phase, Phase::NeedsOperator);
    scene.abort_to(&id, 1, &[]).await;
    let summary = ended(&scene, &id).await;
    assert_eq!(summary.outcome, rolled_back());
    assert_eq!(summary.back_to, Some(scene.record(1).title()));
    assert_eq!(scene.serving(), Some(scene.record(1).group()));
}

#[tokio::test(start_paused = true)]
async fn a_goal_that_is_none_waits_for_a_person_with_its_lock() {
    let mut scene = with_two(&["eu"]).await;
    scene.script.say(4, Look::Bake, Said::Fail);
    let id = scene.deploy(4).await;
    scene.work().await;
    assert_eq!(scene.summary(&id).await.outcome, rolled_back());
    for (release, why) in [(3, "goes back from"), (4, "quarantined"), (5, "not known")] {
        let id = stuck(&mut scene).await;
        scene.abort_to(&id, release, &[]).await;
        let summary = ended(&scene, &id).await;
        assert_eq!(summary.phase, Phase::NeedsOperator);
        assert!(summary.stuck.is_some_and(|stuck| stuck.contains(why)));
        // What was there before is a way out.
        scene.signal(&id, Ask::Abort).await;
        assert_eq!(ended(&scene, &id).await.outcome, rolled_back());
        assert_eq!(scene.serving(), Some(scene.record(2).group()));
        // Going back on request quarantined it.
        scene.lift(3).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_kill_anywhere_on_the_way_to_another_goal_is_taken_up() {
    let make = async || {
        let mut scene = with_two(&["eu", "us"]).await;
        let id = stuck(&mut scene).await;
        scene.abort_to(&id, 1, &[]).await;
        (scene, id)
    };
    let (scene, _) = make().await;
    scene.crashes.kill_at(usize::MAX);
    scene.work().await;
    let points = scene.crashes.seen().len();
    assert!(points > 30, "only {points} points");
    for point in 0..points {
        let (scene, id) = make().await;
        scene.crashes.kill_at(point);
        let summary = ended(&scene, &id).await;
        assert_eq!(summary.outcome, rolled_back(), "killed at {point}");
        let group = scene.record(1).group();
        for world in scene.worlds.values() {
            assert_eq!(
                world.weights().get(&group),
                Some(&1000),
                "killed at {point}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_changed_by_hand_before_is_known_from_the_record() {
    let scene = with_two(&["eu"]).await;
    let two = scene.record(2);
    for (weights, is_broken) in [
        (
            [(two.group(), 900), ("stranger".to_owned(), 100)].into(),
            false,
        ),
        ([(two.group(), 1000)].into(), false),
    ] {
        let weights: BTreeMap<String, u32> = weights;
        scene.world.set_weights(weights.clone());
        let is_changed = weights.len() > 1;
        let id = scene.deploy(3).await;
        scene.work().await;
        if is_changed {
            assert_eq!(scene.summary(&id).await.phase, Phase::NeedsOperator);
            scene.signal(&id, Ask::Retry).await;
        }
        assert_eq!(ended(&scene, &id).await.outcome, Some(Outcome::Succeeded));
        let before = scene.before(&id, &two);
        assert_eq!(before.hands.is_empty(), !is_changed, "{:?}", before.hands);
        assert_eq!(before.is_broken, is_broken);
        // Going back to it brings the changes back, too.
        let back = scene.return_to(&two, before.goal).await;
        assert_eq!(ended(&scene, &back).await.outcome, Some(Outcome::Succeeded));
        assert_eq!(scene.world.weights(), weights);
        scene.lift(3).await;
        scene.world.set_weights([(two.group(), 1000)].into());
    }
    scene.world.remove_group(&two.group());
    let id = scene.deploy(3).await;
    scene.work().await;
    scene.signal(&id, Ask::Retry).await;
    assert_eq!(ended(&scene, &id).await.outcome, Some(Outcome::Succeeded));
    assert!(scene.before(&id, &two).is_broken);
    // What is kept warm beside it is nobody's change.
    let id = scene.deploy(4).await;
    scene.work_for(5_000).await;
    assert_eq!(
        scene.world.groups().len(),
        2,
        "{:?}",
        scene.summary(&id).await
    );
    let id = scene.deploy(5).await;
    assert_eq!(ended(&scene, &id).await.outcome, Some(Outcome::Succeeded));
    let hands = scene.before(&id, &scene.record(4)).hands;
    assert!(hands.is_empty(), "{hands:?}");
}

/// Someone says where to, and someone else says no to what waits for an approval, before any worker hears of either.
#[tokio::test(start_paused = true)]
async fn a_no_does_not_change_where_it_was_told_to_go() {
    let mut scene = with_two(&["shop/test"]).await;
    scene.approve = Some(Approval {
        title: "go on".to_owned(),
        by: Vec::new(),
        count: 1,
        within_ms: None,
    });
    let id = scene.deploy(3).await;
    tokio::select! {
        _ = scene.work() => panic!("it ended"),
        () = scene.until(&id, Phase::Waiting) => {}
    }
    scene.abort_to(&id, 1, &[]).await;
    scene.signal(&id, Ask::Reject).await;
    let summary = ended(&scene, &id).await;
    assert_eq!(summary.outcome, rolled_back());
    assert_eq!(scene.serving(), Some(scene.record(1).group()));
}

/// Nothing of release 1 got there, so that its way back is over at once: who says where to go meanwhile is heard all the same.
#[tokio::test(start_paused = true)]
async fn where_to_go_is_heard_though_there_is_nothing_to_take_back() {
    let mut told = 0;
    for point in 0.. {
        let scene = Scene::new(Strategy::BlueGreen, 2);
        let refuse = || {
            scene
                .world
                .faults([Some(Fault::Refused(Class::Application))])
        };
        refuse();
        scene.deploy(2).await;
        scene.work().await;
        scene.lift(2).await;
        refuse();
        let id = scene.deploy(1).await;
        scene.crashes.hold_at(point);
        let working = scene.work();
        tokio::pin!(working);
        tokio::select! {
            biased;
            () = scene.crashes.held() => {}
            _ = &mut working => break,
        }
        let phase = scene.summary(&id).await.phase;
        if phase == Phase::RollingBack || phase == Phase::Ended {
            break;
        }
        let has_plan = scene.store.journal(&id).len() > 2;
        if has_plan {
            scene.abort_to(&id, 2, &[Risk::Unproven]).await;
        }
        scene.crashes.let_go();
        working.await;
        if has_plan {
            told += 1;
            let group = scene.record(2).group();
            assert_eq!(scene.serving(), Some(group), "told at {point}");
        }
    }
    assert!(told > 3, "only {told} points");
}

/// Two may say yes and one of them has; the other one's no comes while the worker that heard the yes goes on. Before the gate
/// is passed nothing begins behind it: perhaps it could not be taken back.
#[tokio::test(start_paused = true)]
async fn a_no_before_the_gate_is_passed_keeps_all_behind_it_from_beginning() {
    let is_passed =
        |event: &Event| matches!(event, Event::Finished { finish, .. } if *finish == Finish::Done);
    let is_no = |event: &Event| matches!(event, Event::Signal { ask, .. } if *ask == Ask::Reject);
    let is_begun = |event: &Event| matches!(event, Event::Started { step, .. } if step.plan == 0);
    for point in 0.. {
        let mut scene = with_two(&["eu"]).await;
        scene.approve = Some(Approval {
            title: "the release".to_owned(),
            by: vec!["ann".to_owned(), "bob".to_owned()],
            count: 1,
            within_ms: None,
        });
        let id = scene.deploy(3).await;
        scene.work_for(20_000).await;
        assert_eq!(scene.summary(&id).await.phase, Phase::Waiting);
        let waits = scene.store.journal(&id).len();
        scene.signal_of("ann", &id, Ask::Approve).await;
        let no = async {
            scene.signal_of("bob", &id, Ask::Reject).await;
            let journal = scene.store.journal(&id);
            journal[waits..].iter().any(|entry| is_passed(&entry.event))
        };
        let held = scene.work_and_hold(point, no).await;
        let (was_passed, _) = held.expect("the gate is passed");
        let journal = scene.store.journal(&id);
        check_journal(&journal);
        let outcome = scene.summary(&id).await.outcome;
        if was_passed {
            assert_eq!(outcome, Some(Outcome::Succeeded), "it comes too late");
            assert!(point > 0, "it was heard before");
            break;
        }
        assert_eq!(outcome, rolled_back());
        let behind = journal.iter().skip_while(|entry| !is_no(&entry.event));
        let mut begun = behind.filter(|entry| is_begun(&entry.event));
        assert_eq!(begun.next(), None, "at point {point}");
    }
}
