//! What is particular to kinds of platforms: what each cannot do is refused before anything changes, going back finds
//! the content wherever it stands, and a clean-up that was broken off disturbs nobody.

use belay_engine::worker::Worker;
use belay_model::config::Strategy;
use belay_model::event::{Ask, Outcome, PhaseInput, RollbackResult};
use belay_model::plan::Look;
use belay_model::summary::Phase;
use belay_model::verdict::Outcome as Said;
use belay_testkit::parts::{canary, check_at, rolled_back};
use belay_testkit::{Before, Fault, Kind, Scene, judge};

async fn deploy(scene: &Scene, release: u32) -> Option<Outcome> {
    let before = Before::of(scene);
    let id = scene.deploy(release).await;
    scene.work().await;
    let wrong = judge(scene, &id, &before).await;
    assert!(wrong.is_empty(), "release {release}: {wrong:#?}");
    scene.summary(&id).await.outcome
}

async fn go_back(scene: &Scene, to: u32) -> Vec<String> {
    let done = scene.world.log().len();
    let before = Before::of(scene);
    let id = scene.go_back(Some(to)).await;
    scene.work().await;
    let wrong = judge(scene, &id, &before).await;
    assert!(wrong.is_empty(), "back to {to}: {wrong:#?}");
    let names: Vec<String> = (1..9).map(|one| scene.record(one).group()).collect();
    let short = |line: String| {
        let of = |line: String, (name, release)| line.replace(name, &format!("r{release}"));
        names.iter().zip(1..).fold(line, of)
    };
    let log = scene.world.log().split_off(done);
    log.into_iter().map(short).collect()
}

#[tokio::test(start_paused = true)]
async fn what_a_platform_cannot_do_is_refused_before_anything_changes() {
    let impossible = [
        (Kind::Workers, canary([25]), "a share of the traffic"),
        (Kind::Workers, Strategy::BlueGreen, "stands by"),
        (Kind::Swap, Strategy::Rolling, "one by one"),
        (Kind::Revisions, Strategy::Rolling, "one by one"),
        (Kind::InPlace, canary([25]), "a share of the traffic"),
        (Kind::InPlace, Strategy::BlueGreen, "without traffic"),
        (Kind::Resized, Strategy::BlueGreen, "without traffic"),
    ];
    for (kind, strategy, why) in impossible {
        refused(Scene::of(kind, strategy, 4), why).await;
    }
    for kind in [Kind::InPlace, Kind::Resized] {
        let mut scene = Scene::of(kind, Strategy::Rolling, 4);
        scene.checks = vec![check_at("staged")];
        refused(scene, "checks at `staged`").await;
    }
}

async fn refused(scene: Scene, why: &str) {
    let kind = scene.world.kind();
    let Some(Outcome::Failed { rollback, residue }) = deploy(&scene, 1).await else {
        panic!("{kind:?} did it");
    };
    assert_eq!(rollback, RollbackResult::None);
    assert!(residue[0].contains(why), "{kind:?}: {residue:?}");
    assert!(scene.world.log().is_empty(), "{kind:?}");
}

