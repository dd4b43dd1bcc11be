//! What the simulator found: each a story of its own, as small as it got.

use belay_model::back::Risk;
use belay_model::config::{CanaryStep, Inconclusive, Percent, Strategy};
use belay_model::environment::Standing;
use belay_model::error::Class;
use belay_model::event::{Ask, Event, Outcome, RollbackResult};
use belay_model::id::DeploymentId;
use belay_model::plan::{Action, Look, Run, Step};
use belay_model::summary::Phase;
use belay_model::verdict::Outcome as Said;
use belay_testkit::parts::{check_at, command, phase, rolled_back};
use belay_testkit::{Fault, Kind, Scene};
use std::time::Duration;

/// Works as long as there is something to do.
async fn work(scene: &Scene) {
    work_while(scene, async {}).await;
}

/// The same while something else happens; both are over within an hour of the test's.
async fn work_while(scene: &Scene, other: impl Future<Output = ()>) {
    let hour = Duration::from_secs(3600);
    let both = async { tokio::join!(scene.work(), other) };
    let done = tokio::time::timeout(hour, both).await;
    done.expect("it comes to rest");
}

async fn release(scene: &Scene, number: u32) -> DeploymentId {
    let id = scene.deploy(number).await;
    work(scene).await;
    id
}

async fn with_one(strategy: Strategy) -> Scene {
    let scene = Scene::new(strategy, 2);
    release(&scene, 1).await;
    scene
}

/// A release that waits for a person, as nobody can say whether it is good.
async fn parked(scene: &mut Scene) -> DeploymentId {
    scene.inconclusive = Inconclusive::Ask;
    scene.script.say(2, Look::Bake, Said::Inconclusive);
    release(scene, 2).await
}

/// What is sent stays.
fn send(name: &str) -> Step {
    Step::of(Action::Run(Run {
        residue: Some(format!("what {name} sent")),
        ..command(name)
    }))
}

#[tokio::test(start_paused = true)]
async fn what_is_said_and_is_no_answer_leaves_it_waiting_for_a_person() {
    let mut scene = with_one(Strategy::BlueGreen).await;
    let id = parked(&mut scene).await;
    for ask in [Ask::Advance, Ask::Pause, Ask::Resume, Ask::Approve] {
        scene.signal(&id, ask).await;
    }
    work(&scene).await;
    let summary = scene.summary(&id).await;
    assert_eq!(summary.phase, Phase::NeedsOperator);
    assert!(summary.stuck.is_some(), "it says why");
}

#[tokio::test(start_paused = true)]
async fn what_is_paused_is_shown_so_whatever_else_is_said() {
    let scene = with_one(Strategy::BlueGreen).await;
    let id = scene.deploy(2).await;
    scene.signal(&id, Ask::Pause).await;
    scene.signal(&id, Ask::Approve).await;
    assert_eq!(scene.summary(&id).await.phase, Phase::Paused);
    scene.signal(&id, Ask::Resume).await;
    work(&scene).await;
    assert_eq!(scene.outcome(&id).await, Some(Outcome::Succeeded));
}

