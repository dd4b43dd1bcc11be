//! One deployment on several targets: served in their order, promoted when all are, and back together.

use belay_model::config::Strategy;
use belay_model::environment::Standing;
use belay_model::error::Class;
use belay_model::event::{Ask, Entry, Event, Outcome};
use belay_model::id::{DeploymentId, StepId};
use belay_model::plan::{Look, Plan};
use belay_model::summary::Phase;
use belay_model::verdict::Outcome as Said;
use belay_testkit::parts::rolled_back;
use belay_testkit::{Fault, Kind, Scene, check_journal};

const PLACES: [&str; 3] = ["asia", "eu", "us"];

/// Release 1 serves everywhere.
async fn with_one(parallel: u16) -> Scene {
    let mut scene = Scene::spread(Strategy::BlueGreen, 2, &PLACES);
    scene.parallel = parallel;
    let scene = scene.with_good(1).await;
    assert_eq!(scene.serving_on(PLACES), [Some(1); 3]);
    scene
}

/// Beginnings and ends of steps in the order of the journal, as target and whether it began.
fn course(journal: &[Entry], number: u16) -> Vec<(String, bool)> {
    let plans: Vec<&Plan> = journal
        .iter()
        .filter_map(|entry| match &entry.event {
            Event::Planned { plan, .. } | Event::RollbackPlanned { plan, .. } => Some(plan),
            _ => None,
        })
        .collect();
    let target = |step: &StepId| {
        let mut index = usize::from(step.index);
        let plan = plans[usize::from(number)];
        let phase = plan.phases.iter().find(|phase| {
            let is_here = index < phase.steps.len();
            index = index.saturating_sub(if is_here { 0 } else { phase.steps.len() });
            is_here
        });
        phase.expect("a phase").target.clone().expect("a target")
    };
    let line = |entry: &Entry| match &entry.event {
        Event::Started { step, .. } if step.plan == number => Some((target(step), true)),
        Event::Finished { step, .. } | Event::Verified { step, .. } if step.plan == number => {
            Some((target(step), false))
        }
        _ => None,
    };
    journal.iter().filter_map(line).collect()
}

fn order(journal: &[Entry], number: u16) -> Vec<String> {
    let mut order: Vec<String> = Vec::new();
    for (target, begins) in course(journal, number) {
        if begins && order.last() != Some(&target) {
            order.push(target);
        }
    }
    order
}

fn journal_of(scene: &Scene, id: &DeploymentId) -> Vec<Entry> {
    let journal = scene.store.journal(id);
    check_journal(&journal);
    journal
}

#[tokio::test(start_paused = true)]
async fn targets_are_served_in_order_and_good_is_what_is_on_all_of_them() {
    let scene = with_one(1).await;
    let id = scene.deploy(2).await;
    scene.work().await;
    assert_eq!(scene.serving_on(PLACES), [Some(2); 3]);
    let journal = journal_of(&scene, &id);
    // One after the other, and then all of them bake.
    assert_eq!(order(&journal, 0)[..3], PLACES);
    let last = journal
        .iter()
        .rfind(|entry| matches!(&entry.event, Event::Finished { .. }));
    assert_eq!(
        scene.summary(&id).await.promoted_us,
        last.map(|entry| entry.at_us)
    );
    let standing = scene.view().records[&scene.record(2).hash()].standing;
    assert_eq!(standing, Standing::Baked);
}

