//! Going back from one phase alone.

use crate::{PLACES, rule, three_phases, with_one};
use belay_model::config::Strategy;
use belay_model::environment::Standing;
use belay_model::error::Class;
use belay_model::event::{Ask, Outcome, PhaseInput, RollbackResult};
use belay_model::id::DeploymentId;
use belay_model::plan::{Action, Look, Step};
use belay_model::policy::Act;
use belay_model::summary::Phase;
use belay_model::verdict::Outcome as Said;
use belay_testkit::parts::{failed, phase, run};
use belay_testkit::{Kind, Scene};

/// A part of a phase with a step before and a step behind; it goes back alone.
fn part(name: &str, target: &str) -> PhaseInput {
    let (before, after) = (format!("before-{target}"), format!("after-{target}"));
    PhaseInput {
        on_failure: rule(&[], Act::RollBackPhase),
        ..phase(name, Some(target), vec![run(&before)], vec![run(&after)])
    }
}

/// These serve everywhere, one after the other; then the last one turns out to be bad, and still serves.
async fn bad_after(releases: &[u32]) -> Scene {
    let mut scene = Scene::spread(Strategy::BlueGreen, 2, &PLACES);
    for release in releases {
        scene.deploy_and_work(*release).await;
    }
    let bad = *releases.last().expect("one");
    scene.script.say(bad, Look::Bake, Said::Fail);
    scene.deploy_and_work(bad).await;
    let known = &scene.view().records[&scene.record(bad).hash()];
    assert_eq!(known.standing, Standing::Quarantined);
    assert_eq!(scene.serving_on(PLACES), [Some(bad); 2]);
    scene.phases = vec![part("first", "eu"), part("rest", "us")];
    scene
}

async fn ends_limited(scene: &Scene, id: &DeploymentId) {
    let outcome = scene.summary(id).await.outcome;
    assert_eq!(outcome, failed(RollbackResult::Limited));
}

#[tokio::test(start_paused = true)]
async fn this_phase_only_ends_the_deployment_and_says_that_it_was_policy() {
    let scene = with_one(|scene| {
        three_phases(scene);
        scene.phases[2].on_failure = rule(&[Class::Application], Act::RollBackPhase);
    })
    .await;
    scene.runner.fails("after-us", 1, Class::Application);
    let id = scene.deploy_and_work(2).await;
    ends_limited(&scene, &id).await;
    assert_eq!(scene.serving_on(PLACES), [Some(2), Some(1)], "eu stays");
    assert_eq!(scene.runner.log()[4..], ["un-after-us", "un-before-us"]);
    // The next one starts from what is there.
    let third = scene.deploy(3).await;
    scene.work().await;
    assert_eq!(
        scene.summary(&third).await.outcome,
        Some(Outcome::Succeeded)
    );
    assert_eq!(scene.serving_on(PLACES), [Some(3); 2]);
}

#[tokio::test(start_paused = true)]
async fn nobody_goes_back_to_what_was_rolled_back_and_a_person_is_asked() {
    let scene = bad_after(&[1]).await;
    scene.runner.fails("after-us", 1, Class::Application);
    let id = scene.deploy_and_work(2).await;
    let summary = scene.summary(&id).await;
    assert_eq!(summary.phase, Phase::NeedsOperator);
    assert_eq!(
        summary.stuck.as_deref(),
        Some(
            "what was there before phase rest (release 1) is quarantined, and no other release was ever good here"
        )
    );
    assert_eq!(
        scene.serving_on(PLACES),
        [Some(2); 2],
        "nothing is moved meanwhile"
    );
    let waits = scene.deploy_and_work(3).await;
    assert_eq!(scene.summary(&waits).await.phase, Phase::Queued);
    scene.signal(&waits, Ask::Abort).await;
    // Whoever has looked says that it was not its fault.
    scene.lift(1).await;
    scene.signal(&id, Ask::Retry).await;
    scene.work().await;
    ends_limited(&scene, &id).await;
    assert_eq!(scene.serving_on(PLACES), [Some(2), Some(1)]);
}