#[tokio::test(start_paused = true)]
async fn taking_back_that_a_release_goes_out_once_more_says_nothing_against_it() {
    let mut scene = with_one(Strategy::BlueGreen).await;
    scene.bake_ms = 60_000;
    let id = scene.deploy(1).await;
    scene.work_for(5_000).await;
    scene.signal(&id, Ask::Abort).await;
    work(&scene).await;
    assert_eq!(scene.outcome(&id).await, rolled_back());
    let standing = scene.view().records[&scene.record(1).hash()].standing;
    assert!(
        standing.is_good(),
        "it serves, and nothing speaks against it: {standing:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_came_after_a_move_is_taken_back_before_it_though_targets_bake_by_themselves() {
    let mut scene = Scene::spread(Strategy::BlueGreen, 2, &["eu", "us"]);
    release(&scene, 1).await;
    scene.phases = ["eu", "us"]
        .map(|name| phase(name, Some(name), vec![], vec![send(name)]))
        .into();
    scene.script.say(2, Look::Bake, Said::Fail);
    let id = release(&scene, 2).await;
    let plans = scene.store.journal(&id).into_iter();
    let plans = plans.filter_map(|entry| match entry.event {
        Event::RollbackPlanned { plan, .. } => Some(plan),
        _ => None,
    });
    for phase in plans.flat_map(|plan| plan.phases) {
        let titles: Vec<String> = phase.steps.iter().map(Step::title).collect();
        assert!(
            titles[0].starts_with("take back: run"),
            "{}: {titles:?}",
            phase.name
        );
        assert!(
            titles[1].starts_with("weights"),
            "{}: {titles:?}",
            phase.name
        );
    }
}

#[tokio::test(start_paused = true)]
async fn i14_who_gives_up_is_told_what_stays() {
    let mut scene = with_one(Strategy::BlueGreen).await;
    scene.phases = vec![phase("mail", Some("shop/test"), vec![send("mail")], vec![])];
    let id = parked(&mut scene).await;
    scene.signal(&id, Ask::Abandon).await;
    work(&scene).await;
    let Some(Outcome::Failed { residue, .. }) = scene.outcome(&id).await else {
        panic!("it was given up");
    };
    assert!(
        residue.contains(&"what mail sent".to_owned()),
        "{residue:?}"
    );
}

/// Nobody knows what became of a swap while its platform cannot be asked: it is not repeated, as that would undo it.
#[tokio::test(start_paused = true)]
async fn i4_a_swap_is_not_repeated_because_nobody_could_ask_what_became_of_it() {
    let scene = Scene::of(Kind::Swap, Strategy::Basic, 2);
    release(&scene, 1).await;
    scene.crashes.kill_at(usize::MAX);
    release(&scene, 2).await;
    let sent = scene.crashes.seen();
    let sent = sent
        .iter()
        .rposition(|point| point.call == "apply" && point.place == "sent");
    let log = scene.world.log().len();

    scene.crashes.kill_at(sent.expect("a swap is sent"));
    let id = scene.deploy(3).await;
    let worker = belay_engine::worker::Worker::new(scene.ports(), scene.owner());
    tokio::select! {
        _ = worker.run() => panic!("it is killed"),
        () = scene.crashes.killed() => {}
    }
    drop(worker);
    scene.crashes.revive();
    scene.world.lock_out(Class::Connectivity);
    work_while(&scene, async {
        scene.pass(2_000).await;
        scene.world.let_in();
    })
    .await;
    assert_eq!(scene.outcome(&id).await, Some(Outcome::Succeeded));
    let log = scene.world.log()[log..].to_vec();
    let swaps = log.iter().filter(|line| line.starts_with("swap"));
    assert_eq!(swaps.count(), 1, "{log:?}");
    assert_eq!(scene.world.breaches(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn i5_what_cannot_be_seen_for_a_moment_is_looked_at_again() {
    let scene = with_one(Strategy::BlueGreen).await;
    scene.script.say(2, Look::Bake, Said::Fail);
    let id = scene.deploy(2).await;
    work_while(&scene, async {
        scene.until(&id, Phase::RollingBack).await;
        scene.world.lock_out(Class::Connectivity);
        scene.pass(500).await;
        scene.world.let_in();
    })
    .await;
    assert_eq!(scene.outcome(&id).await, rolled_back());
}

#[tokio::test(start_paused = true)]
async fn an_undo_of_a_first_release_that_was_left_takes_it_away() {
    let mut scene = Scene::new(Strategy::BlueGreen, 2);
    scene.on_first_failure = belay_model::config::FirstFailure::Leave;
    scene
        .world
        .faults([None, Some(Fault::Refused(Class::Authorisation))]);
    let first = release(&scene, 1).await;
    assert_eq!(
        scene.world.groups(),
        [scene.record(1).group()],
        "it was left"
    );
    let undo = scene.undo(&first).await;
    work(&scene).await;
    assert_eq!(scene.outcome(&undo).await, Some(Outcome::Succeeded));
    assert_eq!(scene.world.groups(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_way_back_knows_of_what_was_done_and_nobody_could_see() {
    let scene = Scene::new(Strategy::BlueGreen, 2);
    scene.script.say(1, Look::Bake, Said::Fail);
    let id = scene.deploy(1).await;
    work_while(&scene, async {
        scene.until(&id, Phase::Running).await;
        scene.world.lock_out(Class::Authentication);
        scene.until(&id, Phase::RollingBack).await;
        scene.world.let_in();
    })
    .await;
    assert_eq!(scene.outcome(&id).await, rolled_back());
    assert_eq!(scene.world.groups(), Vec::<String>::new());
    assert_eq!(scene.world.breaches(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn i9_a_return_that_is_taken_back_leads_to_what_it_left_everywhere() {
    let scene = Scene::spread(Strategy::BlueGreen, 2, &["eu", "us"]);
    for number in [1, 2, 3] {
        release(&scene, number).await;
    }
    let id = scene.go_back(None).await;
    work_while(&scene, async {
        scene.until(&id, Phase::Running).await;
        scene.signal(&id, Ask::Abort).await;
    })
    .await;
    assert_eq!(scene.outcome(&id).await, rolled_back());
    for (name, world) in &scene.worlds {
        assert_eq!(world.groups(), [scene.record(3).group()], "{name}");
    }
    let standing = scene.view().records[&scene.record(3).hash()].standing;
    assert!(standing.is_good(), "{standing:?}");
}

#[tokio::test(start_paused = true)]
async fn what_stands_by_again_after_an_undo_is_removed_in_its_time() {
    let scene = Scene::new(Strategy::BlueGreen, 2);
    scene.deploy(1).await;
    scene.deploy(2).await;
    // While release 1 is warm.
    let third = release(&scene, 1).await;
    scene.undo(&third).await;
    work(&scene).await;
    assert_eq!(scene.world.groups(), [scene.record(2).group()]);
}

#[tokio::test(start_paused = true)]
async fn i2_what_counts_on_a_move_is_left_out_with_it() {
    let scene = with_one(Strategy::BlueGreen).await;
    release(&scene, 2).await;
    let refuse = || Some(Fault::Refused(Class::Application));
    // The old group grows again, and then the traffic cannot be moved.
    scene.world.faults([None, refuse(), refuse(), refuse()]);
    let id = scene.go_back(None).await;
    work(&scene).await;
    scene.signal(&id, Ask::Skip).await;
    work(&scene).await;
    let Some(Outcome::Failed {
        rollback: RollbackResult::Incomplete,
        residue,
    }) = scene.outcome(&id).await
    else {
        panic!("it was left out");
    };
    assert_eq!(residue.len(), 2, "{residue:?}");
    assert!(scene.world.groups().contains(&scene.record(2).group()));
    assert_eq!(scene.world.breaches(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn i4_a_clean_up_whose_request_was_late_is_settled_before_it_is_repeated() {
    let scene = with_one(Strategy::BlueGreen).await;
    // The second release grows and is switched to; then the first one is removed.
    scene.world.faults([None, None, Some(Fault::Late(20))]);
    release(&scene, 2).await;
    assert_eq!(scene.world.groups(), [scene.record(2).group()]);
    assert!(scene.world.is_quiet(), "nothing of it may still happen");
}

/// A word to go back is durable before the end is, and would be lost behind it.
#[tokio::test(start_paused = true)]
async fn a_word_to_go_back_is_heard_however_late_it_comes() {
    let mut told = 0;
    for point in 0.. {
        let mut scene = with_one(Strategy::BlueGreen).await;
        scene.bake_ms = 5_000;
        let id = scene.deploy(2).await;
        let tell = async {
            let is_open = scene.summary(&id).await.phase != Phase::Ended;
            if is_open {
                scene.signal(&id, Ask::Abort).await;
            }
            is_open
        };
        let Some((true, _)) = scene.work_and_hold(point, tell).await else {
            break;
        };
        told += 1;
        let ended = scene.outcome(&id).await;
        assert!(
            matches!(ended, Some(Outcome::Failed { .. })),
            "told at {point}: {ended:?}"
        );
        let serving = scene.view().serving().map(|known| known.record.release.0);
        assert_eq!(serving, Some(1), "told at {point}");
        assert_eq!(scene.serving(), Some(scene.record(1).group()));
    }
    assert!(told > 15, "only {told} points");
}

/// So is one that says where to, though it goes back by itself by then.
#[tokio::test(start_paused = true)]
async fn a_word_to_go_somewhere_is_heard_though_it_goes_back_by_itself() {
    let mut told = 0;
    for point in 0.. {
        let mut scene = with_one(Strategy::BlueGreen).await;
        release(&scene, 2).await;
        scene.script.say(3, Look::Bake, Said::Fail);
        scene.bake_ms = 5_000;
        let id = scene.deploy(3).await;
        let tell = async {
            let phase = scene.summary(&id).await.phase;
            if phase == Phase::RollingBack || phase == Phase::Ended {
                return None;
            }
            let has_plan = scene.store.journal(&id).len() > 2;
            if has_plan {
                scene.abort_to(&id, 1, &[]).await;
            }
            Some(has_plan)
        };
        let Some((Some(has_plan), _)) = scene.work_and_hold(point, tell).await else {
            break;
        };
        if has_plan {
            told += 1;
            assert_eq!(scene.outcome(&id).await, rolled_back(), "told at {point}");
            let group = scene.record(1).group();
            assert_eq!(scene.serving(), Some(group), "told at {point}");
        }
    }
    assert!(told > 10, "only {told} points");
}

#[tokio::test(start_paused = true)]
async fn what_a_rollback_kept_is_removed_in_its_time_when_the_rollback_is_turned_round() {
    let half = vec![CanaryStep {
        to: Percent::from_percent(50),
        hold: None,
    }];
    let targets = [("eu", Kind::SideBySide), ("us", Kind::Resized)];
    let scene = Scene::across(Strategy::Canary(half), 2, &targets);
    release(&scene, 1).await;
    let second = scene.deploy(2).await;
    work_while(&scene, async {
        scene.until(&second, Phase::Ended).await;
        // Release 1 is warm in eu, and us comes first.
        let undo = scene.undo(&second).await;
        scene.until(&undo, Phase::Running).await;
        scene.signal(&undo, Ask::Abort).await;
    })
    .await;
    for (name, world) in &scene.worlds {
        assert_eq!(world.groups(), [scene.record(2).group()], "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn p5_nobody_goes_to_what_was_never_verified_and_was_not_accepted() {
    for accept in [&[][..], &[Risk::Unproven][..]] {
        let mut scene = with_one(Strategy::BlueGreen).await;
        // Nobody can say how release 4 is, so that it is taken back and stays what it was.
        scene.checks = vec![check_at("live")];
        scene.script.say(4, Look::Live, Said::Inconclusive);
        release(&scene, 4).await;
        let id = parked(&mut scene).await;
        scene.script.say(4, Look::Live, Said::Pass);
        scene.abort_to(&id, 4, accept).await;
        work(&scene).await;
        let summary = scene.summary(&id).await;
        if accept.is_empty() {
            assert_eq!(summary.phase, Phase::NeedsOperator);
            let why = summary.stuck.unwrap_or_default();
            assert!(why.contains("never verified"), "{why}");
        } else {
            assert_eq!(summary.outcome, rolled_back());
            assert_eq!(scene.serving(), Some(scene.record(4).group()));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_clean_up_removes_and_does_not_replace_what_is_sick() {
    let targets = [("eu", Kind::SideBySide), ("us", Kind::InPlace)];
    let mut scene = Scene::across(Strategy::Basic, 2, &targets);
    scene.bake_ms = 5_000;
    release(&scene, 1).await;
    let id = scene.deploy(2).await;
    work_while(&scene, async {
        scene.until(&id, Phase::Baking).await;
        // At its last moment, or the bake would see it.
        scene.pass(4_990).await;
        scene.worlds["us"].sicken(&scene.record(2).group());
    })
    .await;
    assert_eq!(scene.outcome(&id).await, Some(Outcome::Succeeded));
    assert_eq!(scene.worlds["eu"].groups(), [scene.record(2).group()]);
    let log = scene.worlds["us"].log();
    assert_eq!(log.len(), 2, "{log:?}");
}

/// Someone wants the release that the deployment brings: there is no way to it, and nothing is said against it.
#[tokio::test(start_paused = true)]
async fn who_wants_what_it_goes_back_from_says_nothing_against_it() {
    let mut scene = with_one(Strategy::BlueGreen).await;
    scene.bake_ms = 60_000;
    let id = scene.deploy(2).await;
    scene.work_for(5_000).await;
    scene.abort_to(&id, 2, &[Risk::Unproven]).await;
    scene.work_for(5_000).await;
    assert_eq!(scene.summary(&id).await.phase, Phase::NeedsOperator);
    scene.signal(&id, Ask::Abandon).await;
    work(&scene).await;
    assert_ne!(scene.standing(2), Standing::Quarantined);
    assert_eq!(scene.serving(), Some(scene.record(2).group()));
    scene.script.say(3, Look::Bake, Said::Fail);
    let next = release(&scene, 3).await;
    assert_eq!(scene.outcome(&next).await, rolled_back());
    assert_eq!(scene.serving(), Some(scene.record(2).group()));
}
