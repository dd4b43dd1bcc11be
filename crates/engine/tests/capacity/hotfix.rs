//! Hotfixes, and what someone scaled.

use crate::USUAL;
use belay_model::config::Strategy;
use belay_model::event::Outcome;
use belay_model::plan::{Action, Approval, Step};
use belay_model::summary::Phase;
use belay_testkit::parts::phase;
use belay_testkit::{Kind, Scene};

/// Someone scales what bakes, or had scaled what served before it: the hotfix that takes its place is for as many users.
#[tokio::test(start_paused = true)]
async fn a_hotfix_keeps_the_scale_of_what_bakes() {
    for (kind, is_early) in Kind::SCALED
        .into_iter()
        .flat_map(|it| [(it, false), (it, true)])
    {
        let mut scene = Scene::of(kind, Strategy::Basic, USUAL);
        scene.deploy(1).await;
        scene.work().await;
        if is_early {
            scene.world.scale(10);
        }
        scene.bake_ms = 60 * 60 * 1000;
        let second = scene.deploy(2).await;
        scene.work_for(60_000).await;
        assert_eq!(scene.summary(&second).await.phase, Phase::Baking);
        scene.world.scale(10);
        let id = scene.hotfix(3).await.expect("it bakes");
        scene.work().await;
        let outcome = scene.summary(&second).await.outcome;
        assert_eq!(outcome, Some(Outcome::Stopped), "{kind:?}");
        let outcome = scene.summary(&id).await.outcome;
        assert_eq!(outcome, Some(Outcome::Succeeded), "{kind:?}");
        assert_eq!(scene.world.asked_for(), Some(10), "{kind:?} {is_early}");
        let lines = scene.remarks(&id);
        let is_kept = lines.iter().any(|line| line.contains("that is kept"));
        assert!(is_kept, "{kind:?} {is_early}: {lines:?}");
    }
}

fn a_yes() -> Approval {
    Approval {
        title: "go on".to_owned(),
        by: Vec::new(),
        count: 1,
        within_ms: None,
    }
}

/// Someone scales what serves while another release waits in front of its first move.
#[tokio::test(start_paused = true)]
async fn a_hotfix_over_what_has_moved_nothing_keeps_the_scale_of_what_serves() {
    for kind in Kind::SCALED {
        let mut scene = Scene::of(kind, Strategy::Basic, USUAL).with_good(1).await;
        let ask = vec![Step::of(Action::Approve(a_yes()))];
        scene.phases = vec![phase("all", Some("shop/test"), ask, vec![])];
        let second = scene.deploy(2).await;
        scene.work_for(60_000).await;
        assert_eq!(
            scene.summary(&second).await.phase,
            Phase::Waiting,
            "{kind:?}"
        );
        scene.world.scale(10);
        scene.phases = Vec::new();
        let id = scene.hotfix(3).await.expect("it waits");
        scene.work().await;
        let outcome = scene.summary(&id).await.outcome;
        assert_eq!(outcome, Some(Outcome::Succeeded), "{kind:?}");
        assert_eq!(scene.world.asked_for(), Some(10), "{kind:?}");
    }
}

/// It takes the place of a hotfix that was for as many users and has not come far: what that one found is half-way by now, and
/// was not when it began.
#[tokio::test(start_paused = true)]
async fn so_does_a_hotfix_of_the_hotfix() {
    for kind in Kind::SCALED {
        let mut scene = Scene::of(kind, Strategy::Basic, USUAL);
        scene.deploy(1).await;
        scene.work().await;
        scene.bake_ms = 60 * 60 * 1000;
        let second = scene.deploy(2).await;
        scene.work_for(60_000).await;
        assert_eq!(scene.summary(&second).await.phase, Phase::Baking);
        scene.world.scale(10);
        scene.approve = Some(a_yes());
        let third = scene.hotfix(3).await.expect("it bakes");
        scene.work_for(60_000).await;
        assert_eq!(
            scene.summary(&third).await.phase,
            Phase::Waiting,
            "{kind:?}"
        );
        scene.approve = None;
        let last = scene.hotfix(4).await.expect("it waits");
        scene.work().await;
        let outcome = scene.summary(&last).await.outcome;
        assert_eq!(outcome, Some(Outcome::Succeeded), "{kind:?}");
        assert_eq!(scene.world.asked_for(), Some(10), "{kind:?}");
        let lines = scene.remarks(&last);
        let is_kept = lines.iter().any(|line| line.contains("that is kept"));
        assert!(is_kept, "{kind:?}: {lines:?}");
    }
}
