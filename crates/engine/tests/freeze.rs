//! Freezes hold up releases, and never a way back.

use belay_model::config::Strategy;
use belay_model::environment::Event as Said;
use belay_model::event::{Event, Outcome, RollbackResult};
use belay_model::id::{DeploymentId, EVERY, EnvironmentName, Scope, ServiceName};
use belay_model::plan::Look;
use belay_model::summary::Phase;
use belay_model::verdict::Outcome as Verdict;
use belay_testkit::Scene;
use belay_testkit::parts::rolled_back;

const HOUR_MS: u64 = 3_600_000;

async fn with_one() -> Scene {
    let scene = Scene::new(Strategy::BlueGreen, 2);
    assert_eq!(try_release(&scene, 1).await, Ok(()));
    scene
}

/// Whether a release goes out, or why not.
async fn try_release(scene: &Scene, release: u32) -> Result<(), String> {
    let id = scene.deploy(release).await;
    scene.work().await;
    match scene.summary(&id).await.outcome {
        Some(Outcome::Succeeded) => Ok(()),
        Some(Outcome::Failed {
            rollback: RollbackResult::None,
            residue,
        }) => Err(residue.join("; ")),
        other => Err(format!("{other:?}")),
    }
}

/// A release that goes back by itself.
async fn fails(scene: &Scene, release: u32) {
    scene.script.say(release, Look::Bake, Verdict::Fail);
    let id = scene.deploy(release).await;
    scene.work().await;
    let summary = scene.summary(&id).await;
    assert_eq!(summary.outcome, rolled_back(), "{summary:#?}");
}

fn frozen(until_ms: Option<i64>) -> Said {
    Said::Frozen {
        actor: Some("ada".to_owned()),
        reason: "the big day".to_owned(),
        until_ms,
    }
}

fn thawed() -> Said {
    Said::Thawed {
        actor: "ada".to_owned(),
        reason: None,
    }
}