/// How many targets were open at once.
fn most(course: &[(String, bool)]) -> usize {
    let mut open: Vec<&String> = Vec::new();
    let counts = course.iter().map(|(target, begins)| {
        open.retain(|other| *other != target);
        open.extend(begins.then_some(target));
        open.len()
    });
    counts.max().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn as_many_side_by_side_as_the_plan_allows() {
    for (parallel, together) in [(1, 1), (2, 2), (9, 3)] {
        let scene = with_one(parallel).await;
        let id = scene.deploy(2).await;
        scene.work().await;
        let journal = journal_of(&scene, &id);
        let is_move = |entry: &Entry| matches!(entry.event, Event::Finished { .. });
        let moves = journal.iter().rposition(is_move).expect("moves");
        let (all, count) = (course(&journal, 0), course(&journal[..=moves], 0).len());
        let (moves, bakes) = all.split_at(count);
        assert_eq!(most(moves), together, "with {parallel} side by side");
        assert_eq!(
            most(bakes),
            3,
            "a bake only watches, and takes nobody's turn"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_fails_on_one_goes_back_on_all_that_were_touched_in_reverse() {
    let scene = with_one(1).await;
    scene.worlds["eu"].faults([None, Some(Fault::Refused(Class::Application))]);
    let id = scene.deploy(2).await;
    scene.work().await;
    assert_eq!(scene.summary(&id).await.outcome, rolled_back());
    assert_eq!(scene.serving_on(PLACES), [Some(1); 3]);
    let journal = journal_of(&scene, &id);
    assert_eq!(order(&journal, 1), ["eu", "asia"], "us was never touched");
    assert_eq!(scene.worlds["us"].groups(), [scene.record(1).group()]);
    let standing = scene.view().records[&scene.record(2).hash()].standing;
    assert_eq!(standing, Standing::Quarantined);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_stuck_on_the_way_back_keeps_nobody_else() {
    let scene = with_one(1).await;
    scene.script.say(2, Look::Bake, Said::Fail);
    let id = scene.deploy(2).await;
    // Enough for both ways, and more than a way back tries.
    let refuse = || std::iter::repeat_n(Some(Fault::Refused(Class::Unknown)), 3);
    scene.worlds["us"].faults([None, None].into_iter().chain(refuse()));
    scene.work().await;
    let summary = scene.summary(&id).await;
    assert_eq!(summary.phase, Phase::NeedsOperator, "{summary:#?}");
    assert_eq!(scene.serving_on(PLACES), [Some(1), Some(1), Some(2)]);
    scene.signal(&id, Ask::Retry).await;
    scene.work().await;
    assert_eq!(scene.summary(&id).await.outcome, rolled_back());
    assert_eq!(scene.serving_on(PLACES), [Some(1); 3]);
}

#[tokio::test(start_paused = true)]
async fn a_kill_anywhere_is_taken_up_on_every_target() {
    let points = {
        let scene = with_one(3).await;
        scene.script.say(2, Look::Bake, Said::Fail);
        scene.deploy(2).await;
        scene.crashes.kill_at(usize::MAX);
        scene.work().await;
        scene.crashes.seen().len()
    };
    assert!(points > 60, "only {points} points");
    for point in 0..points {
        let scene = with_one(3).await;
        scene.script.say(2, Look::Bake, Said::Fail);
        let id = scene.deploy(2).await;
        scene.crashes.kill_at(point);
        scene.work().await;
        let summary = scene.summary(&id).await;
        assert_eq!(summary.outcome, rolled_back(), "killed at {point}");
        assert_eq!(scene.serving_on(PLACES), [Some(1); 3], "killed at {point}");
        journal_of(&scene, &id);
    }
}

/// Targets need not be of one kind: each goes its own way there, and back.
#[tokio::test(start_paused = true)]
async fn targets_of_every_kind_go_there_and_back_together() {
    let names = ["a", "b", "c", "d", "e", "f"];
    let targets: Vec<_> = names.into_iter().zip(Kind::ALL).collect();
    let mut scene = Scene::across(Strategy::Basic, 2, &targets);
    scene.parallel = 3;
    for (release, said, serves) in [(1, Said::Pass, 1), (2, Said::Fail, 1), (3, Said::Pass, 3)] {
        scene.script.say(release, Look::Bake, said);
        let id = scene.deploy(release).await;
        scene.work().await;
        check_journal(&scene.store.journal(&id));
        let expected = match said {
            Said::Pass => Some(Outcome::Succeeded),
            _ => rolled_back(),
        };
        assert_eq!(scene.summary(&id).await.outcome, expected);
        let group = scene.record(serves).group();
        for (name, kind) in &targets {
            let world = &scene.worlds[*name];
            let breaches = world.breaches();
            assert!(breaches.is_empty(), "{kind:?}: {breaches:#?}");
            assert!(world.is_quiet(), "{kind:?}");
            // What stands in the other place of a swap has no traffic.
            if *kind == Kind::Swap {
                assert_eq!(world.weights(), [(group.clone(), 1000)].into());
            } else {
                assert_eq!(world.groups(), std::slice::from_ref(&group), "{kind:?}");
            }
        }
    }
}
