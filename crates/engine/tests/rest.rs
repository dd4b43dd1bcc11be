//! A bake at rest: where the platform tells of changes nothing of it is kept until something happens, and whatever happens is
//! heard as if all of it had been there.

use async_trait::async_trait;
use belay_driver::Progress;
use belay_engine::ports::{Ledger, Question, Verifier};
use belay_model::config::{Check, Strategy};
use belay_model::event::{Ask, Outcome, RollbackResult};
use belay_model::id::{DeploymentId, StepId};
use belay_model::plan::Look;
use belay_model::state::State;
use belay_model::summary::Phase;
use belay_model::verdict::Verdict;
use belay_testkit::Scene;
use std::sync::Arc;

const BAKE_MS: i64 = 600_000;
/// By then it has come to rest.
const RESTS_MS: u64 = 30_000;

/// Release 2 goes out to where changes are told of.
async fn begun(targets: &[&str]) -> (Scene, DeploymentId) {
    let mut scene = Scene::spread(Strategy::BlueGreen, 2, targets)
        .with_good(1)
        .await;
    scene.worlds.values().for_each(|world| world.tells());
    scene.bake_ms = BAKE_MS.unsigned_abs();
    scene.parallel = u16::try_from(targets.len()).expect("few");
    let id = scene.deploy(2).await;
    (scene, id)
}

/// What came of it, and how long it took from when it was at rest, milliseconds; meanwhile that happens.
async fn while_it_rests(
    targets: &[&str],
    meanwhile: impl AsyncFnOnce(&Scene, &DeploymentId),
) -> (Outcome, i64) {
    let (scene, id) = begun(targets).await;
    let happens = async {
        scene.until(&id, Phase::Baking).await;
        scene.pass(RESTS_MS).await;
        assert_at_rest(&scene);
        let rests_ms = scene.now_ms();
        meanwhile(&scene, &id).await;
        rests_ms
    };
    let ends = async {
        scene.work().await;
        scene.now_ms()
    };
    let (rests_ms, ended_ms) = tokio::join!(happens, ends);
    let outcome = scene.outcome(&id).await.expect("it ended");
    (outcome, ended_ms - rests_ms)
}

#[track_caller]
fn assert_at_rest(scene: &Scene) {
    assert_eq!(scene.script.at_work(), 0, "it is verified");
    // The scene, its worker and what waits for the scope have it: no course.
    assert_eq!(Arc::strong_count(&scene.script), 3, "there is a course");
}

fn back() -> Outcome {
    Outcome::Failed {
        rollback: RollbackResult::Complete,
        residue: Vec::new(),
    }
}

/// Of the bake, once it was at rest for that long.
fn left_ms() -> i64 {
    BAKE_MS - i64::try_from(RESTS_MS).expect("short")
}

#[track_caller]
fn assert_about(ms: i64, expected_ms: i64) {
    assert!((ms - expected_ms).abs() < 10_000, "{ms}");
}

#[tokio::test(start_paused = true)]
async fn it_ends_in_time() {
    let (outcome, took_ms) = while_it_rests(&["shop/test"], async |_, _| ()).await;
    assert_eq!(outcome, Outcome::Succeeded);
    assert_about(took_ms, left_ms());
}

#[tokio::test(start_paused = true)]
async fn a_word_is_heard_at_once() {
    let aborts = async |scene: &Scene, id: &DeploymentId| scene.signal(id, Ask::Abort).await;
    let (outcome, took_ms) = while_it_rests(&["shop/test"], aborts).await;
    assert_eq!(outcome, back());
    assert_about(took_ms, 0);
    let goes_on = async |scene: &Scene, id: &DeploymentId| scene.signal(id, Ask::Advance).await;
    let (outcome, took_ms) = while_it_rests(&["shop/test"], goes_on).await;
    assert_eq!(outcome, Outcome::Succeeded);
    assert_about(took_ms, 0);
}

