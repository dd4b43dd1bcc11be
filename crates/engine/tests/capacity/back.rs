//! As many as there are now, or as the goal has, whichever is more, before users are moved; and what someone else scaled stays
//! scaled.

use crate::{USUAL, serving};
use belay_model::config::Strategy;
use belay_model::event::{Ask, Outcome};
use belay_model::id::DeploymentId;
use belay_model::plan::Look;
use belay_model::summary::Phase;
use belay_model::verdict::Outcome as Said;
use belay_testkit::parts::rolled_back;
use belay_testkit::{Before, Kind, Scene, judge};

/// What someone makes of the scale of what serves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Hand {
    Nobody,
    Scales(u32),
}

/// One story: release 1 serves, then release 2, and someone scales it, or not; then it goes back.
#[derive(Clone, Copy, Debug)]
struct Story {
    /// Instances of release 2.
    second: u32,
    hand: Hand,
    /// Instances of release 1 before anybody is moved.
    up: u32,
    /// And in the end.
    stays: u32,
    /// It is told that someone scaled it.
    is_told: bool,
}

const STORIES: [Story; 7] = [
    Story {
        second: USUAL,
        hand: Hand::Nobody,
        up: USUAL,
        stays: USUAL,
        is_told: false,
    },
    // Scaled up by hand: brought up to that, and that stays.
    Story {
        second: USUAL,
        hand: Hand::Scales(10),
        up: 10,
        stays: 10,
        is_told: true,
    },
    // Scaled down by hand: what was there before.
    Story {
        second: USUAL,
        hand: Hand::Scales(1),
        up: USUAL,
        stays: USUAL,
        is_told: false,
    },
    // The deployment itself had more: enough for those who come, and then as it was.
    Story {
        second: 8,
        hand: Hand::Nobody,
        up: 8,
        stays: USUAL,
        is_told: false,
    },
    // And someone scaled since: not ours to take away.
    Story {
        second: 8,
        hand: Hand::Scales(10),
        up: 10,
        stays: 10,
        is_told: true,
    },
    Story {
        second: 8,
        hand: Hand::Scales(6),
        up: 6,
        stays: 6,
        is_told: true,
    },
    // The deployment had fewer.
    Story {
        second: 2,
        hand: Hand::Nobody,
        up: USUAL,
        stays: USUAL,
        is_told: false,
    },
];

/// How it is gone back.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// Someone asks for it when it bakes: what was there before.
    Undo,
    /// Someone asks for it when it is over: the record that was good.
    Return,
}

/// Until something is to be gone back from, and scaled.
async fn begun(kind: Kind, story: Story, way: Way) -> (Scene, Option<DeploymentId>) {
    let mut scene = Scene::of(kind, Strategy::Basic, USUAL);
    scene.instances.insert(2, story.second);
    scene.deploy(1).await;
    scene.work().await;
    if way == Way::Undo {
        scene.bake_ms = 60 * 60 * 1000;
    }
    let second = scene.deploy(2).await;
    if way == Way::Undo {
        scene.work_for(60_000).await;
        assert_eq!(scene.summary(&second).await.phase, Phase::Baking);
    } else {
        scene.work().await;
    }
    assert_eq!(scene.world.asked_for(), Some(story.second), "{kind:?}");
    if let Hand::Scales(instances) = story.hand {
        scene.world.scale(instances);
    }
    (scene, Some(second).filter(|_| way == Way::Undo))
}

async fn go_back(scene: &Scene, open: Option<&DeploymentId>) -> DeploymentId {
    match open {
        Some(id) => {
            scene.signal(id, Ask::Abort).await;
            id.clone()
        }
        None => scene.go_back(Some(1)).await,
    }
}

async fn check(kind: Kind, story: Story, way: Way, kill_at: usize) -> bool {
    let (scene, open) = begun(kind, story, way).await;
    let done = scene.world.log().len();
    let before = Before::of(&scene);
    scene.crashes.kill_at(kill_at);
    let id = go_back(&scene, open.as_ref()).await;
    let killed = scene.work().await;
    let log = scene.world.log().split_off(done);
    let told = format!("{kind:?} {story:?} {way:?}, killed at {kill_at}: {log:#?}");
    let outcome = scene.summary(&id).await.outcome;
    let went_back = match way {
        Way::Return => Some(Outcome::Succeeded),
        Way::Undo => rolled_back(),
    };
    assert_eq!(outcome, went_back, "{told}");
    if way == Way::Return {
        let wrong = judge(&scene, &id, &before).await;
        assert!(wrong.is_empty(), "{told}: {wrong:#?}");
    }
    let first = scene.record(1).group();
    assert_eq!(serving(&scene), Some(first.clone()), "{told}");
    assert_eq!(scene.world.asked_for(), Some(story.stays), "{told}");
    let up = match kind {
        Kind::InPlace => format!("replace by {} of {first}", story.up),
        Kind::Resized => format!("resize {first} to {}", story.up),
        _ => format!("grow {first} to {}", story.up),
    };
    let at = |line: &str| log.iter().position(|it| it.contains(line));
    let brought = at(&up);
    // On side by side what was kept warm is there.
    let is_warm = kind == Kind::SideBySide && way == Way::Undo && story.up == USUAL;
    let moved = match kind {
        Kind::SideBySide => at("weights"),
        Kind::Workers => at("remove"),
        Kind::InPlace => brought,
        _ => at(&format!("resize {} to 0", scene.record(2).group())),
    };
    let is_up = brought.is_some() && brought <= moved;
    assert!(is_up || is_warm, "{up}; {told}");
    let lines = scene.remarks(&id);
    let is_told = lines
        .iter()
        .any(|line| line.starts_with("capacity: changed by someone else: scaled to"));
    assert_eq!(is_told, story.is_told, "{lines:?}; {told}");
    killed > 0
}