#[tokio::test(start_paused = true)]
async fn where_what_was_there_was_rolled_back_the_newest_good_one_serves_on_what_the_phase_began() {
    let scene = bad_after(&[1, 2]).await;
    scene.runner.fails("after-us", 1, Class::Application);
    let id = scene.deploy_and_work(3).await;
    ends_limited(&scene, &id).await;
    assert_eq!(scene.serving_on(PLACES), [Some(3), Some(1)]);
    let plan = scene.last_plan(&id);
    let elsewhere = plan.phases.iter();
    let elsewhere = elsewhere.filter(|phase| phase.target.as_deref() != Some("us"));
    assert_eq!(elsewhere.count(), 0, "{plan:#?}");
    let remarks = scene.summary(&id).await.remarks;
    let remark = "what was there before phase rest (release 2) is quarantined, so it goes to release 1, the newest good one";
    assert!(remarks.contains(&remark.to_owned()), "{remarks:?}");
}

/// A hotfix goes back to what was there before the one that made way for it; that one had it kept warm, to be removed.
#[tokio::test(start_paused = true)]
async fn what_was_rolled_back_and_is_to_be_removed_by_now_does_not_serve_again_either() {
    let mut scene = bad_after(&[1]).await;
    let phases = std::mem::take(&mut scene.phases);
    scene.bake_ms = 60 * 60 * 1000;
    let second = scene.deploy(2).await;
    scene.work_for(5_000).await;
    assert_eq!(scene.summary(&second).await.phase, Phase::Baking);
    assert!(!scene.view().cleanups.is_empty());
    scene.phases = phases;
    scene.runner.fails("after-eu", 1, Class::Application);
    let id = scene.hotfix(3).await.expect("it bakes");
    scene.work().await;
    let summary = scene.summary(&id).await;
    assert_eq!(summary.phase, Phase::NeedsOperator, "{summary:#?}");
    let why = summary.stuck.expect("it says why");
    assert!(why.contains("(release 1) is quarantined"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_phase_that_has_moved_nothing_has_nothing_to_go_back_to() {
    let scene = bad_after(&[1]).await;
    scene.runner.fails("before-us", 1, Class::Application);
    let id = scene.deploy_and_work(2).await;
    ends_limited(&scene, &id).await;
    assert_eq!(scene.serving_on(PLACES), [Some(2), Some(1)]);
    let log = scene.runner.log();
    assert!(!log.contains(&"un-before-eu".to_owned()), "{log:?}");
}

/// An earlier phase gave the release a share where this one has not come to.
#[tokio::test(start_paused = true)]
async fn what_an_earlier_phase_did_stays_where_this_one_has_begun_nothing() {
    let mut scene = Scene::spread(Strategy::BlueGreen, 2, &PLACES);
    scene.deploy_and_work(1).await;
    let share = PhaseInput {
        share: Some(200),
        ..part("a share", "us")
    };
    scene.phases = vec![share, part("all", "eu"), part("all", "us")];
    scene.runner.fails("after-eu", 1, Class::Application);
    let id = scene.deploy_and_work(2).await;
    ends_limited(&scene, &id).await;
    let weights = scene.worlds["us"].weights();
    assert_eq!(weights.get(&scene.record(2).group()), Some(&200));
    let [eu, _] = scene.serving_on(PLACES);
    assert_eq!(eu, Some(1));
}

/// Where a share is a share of the instances: it is the one that it was, of as many as someone has by now.
#[tokio::test(start_paused = true)]
async fn users_have_the_shares_that_they_had_whatever_was_scaled() {
    let mut scene = Scene::of(Kind::Resized, Strategy::Basic, 2)
        .with_good(1)
        .await;
    let half = PhaseInput {
        share: Some(500),
        ..part("half", "shop/test")
    };
    let mut all = part("all", "shop/test");
    let wait = Step::of(Action::Wait { ms: 60_000 });
    all.after = vec![wait, run("last")];
    scene.phases = vec![half, all];
    scene.runner.fails("last", 1, Class::Application);
    let id = scene.deploy(2).await;
    let someone = async {
        scene.until(&id, Phase::Waiting).await;
        scene.world.scale(6);
    };
    tokio::join!(someone, scene.work());
    ends_limited(&scene, &id).await;
    let half = [1, 2].map(|release| (scene.record(release).group(), 500));
    assert_eq!(scene.world.users(), half.into());
    assert_eq!(scene.world.asked_for(), Some(6));
}
