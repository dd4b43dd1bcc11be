//! Users are moved as the instances for them get ready.

use crate::USUAL;
use belay_model::config::{BackCapacity, Strategy};
use belay_model::event::{Ask, Outcome, RollbackResult};
use belay_testkit::{Before, Kind, Scene, judge};

/// Users are moved as the instances for them get ready, and killed anywhere it is the same.
#[tokio::test(start_paused = true)]
async fn in_proportion_users_follow_the_instances() {
    for kind in [Kind::SideBySide, Kind::Resized] {
        let mut point = usize::MAX;
        loop {
            let mut scene = Scene::of(kind, Strategy::Basic, USUAL);
            scene.back_order.capacity = BackCapacity::Proportional;
            for release in [1, 2] {
                scene.deploy(release).await;
                scene.work().await;
            }
            scene.world.scale(8);
            let done = scene.world.log().len();
            let before = Before::of(&scene);
            scene.crashes.kill_at(point);
            let id = scene.go_back(None).await;
            let killed = scene.work().await;
            let wrong = judge(&scene, &id, &before).await;
            assert!(wrong.is_empty(), "{kind:?} at {point}: {wrong:#?}");
            assert_eq!(scene.world.asked_for(), Some(8), "{kind:?} at {point}");
            if point == usize::MAX {
                let log = scene.world.log().split_off(done);
                let (first, second) = (scene.record(1).group(), scene.record(2).group());
                let short = |line: &String| line.replace(&first, "r1").replace(&second, "r2");
                let log: Vec<String> = log.iter().map(short).collect();
                let expect: &[&str] = match kind {
                    Kind::SideBySide => &[
                        "grow r1 to 2",
                        "weights {\"r1\": 250, \"r2\": 750}",
                        "grow r1 to 4",
                        "weights {\"r1\": 500, \"r2\": 500}",
                        "grow r1 to 6",
                        "weights {\"r1\": 750, \"r2\": 250}",
                        "grow r1 to 8",
                        "weights {\"r1\": 1000}",
                        "remove r2",
                    ],
                    _ => &[
                        "resize r1 to 2",
                        "resize r2 to 6",
                        "resize r1 to 4",
                        "resize r2 to 4",
                        "resize r1 to 6",
                        "resize r2 to 2",
                        "resize r1 to 8",
                        "resize r2 to 0",
                        "delete r2",
                    ],
                };
                assert_eq!(log, expect);
                point = 0;
            } else if killed == 0 {
                break;
            } else {
                point += 1;
            }
        }
        assert!(point > 20, "only {point} points in {kind:?}");
    }
}

/// What is ready already takes its users at once, and keeps those that it has.
#[tokio::test(start_paused = true)]
async fn in_proportion_nobody_is_moved_the_wrong_way() {
    let mut scene = Scene::of(Kind::SideBySide, Strategy::BlueGreen, USUAL);
    scene.back_order.capacity = BackCapacity::Proportional;
    scene.deploy(1).await;
    scene.work().await;
    scene.bake_ms = 60 * 60 * 1000;
    let first = scene.record(1).group();
    let id = scene.deploy(2).await;
    scene.work_for(60_000).await;
    // Someone gives most of the users to the old one, and asks for more of the new one.
    let second = scene.record(2).group();
    scene
        .world
        .set_weights([(first.clone(), 600), (second, 400)].into());
    scene.world.scale(8);
    let done = scene.world.log().len();
    scene.signal(&id, Ask::Abort).await;
    scene.work().await;
    let log = scene.world.log().split_off(done);
    let shares: Vec<&String> = log.iter().filter(|it| it.starts_with("weights")).collect();
    assert!(!shares.is_empty(), "{log:?}");
    let is_less = |line: &&String| {
        [250, 500]
            .iter()
            .any(|share| line.contains(&format!("{first}\": {share}")))
    };
    assert!(!shares.iter().any(is_less), "{shares:?}");
}

/// Where users cannot be moved by shares, or there is no number of instances, it cannot be in proportion.
#[tokio::test(start_paused = true)]
async fn in_proportion_is_refused_where_it_cannot_be() {
    for kind in [Kind::Workers, Kind::InPlace, Kind::Swap, Kind::Revisions] {
        let mut scene = Scene::of(kind, Strategy::Basic, USUAL);
        scene.back_order.capacity = BackCapacity::Proportional;
        let id = scene.deploy(1).await;
        scene.work().await;
        let Some(Outcome::Failed { rollback, residue }) = scene.summary(&id).await.outcome else {
            panic!("{kind:?} did it");
        };
        assert_eq!(rollback, RollbackResult::None);
        assert!(
            residue[0].contains("in proportion"),
            "{kind:?}: {residue:?}"
        );
        assert!(scene.world.log().is_empty(), "{kind:?}");
    }
}