/// A phase that goes a part of the way needs a share, too, and on a first deployment already.
#[tokio::test(start_paused = true)]
async fn a_phase_goes_a_part_of_the_way_where_there_are_shares() {
    for kind in Kind::ALL {
        let mut scene = Scene::of(kind, Strategy::Basic, 4);
        let share = |share| PhaseInput {
            share,
            ..PhaseInput::of("a part", Some("shop/test"))
        };
        scene.phases = vec![share(Some(250)), share(None)];
        if matches!(kind, Kind::Workers | Kind::InPlace) {
            refused(scene, "a phase cannot go a part of the way").await;
            continue;
        }
        for release in [1, 2] {
            let outcome = deploy(&scene, release).await;
            assert_eq!(outcome, Some(Outcome::Succeeded), "{kind:?}");
        }
        // Where a share is one of the instances, the old release is made smaller for it.
        let old = scene.record(1).group();
        let log = scene.world.log();
        let is_held = log.contains(&format!("resize {old} to 3"));
        assert_eq!(is_held, kind == Kind::Resized, "{log:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_swap_is_taken_back_by_a_swap_while_the_old_content_stands_there() {
    let scene = Scene::of(Kind::Swap, Strategy::BlueGreen, 4);
    for release in 1..=3 {
        deploy(&scene, release).await;
    }
    assert_eq!(
        go_back(&scene, 2).await,
        ["swap r2 into production", "clear stage"]
    );
    // What stands nowhere any more is deployed once more.
    assert_eq!(
        go_back(&scene, 1).await,
        [
            "deploy r1 into the stage",
            "swap r1 into production",
            "clear stage"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn revisions_are_never_rewound() {
    let scene = Scene::of(Kind::Revisions, Strategy::BlueGreen, 4);
    deploy(&scene, 1).await;
    deploy(&scene, 2).await;
    let log = go_back(&scene, 1).await;
    assert_eq!(log[0], "make a revision of r1", "{log:?}");
}

/// A stranger had it so that users reach the newest revision, whichever that is: going back, they do again.
#[tokio::test(start_paused = true)]
async fn traffic_that_followed_the_newest_revision_follows_it_again() {
    for serves in [false, true] {
        let scene = Scene::of(Kind::Revisions, Strategy::BlueGreen, 4);
        if serves {
            deploy(&scene, 1).await;
        }
        scene.world.meddle();
        let route = || scene.world.state().resources["route"].spec.clone();
        let (before, users) = (route(), scene.world.users());
        scene.script.say(2, Look::Bake, Said::Fail);
        let id = scene.deploy(2).await;
        scene.work().await;
        if serves {
            // It goes on with what someone else changed.
            scene.signal(&id, Ask::Retry).await;
            scene.work().await;
        }
        let summary = scene.summary(&id).await;
        assert_eq!(summary.outcome, rolled_back(), "{summary:#?}");
        assert_eq!((route(), scene.world.users()), (before, users));
    }
}

#[tokio::test(start_paused = true)]
async fn a_release_that_gets_stuck_half_way_goes_back_while_the_old_one_serves() {
    for kind in Kind::ALL {
        let scene = Scene::of(kind, Strategy::Basic, 4);
        deploy(&scene, 1).await;
        scene.world.break_release(scene.record(2).hash());
        let outcome = deploy(&scene, 2).await;
        assert_eq!(outcome, rolled_back(), "{kind:?}");
    }
}

/// The platform accepts and breaks off: nothing was done, so it is asked for once more.
#[tokio::test(start_paused = true)]
async fn what_a_platform_accepted_and_broke_off_is_not_taken_for_done() {
    for kind in [Kind::Swap, Kind::Revisions] {
        for nth in 0..3 {
            let scene = Scene::of(kind, Strategy::BlueGreen, 4);
            deploy(&scene, 1).await;
            let whole = (0..nth).map(|_| None);
            let half = Fault::Half(belay_model::error::Class::Connectivity);
            scene.world.faults(whole.chain([Some(half)]));
            let outcome = deploy(&scene, 2).await;
            assert_eq!(outcome, Some(Outcome::Succeeded), "{kind:?}, call {nth}");
        }
    }
}

/// A worker is killed anywhere in a deployment and its clean-up; before the next one comes someone asks to return.
#[tokio::test(start_paused = true)]
async fn a_clean_up_that_was_broken_off_disturbs_nobody() {
    for kind in Kind::ALL {
        let mut killed = true;
        let mut point = 0;
        while killed {
            let scene = Scene::of(kind, Strategy::Basic, 4);
            deploy(&scene, 1).await;
            let second = scene.deploy(2).await;
            scene.crashes.kill_at(point);
            killed = work_until_killed(&scene).await;
            point += 1;
            // While it runs the lock is its own; what is asked for then waits.
            if scene.summary(&second).await.phase == Phase::Ended {
                let to = if killed { 1 } else { 2 };
                let before = Before::of(&scene);
                let id = scene.deploy(to).await;
                scene.work().await;
                let wrong = judge(&scene, &id, &before).await;
                assert!(
                    wrong.is_empty(),
                    "{kind:?} at {point}: {wrong:#?} {:#?}",
                    scene.world.log()
                );
            }
        }
        assert!(point > 20, "only {point} points in {kind:?}");
    }
}

/// Whether the worker was killed before everything was done.
async fn work_until_killed(scene: &Scene) -> bool {
    let worker = Worker::new(scene.ports(), scene.owner());
    let running = tokio::spawn(async move { worker.run().await });
    let killed = tokio::select! {
        biased;
        () = scene.crashes.killed() => true,
        () = scene.at_rest() => false,
    };
    running.abort();
    let _ = running.await;
    scene.crashes.kill_at(usize::MAX);
    scene.crashes.revive();
    killed
}

/// I10: nothing is overwritten by a release that wants it as a stranger left it.
#[tokio::test(start_paused = true)]
async fn what_a_stranger_did_and_the_release_does_too_is_no_question() {
    let scene = Scene::of(Kind::SideBySide, Strategy::Basic, 4);
    deploy(&scene, 1).await;
    scene
        .world
        .set_weights([(scene.record(2).group(), 1000)].into());
    let id = scene.deploy(2).await;
    scene.work().await;
    let summary = scene.summary(&id).await;
    assert_eq!(summary.outcome, Some(Outcome::Succeeded), "{summary:#?}");
    assert_eq!(scene.serving(), Some(scene.record(2).group()));
}