#[tokio::test(start_paused = true)]
async fn i9_three_that_went_back_by_themselves_freeze_the_next() {
    let scene = with_one().await;
    for release in 2..=4 {
        assert!(
            scene.view().breaker.is_none(),
            "not before release {release}"
        );
        fails(&scene, release).await;
    }
    let why = try_release(&scene, 5).await.expect_err("frozen");
    assert_eq!(
        why,
        "shop/test is frozen by Belay: 3 releases went back by themselves within 24 hours"
    );
    // A way back is never held up; and whoever has looked lets them go out again.
    scene.say(&scene.scope(), thawed()).await;
    assert_eq!(try_release(&scene, 5).await, Ok(()));
    scene.say(&scene.scope(), frozen(None)).await;
    let back = scene.go_back(None).await;
    scene.work().await;
    assert_eq!(scene.summary(&back).await.outcome, Some(Outcome::Succeeded));
    assert_eq!(scene.serving(), Some(scene.record(1).group()));
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_for_or_is_long_ago_does_not_count() {
    let scene = with_one().await;
    fails(&scene, 2).await;
    fails(&scene, 3).await;
    scene.pass(25 * HOUR_MS).await;
    fails(&scene, 4).await;
    assert_eq!(try_release(&scene, 5).await, Ok(()));
    let back = scene.go_back(None).await;
    scene.work().await;
    assert_eq!(scene.summary(&back).await.outcome, Some(Outcome::Succeeded));
    assert_eq!(try_release(&scene, 6).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_lifted_quarantine_begins_a_new_error_budget() {
    let scene = with_one().await;
    fails(&scene, 2).await;
    fails(&scene, 3).await;
    let known = |release| {
        let view = scene.view();
        view.records[&scene.record(release).hash()].clone()
    };
    assert_eq!((known(2).failures, known(2).budget_since_us), (1, None));
    scene.lift(2).await;
    assert_eq!(known(2).failures, 0);
    assert!(known(2).budget_since_us.is_some());
    assert_eq!(known(3).failures, 1, "its quarantine stands");
    // The third that goes back, and the first since then.
    fails(&scene, 2).await;
    assert_eq!(known(2).failures, 1);
    fails(&scene, 4).await;
    assert!(scene.view().breaker.is_none());
    fails(&scene, 5).await;
    assert!(scene.view().breaker.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_freeze_is_about_a_scope_an_environment_or_a_service() {
    let scope = |service: &str, environment: &str| Scope {
        service: ServiceName::new(service),
        environment: EnvironmentName::new(environment),
    };
    let check = async |service: &str, environment: &str, what: Option<&str>| {
        let scene = with_one().await;
        scene.say(&scope(service, environment), frozen(None)).await;
        let why = what.map(|what| format!("{what} is frozen by ada: the big day"));
        assert_eq!(try_release(&scene, 2).await.err(), why);
    };
    check("shop", "test", Some("shop/test")).await;
    check(EVERY, "test", Some("environment test")).await;
    check("shop", EVERY, Some("service shop")).await;
    check("other", "test", None).await;
    check(EVERY, "production", None).await;
}

#[tokio::test(start_paused = true)]
async fn a_freeze_ends_at_its_time() {
    let scene = with_one().await;
    let end_ms = scene.now_ms() + i64::try_from(HOUR_MS).expect("small");
    scene.say(&scene.scope(), frozen(Some(end_ms))).await;
    assert!(try_release(&scene, 2).await.is_err());
    scene.pass(HOUR_MS).await;
    assert_eq!(try_release(&scene, 2).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn i9_the_breaker_holds_when_a_persons_freeze_is_over() {
    let scene = with_one().await;
    fails(&scene, 2).await;
    fails(&scene, 3).await;
    // What had begun before the freeze may still go back by itself.
    scene.script.say(4, Look::Bake, Verdict::Fail);
    let id = scene.deploy(4).await;
    let end_ms = scene.now_ms() + i64::try_from(HOUR_MS).expect("small");
    let ada = async {
        scene.until(&id, Phase::Running).await;
        scene.say(&scene.scope(), frozen(Some(end_ms))).await;
    };
    tokio::join!(scene.work(), ada);
    assert_eq!(scene.summary(&id).await.outcome, rolled_back());
    let belay = "by Belay: 3 releases went back by themselves within 24 hours";
    let why = try_release(&scene, 5).await.expect_err("frozen by both");
    let both = format!("shop/test is frozen {belay}; and by ada: the big day");
    assert_eq!(why, both);
    scene.pass(HOUR_MS).await;
    let why = try_release(&scene, 5).await.expect_err("by Belay");
    assert_eq!(why, format!("shop/test is frozen {belay}"));
    // One that is said later does not stand in for it, either.
    let end_ms = scene.now_ms() + i64::try_from(HOUR_MS).expect("small");
    scene.say(&scene.scope(), frozen(Some(end_ms))).await;
    scene.pass(HOUR_MS).await;
    assert!(try_release(&scene, 5).await.is_err());
    scene.say(&scene.scope(), thawed()).await;
    assert_eq!(try_release(&scene, 5).await, Ok(()));
}

/// The scopes whose freezes hold in a scene, with what is said of them.
fn held_by() -> [(Scope, &'static str); 3] {
    let scope = |service: &str, environment: &str| Scope {
        service: ServiceName::new(service),
        environment: EnvironmentName::new(environment),
    };
    [
        (scope("shop", "test"), "shop/test"),
        (scope(EVERY, "test"), "environment test"),
        (scope("shop", EVERY), "service shop"),
    ]
}

fn is_planned(scene: &Scene, id: &DeploymentId) -> bool {
    let is_it = |event: &Event| matches!(event, Event::Planned { .. });
    scene.store.any_event(id, is_it)
}

/// Wherever the worker is that makes the plan: before it is written down the freeze holds it up, and no longer.
#[tokio::test(start_paused = true)]
async fn i9_a_freeze_counts_that_is_said_while_a_worker_looks() {
    for (scope, what) in held_by() {
        for point in 0.. {
            let scene = with_one().await;
            let id = scene.deploy(2).await;
            let freeze = async {
                scene.say(&scope, frozen(None)).await;
                is_planned(&scene, &id)
            };
            let held = scene.work_and_hold(point, freeze).await;
            let (was_planned, _) = held.expect("a plan is made");
            let outcome = scene.summary(&id).await.outcome;
            assert_eq!(is_planned(&scene, &id), was_planned);
            if was_planned {
                assert_eq!(outcome, Some(Outcome::Succeeded), "{what}");
                assert!(point > 1, "it was held up before");
                break;
            }
            assert_eq!(outcome, Some(held_up(what)), "at point {point}");
        }
    }
}

/// The same of a hotfix that takes over: what it would have taken over goes on.
#[tokio::test(start_paused = true)]
async fn i9_a_freeze_counts_that_is_said_while_a_hotfix_takes_over() {
    for (scope, what) in held_by() {
        for point in 0.. {
            let mut scene = with_one().await;
            scene.bake_ms = HOUR_MS;
            let old = scene.deploy(2).await;
            scene.work_for(20_000).await;
            assert_eq!(scene.summary(&old).await.phase, Phase::Baking);
            scene.bake_ms = 1000;
            let new = scene.hotfix(3).await.expect("it is taken");
            let freeze = async {
                scene.say(&scope, frozen(None)).await;
                is_planned(&scene, &new)
            };
            let held = scene.work_and_hold(point, freeze).await;
            let (was_planned, _) = held.expect("a plan is made");
            let (old, new) = (scene.summary(&old).await, scene.summary(&new).await);
            if was_planned {
                assert_eq!(old.outcome, Some(Outcome::Stopped), "{what}");
                assert_eq!(new.outcome, Some(Outcome::Succeeded), "{what}");
                assert!(point > 1, "it was held up before");
                break;
            }
            assert_eq!(new.outcome, Some(held_up(what)), "at point {point}");
            assert_eq!(old.outcome, Some(Outcome::Succeeded), "at point {point}");
        }
    }
}

fn held_up(what: &str) -> Outcome {
    Outcome::Failed {
        rollback: RollbackResult::None,
        residue: vec![format!("{what} is frozen by ada: the big day")],
    }
}

/// What else is said of its environment meanwhile is no reason to look once more: or a busy queue would keep everybody out.
#[tokio::test(start_paused = true)]
async fn what_holds_nothing_up_does_not_make_a_worker_look_again() {
    let record = Box::new(Scene::default().record(9));
    for said in [thawed(), Said::Recorded { record }] {
        for point in 0.. {
            let scene = with_one().await;
            let id = scene.deploy(2).await;
            let begun_ms = scene.now_ms();
            let meanwhile = async {
                let seen = scene.crashes.seen();
                scene.pass(60_000).await;
                for (scope, _) in held_by() {
                    scene.say(&scope, said.clone()).await;
                }
                seen.last().is_some_and(|point| point.call == "append")
            };
            let held = scene.work_and_hold(point, meanwhile).await;
            let (is_made, _) = held.expect("a plan is made");
            let summary = scene.summary(&id).await;
            assert_eq!(summary.outcome, Some(Outcome::Succeeded));
            if is_made {
                let locked_ms = summary.locked_us.expect("it had the lock") / 1000;
                assert!(locked_ms - begun_ms < 60_000, "it is not made anew");
                break;
            }
        }
    }
}