#[tokio::test(start_paused = true)]
async fn as_many_as_are_needed_are_there_before_anybody_is_moved() {
    for kind in Kind::SCALED {
        for story in STORIES {
            for way in [Way::Undo, Way::Return] {
                check(kind, story, way, usize::MAX).await;
            }
        }
    }
}

/// With more than stays in the end there is one step more to be killed in.
#[tokio::test(start_paused = true)]
async fn killed_anywhere_it_is_the_same_capacity() {
    for kind in Kind::SCALED {
        for story in [STORIES[1], STORIES[3]] {
            for way in [Way::Undo, Way::Return] {
                let mut point = 0;
                while check(kind, story, way, point).await {
                    point += 1;
                }
                assert!(point > 10, "only {point} points in {kind:?} {way:?}");
            }
        }
    }
}

/// What was kept is no change by someone else to the next release, and it is kept there, too.
#[tokio::test(start_paused = true)]
async fn the_next_release_keeps_the_scale() {
    for kind in Kind::SCALED {
        let (scene, _) = begun(kind, STORIES[1], Way::Return).await;
        go_back(&scene, None).await;
        scene.work().await;
        let third = scene.deploy(3).await;
        scene.work().await;
        let summary = scene.summary(&third).await;
        assert_eq!(summary.outcome, Some(Outcome::Succeeded), "{kind:?}");
        assert_eq!(scene.world.asked_for(), Some(10), "{kind:?}");
        let lines = scene.remarks(&third);
        let is_kept = lines.iter().any(|line| line.contains("that is kept"));
        assert!(is_kept, "{kind:?}: {lines:?}");
        // It is the same scale that its own way back brings up.
        go_back(&scene, None).await;
        scene.work().await;
        assert_eq!(scene.world.asked_for(), Some(10), "{kind:?}");
    }
}

/// An autoscaler is asked for no more and no fewer than it may give.
#[tokio::test(start_paused = true)]
async fn an_autoscalers_bounds_hold() {
    let cases = [
        (2, 6, 10, 6, "6 are kept, as the autoscaler has bounds"),
        (2, 20, 10, 10, "that is kept"),
        (5, 20, 4, 5, "5 instead of 4"),
        (1, 3, 3, 3, "3 instead of 4"),
    ];
    for (fewest, most, scaled, stays, line) in cases {
        let (scene, _) = begun(Kind::InPlace, STORIES[0], Way::Return).await;
        scene.world.autoscale(fewest, most);
        scene.world.scale(scaled);
        let id = go_back(&scene, None).await;
        scene.work().await;
        assert_eq!(scene.summary(&id).await.outcome, Some(Outcome::Succeeded));
        let told = scene.remarks(&id);
        assert_eq!(scene.world.asked_for(), Some(stays), "{told:?}");
        assert!(told.iter().any(|it| it.contains(line)), "{told:?}");
    }
}

/// What was there is sick when the next release fails: its release comes back, for as many users as someone had scaled it for.
#[tokio::test(start_paused = true)]
async fn what_comes_back_for_what_was_sick_has_its_scale() {
    for kind in Kind::SCALED {
        let scene = Scene::of(kind, Strategy::Basic, USUAL).with_good(1).await;
        scene.world.scale(10);
        scene.world.sicken(&scene.world.groups()[0]);
        scene.script.say(2, Look::Bake, Said::Fail);
        let id = scene.deploy_and_work(2).await;
        assert_eq!(scene.outcome(&id).await, rolled_back(), "{kind:?}");
        assert_eq!(scene.world.asked_for(), Some(10), "{kind:?}");
        let lines = scene.remarks(&id);
        assert!(
            lines.iter().any(|line| line.contains("that is kept")),
            "{kind:?}: {lines:?}"
        );
    }
}
