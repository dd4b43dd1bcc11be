//! Going back from one phase alone, where what was there before it will not do.

use belay_model::config::Strategy;
use belay_model::environment::Standing;
use belay_model::error::Class;
use belay_model::event::{Ask, Event, Outcome, PhaseInput, RollbackResult};
use belay_model::id::DeploymentId;
use belay_model::plan::Action;
use belay_model::plan::{Call, Look, OnUnknown, Plan, Run, Step};
use belay_model::policy::{Act, Rule};
use belay_model::summary::Phase;
use belay_model::verdict::Outcome as Said;
use belay_testkit::{Scene, check_journal};

const PLACES: [&str; 2] = ["eu", "us"];

/// A step that runs `name`, and `un-name` to take it back.
fn run(name: &str) -> Step {
    let call = |text: &str| Call::Command(text.parse().expect("a command line"));
    Step::of(Action::Run(Run {
        title: format!("run {name}"),
        call: call(name),
        back: Some(call(&format!("un-{name}"))),
        timeout_ms: 1000,
        on_unknown: OnUnknown::Retry,
        residue: None,
        record: None,
    }))
}

/// A part of a phase with a step before and a step behind; it goes back alone.
fn part(name: &str, target: &str) -> PhaseInput {
    PhaseInput {
        name: name.to_owned(),
        target: Some(target.to_owned()),
        strategy: None,
        share: None,
        before: vec![run(&format!("before-{target}"))],
        after: vec![run(&format!("after-{target}"))],
        back_before: Vec::new(),
        back_after: Vec::new(),
        on_failure: vec![Rule {
            on: Vec::new(),
            act: Act::RollBackPhase,
        }],
    }
}

async fn deploy(scene: &Scene, release: u32) -> DeploymentId {
    let id = scene.deploy(release).await;
    scene.work().await;
    check_journal(&scene.store.journal(&id));
    id
}

/// These serve everywhere, one after the other; then the last one turns out to be bad, and still serves.
async fn bad_after(releases: &[u32]) -> Scene {
    let mut scene = Scene::spread(Strategy::BlueGreen, 2, &PLACES);
    for release in releases {
        deploy(&scene, *release).await;
    }
    let bad = *releases.last().expect("one");
    scene.script.say(bad, Look::Bake, Said::Fail);
    deploy(&scene, bad).await;
    let known = &scene.view().records[&scene.record(bad).hash()];
    assert_eq!(known.standing, Standing::Quarantined);
    assert_eq!(serving(&scene), [Some(bad); 2]);
    scene.phases = vec![part("first", "eu"), part("rest", "us")];
    scene
}

fn serving(scene: &Scene) -> [Option<u32>; 2] {
    PLACES.map(|place| {
        let weights = scene.worlds[place].weights();
        let (name, _) = weights.iter().find(|(_, weight)| **weight == 1000)?;
        (1..9).find(|release| scene.record(*release).group() == *name)
    })
}

fn last_plan(scene: &Scene, id: &DeploymentId) -> Plan {
    let journal = scene.store.journal(id).into_iter();
    let mut plans = journal.filter_map(|entry| match entry.event {
        Event::RollbackPlanned { plan, .. } => Some(plan),
        _ => None,
    });
    plans.next_back().expect("it goes back")
}

async fn ends_limited(scene: &Scene, id: &DeploymentId) {
    let outcome = scene.summary(id).await.outcome;
    let rollback = RollbackResult::Limited;
    let residue = Vec::new();
    assert_eq!(outcome, Some(Outcome::Failed { rollback, residue }));
}

#[tokio::test(start_paused = true)]
async fn nobody_goes_back_to_what_was_rolled_back_and_a_person_is_asked() {
    let scene = bad_after(&[1]).await;
    scene.runner.fails("after-us", 1, Class::Application);
    let id = deploy(&scene, 2).await;
    let summary = scene.summary(&id).await;
    assert_eq!(summary.phase, Phase::NeedsOperator);
    assert_eq!(
        summary.stuck.as_deref(),
        Some(
            "what was there before phase rest (release 1) is quarantined, and no other release was ever good here"
        )
    );
    assert_eq!(serving(&scene), [Some(2); 2], "nothing is moved meanwhile");
    let waits = deploy(&scene, 3).await;
    assert_eq!(scene.summary(&waits).await.phase, Phase::Queued);
    scene.signal(&waits, Ask::Abort).await;
    // Whoever has looked says that it was not its fault.
    scene.lift(1).await;
    scene.signal(&id, Ask::Retry).await;
    scene.work().await;
    ends_limited(&scene, &id).await;
    assert_eq!(serving(&scene), [Some(2), Some(1)]);
}

#[tokio::test(start_paused = true)]
async fn where_what_was_there_was_rolled_back_the_newest_good_one_serves_on_what_the_phase_began() {
    let scene = bad_after(&[1, 2]).await;
    scene.runner.fails("after-us", 1, Class::Application);
    let id = deploy(&scene, 3).await;
    ends_limited(&scene, &id).await;
    assert_eq!(serving(&scene), [Some(3), Some(1)]);
    let plan = last_plan(&scene, &id);
    let elsewhere = plan.phases.iter();
    let elsewhere = elsewhere.filter(|phase| phase.target.as_deref() != Some("us"));
    assert_eq!(elsewhere.count(), 0, "{plan:#?}");
    let remarks = scene.summary(&id).await.remarks;
    let remark = "what was there before phase rest (release 2) is quarantined, so it goes to release 1, the newest good one";
    assert!(remarks.contains(&remark.to_owned()), "{remarks:?}");
}

#[tokio::test(start_paused = true)]
async fn a_phase_that_has_moved_nothing_has_nothing_to_go_back_to() {
    let scene = bad_after(&[1]).await;
    scene.runner.fails("before-us", 1, Class::Application);
    let id = deploy(&scene, 2).await;
    ends_limited(&scene, &id).await;
    assert_eq!(serving(&scene), [Some(2), Some(1)]);
    let log = scene.runner.log();
    assert!(!log.contains(&"un-before-eu".to_owned()), "{log:?}");
}

/// An earlier phase gave the release a share where this one has not come to.
#[tokio::test(start_paused = true)]
async fn what_an_earlier_phase_did_stays_where_this_one_has_begun_nothing() {
    let mut scene = Scene::spread(Strategy::BlueGreen, 2, &PLACES);
    deploy(&scene, 1).await;
    let share = PhaseInput {
        share: Some(200),
        ..part("a share", "us")
    };
    scene.phases = vec![share, part("all", "eu"), part("all", "us")];
    scene.runner.fails("after-eu", 1, Class::Application);
    let id = deploy(&scene, 2).await;
    ends_limited(&scene, &id).await;
    let weights = scene.worlds["us"].weights();
    assert_eq!(weights.get(&scene.record(2).group()), Some(&200));
    let [eu, _] = serving(&scene);
    assert_eq!(eu, Some(1));
}
