//! Kill -9 anywhere is normal operation: every append (before, after) and every driver call (before, sent, inside,
//! after) of a deployment, forward and back, once each, on every kind of platform. The worlds are simulated here; the
//! real processes have their own test.

use belay_model::config::Strategy;
use belay_model::error::Class;
use belay_model::event::Outcome;
use belay_model::plan::Look;
use belay_model::verdict::Outcome as Said;
use belay_testkit::parts::{canary, rolled_back};
use belay_testkit::{Before, Fault, Kind, Scene, judge};

#[derive(Clone, Copy, PartialEq, Debug)]
enum Way {
    /// Release 2 is good.
    Forward,
    /// Release 2 is bad and goes back by itself.
    Back,
    /// Release 2 never becomes ready, and the first answer is lost: what it left is found by the second attempt.
    Broken,
    /// Release 2 is good, and someone returns to release 1.
    Return,
    /// Releases 2 and 3 are good, and someone returns to release 1, which may stand nowhere any more.
    Far,
}

const WAYS: [Way; 5] = [Way::Forward, Way::Back, Way::Broken, Way::Return, Way::Far];

fn by_shares() -> Strategy {
    canary([10, 50])
}

async fn scene(kind: Kind, strategy: &Strategy, way: Way) -> Scene {
    let scene = Scene::of(kind, strategy.clone(), 4);
    scene.deploy(1).await;
    scene.work().await;
    let further = match way {
        Way::Forward => 1..1,
        Way::Back => {
            let is_canary = matches!(strategy, Strategy::Canary(_));
            let look = if is_canary { Look::Live } else { Look::Bake };
            scene.script.say(2, look, Said::Fail);
            1..1
        }
        Way::Broken => {
            scene.world.break_release(scene.record(2).hash());
            let lost = Fault::AnswerLost(Class::Timeout);
            scene.world.faults([Some(lost)]);
            1..1
        }
        Way::Return => 2..3,
        Way::Far => 2..4,
    };
    for release in further {
        scene.deploy(release).await;
        scene.work().await;
    }
    scene
}

async fn run(scene: &Scene, way: Way) -> u32 {
    let before = Before::of(scene);
    let id = match way {
        Way::Forward | Way::Back | Way::Broken => scene.deploy(2).await,
        Way::Return => scene.go_back(None).await,
        Way::Far => scene.go_back(Some(1)).await,
    };
    let killed = scene.work().await;
    let told = || {
        let (journal, log) = (scene.store.journal(&id), scene.world.log());
        format!("{way:?}\n{journal:#?}\nworld: {log:#?}")
    };
    let wrong = judge(scene, &id, &before).await;
    assert!(wrong.is_empty(), "{}\n{}", told(), wrong.join("\n"));
    let (outcome, serves) = match way {
        Way::Forward => (Some(Outcome::Succeeded), 2),
        Way::Back | Way::Broken => (rolled_back(), 1),
        Way::Return | Way::Far => (Some(Outcome::Succeeded), 1),
    };
    let summary = scene.summary(&id).await;
    assert_eq!(summary.outcome, outcome, "{}", told());
    assert_eq!(
        scene.serving(),
        Some(scene.record(serves).group()),
        "{}",
        told()
    );
    killed
}

async fn check(kind: Kind, strategy: Strategy) {
    for way in WAYS {
        let untouched = scene(kind, &strategy, way).await;
        untouched.crashes.kill_at(usize::MAX);
        run(&untouched, way).await;
        let points = untouched.crashes.seen();
        assert!(
            points.len() > 12,
            "only {} points in {strategy:?} {way:?}",
            points.len()
        );
        println!("{kind:?}, {strategy:?}, {way:?}: {} points", points.len());
        let mut killed = 0;
        for (point, place) in points.iter().enumerate() {
            let scene = scene(kind, &strategy, way).await;
            scene.crashes.kill_at(point);
            println!("killed at {point}: {place:?}");
            killed += run(&scene, way).await;
        }
        assert_eq!(killed as usize, points.len(), "every point was a kill");
    }
}

macro_rules! every_point {
    ($($kind:ident as $name:ident: $($test:ident = $strategy:expr),+;)*) => {
        $(
            mod $name {
                use super::*;

                $(
                    #[tokio::test(start_paused = true)]
                    async fn $test() {
                        check(Kind::$kind, $strategy).await;
                    }
                )+
            }
        )*
    };
}

// Each kind with all that it can do; `worlds.rs` shows that the rest is refused.
every_point! {
    SideBySide as side_by_side: basic = Strategy::Basic, rolling = Strategy::Rolling,
        blue_green = Strategy::BlueGreen, canary = by_shares();
    Workers as without_traffic: basic = Strategy::Basic, rolling = Strategy::Rolling;
    Swap as swap: basic = Strategy::Basic, blue_green = Strategy::BlueGreen, canary = by_shares();
    InPlace as in_place: basic = Strategy::Basic, rolling = Strategy::Rolling;
    Revisions as revisions: basic = Strategy::Basic, blue_green = Strategy::BlueGreen, canary = by_shares();
    Resized as resized: basic = Strategy::Basic, rolling = Strategy::Rolling, canary = by_shares();
}