/// Both of what is watched side by side, and whatever was told before that was nothing.
#[tokio::test(start_paused = true)]
async fn whoever_gets_sick_is_seen() {
    for sick in ["shop/a", "shop/b"] {
        let sickens = async |scene: &Scene, _: &DeploymentId| {
            for nothing in 0..3 {
                scene.worlds[sick].sicken(&format!("nobody {nothing}"));
                scene.pass(RESTS_MS).await;
                assert_at_rest(scene);
            }
            scene.worlds[sick].sicken(&scene.record(2).group());
        };
        let (outcome, took_ms) = while_it_rests(&["shop/a", "shop/b"], sickens).await;
        assert_eq!(outcome, back(), "{sick}");
        assert_about(took_ms, 3 * i64::try_from(RESTS_MS).expect("short"));
    }
}

/// No step begins of what is paused, but what was begun is watched on.
#[tokio::test(start_paused = true)]
async fn what_is_paused_is_watched_on() {
    let sickens = async |scene: &Scene, id: &DeploymentId| {
        scene.signal(id, Ask::Pause).await;
        scene.pass(RESTS_MS).await;
        assert_at_rest(scene);
        scene.world.sicken(&scene.record(2).group());
    };
    let (outcome, took_ms) = while_it_rests(&["shop/test"], sickens).await;
    assert_eq!(outcome, back());
    assert_about(took_ms, i64::try_from(RESTS_MS).expect("short"));
}

/// Its time goes on, too; where no step follows that is its end.
#[tokio::test(start_paused = true)]
async fn what_is_paused_until_its_time_is_over_has_baked() {
    let pauses = async |scene: &Scene, id: &DeploymentId| scene.signal(id, Ask::Pause).await;
    let (outcome, took_ms) = while_it_rests(&["shop/test"], pauses).await;
    assert_eq!(outcome, Outcome::Succeeded);
    assert_about(took_ms, left_ms());
}

/// Words that change nothing are nothing to ask the platform for.
#[tokio::test(start_paused = true)]
async fn who_only_hears_does_not_look() {
    let words = async |scene: &Scene, id: &DeploymentId| {
        let looks = scene.world.looks();
        for ask in [Ask::Pause, Ask::Resume, Ask::Pause, Ask::Resume] {
            scene.signal(id, ask).await;
            scene.pass(RESTS_MS).await;
        }
        assert_eq!(scene.world.looks(), looks);
    };
    let (outcome, took_ms) = while_it_rests(&["shop/test"], words).await;
    assert_eq!(outcome, Outcome::Succeeded);
    assert_about(took_ms, left_ms());
}

/// Nothing of a rest is needed to go on.
#[tokio::test(start_paused = true)]
async fn who_takes_it_over_looks_for_itself() {
    let (scene, id) = begun(&["shop/test"]).await;
    scene.work_for(RESTS_MS * 2).await;
    scene.world.sicken(&scene.record(2).group());
    scene.pass(RESTS_MS).await;
    scene.work().await;
    assert_eq!(scene.outcome(&id).await, Some(back()));
}

/// Who takes over what is paused watches on, too: whoever gets sick meanwhile is seen without a word to go on.
#[tokio::test(start_paused = true)]
async fn what_is_paused_is_watched_on_by_who_takes_it_over() {
    let (scene, id) = begun(&["shop/test"]).await;
    scene.work_for(RESTS_MS).await;
    scene.signal(&id, Ask::Pause).await;
    scene.work_for(RESTS_MS).await;
    scene.world.sicken(&scene.record(2).group());
    scene.work_for(RESTS_MS).await;
    assert_eq!(scene.outcome(&id).await, Some(back()));
}

/// Nobody but the instances is asked where there are no checks.
#[tokio::test(start_paused = true)]
async fn only_what_asks_nothing_only_waits() {
    struct Any;

    #[async_trait]
    impl Verifier for Any {
        async fn verify(&self, _: &Question, _: &dyn Ledger, _: Arc<dyn Progress>) -> Verdict {
            std::future::pending().await
        }
    }

    let (scene, id) = begun(&["shop/test"]).await;
    let record = scene.record(2);
    let question = |checks| Question {
        deployment: id.clone(),
        step: StepId { plan: 1, index: 0 },
        look: Look::Bake,
        checks,
        hold_ms: 1,
        since_us: 0,
        target: record.targets[0].clone(),
        state: State::default(),
        record: record.clone(),
        against: None,
    };
    assert!(Any.only_waits(&question(Vec::new())));
    assert!(!Any.only_waits(&question(vec![Check::default()])));
}
