//! In which order phases go out and back, and that a kill changes nothing of it.

use crate::{PLACES, three_phases, with_one};
use belay_model::error::Class;
use belay_model::event::{Ask, Event, Outcome, PhaseInput, RollbackResult};
use belay_model::plan::{Action, Look, OnUnknown, Step};
use belay_model::summary::Phase;
use belay_model::verdict::Outcome as Said;
use belay_testkit::check_journal;
use belay_testkit::parts::{failed, phase};

#[tokio::test(start_paused = true)]
async fn phases_run_in_order_with_their_steps() {
    let scene = with_one(three_phases).await;
    let id = scene.deploy_and_work(2).await;
    assert_eq!(scene.summary(&id).await.outcome, Some(Outcome::Succeeded));
    assert_eq!(scene.serving_on(PLACES), [Some(2); 2]);
    let ran = ["network", "before-eu", "after-eu", "before-us", "after-us"];
    assert_eq!(scene.runner.log(), ran);
}

#[tokio::test(start_paused = true)]
async fn what_started_is_taken_back_in_reverse() {
    let scene = with_one(three_phases).await;
    scene.runner.fails("after-us", 9, Class::Application);
    let id = scene.deploy_and_work(2).await;
    let outcome = scene.summary(&id).await.outcome;
    assert_eq!(outcome, failed(RollbackResult::Complete));
    assert_eq!(scene.serving_on(PLACES), [Some(1); 2]);
    let back = [
        "un-after-us",
        "un-before-us",
        "un-after-eu",
        "un-before-eu",
        "un-network",
    ];
    assert_eq!(scene.runner.log()[4..], back);
    let moved = |place: &str| {
        let log = scene.worlds[place].log();
        log.iter()
            .filter(|line| line.starts_with("weights"))
            .count()
    };
    assert_eq!((moved("eu"), moved("us")), (3, 3), "one move back each");
}

#[tokio::test(start_paused = true)]
async fn what_never_started_is_not_taken_back() {
    let scene = with_one(three_phases).await;
    scene.runner.fails("after-eu", 9, Class::Application);
    let id = scene.deploy_and_work(2).await;
    let outcome = scene.summary(&id).await.outcome;
    assert_eq!(outcome, failed(RollbackResult::Complete));
    let back = ["un-after-eu", "un-before-eu", "un-network"];
    assert_eq!(scene.runner.log()[2..], back);
    assert!(
        !scene.worlds["us"]
            .log()
            .iter()
            .any(|line| line.contains("r2-"))
    );
}

#[tokio::test(start_paused = true)]
async fn phases_on_one_target_go_back_in_one_move() {
    let scene = with_one(|scene| {
        let share = |share| PhaseInput {
            share,
            ..phase("eu", Some("eu"), vec![], vec![])
        };
        let us = phase("us", Some("us"), vec![], vec![]);
        scene.phases = vec![share(Some(250)), share(Some(500)), share(None), us];
    })
    .await;
    scene.script.say(2, Look::Bake, Said::Fail);
    let id = scene.deploy_and_work(2).await;
    let outcome = scene.summary(&id).await.outcome;
    assert_eq!(outcome, failed(RollbackResult::Complete));
    let log = scene.worlds["eu"].log();
    let moves: Vec<_> = log
        .iter()
        .filter(|line| line.starts_with("weights"))
        .collect();
    assert_eq!(moves.len(), 5, "one, three forward, one back: {moves:#?}");
    let journal = scene.store.journal(&id);
    let again = journal.iter().filter(|entry| {
        matches!(
            &entry.event,
            Event::Started {
                before: Some(_),
                ..
            }
        )
    });
    assert_eq!(
        again.count(),
        3,
        "every later phase captures its target anew"
    );
}

#[tokio::test(start_paused = true)]
async fn what_someone_else_changed_before_a_phase_is_theirs_to_judge() {
    let scene = with_one(|scene| {
        three_phases(scene);
        scene.phases[2].before = vec![Step::of(Action::Wait { ms: 60_000 })];
    })
    .await;
    let id = scene.deploy(2).await;
    let stranger = async {
        scene.until(&id, Phase::Waiting).await;
        scene.worlds["us"].set_weights([("stranger".to_owned(), 1000)].into());
    };
    tokio::join!(stranger, scene.work());
    let summary = scene.summary(&id).await;
    assert_eq!(summary.phase, Phase::NeedsOperator, "{summary:#?}");
    let why = summary.stuck.expect("why");
    assert!(why.contains("changed us"), "{why}");
    scene.signal(&id, Ask::Retry).await;
    scene.work().await;
    assert_eq!(scene.serving_on(PLACES), [Some(2); 2]);
}

#[tokio::test(start_paused = true)]
async fn a_kill_anywhere_is_taken_up_in_every_phase() {
    let make = async || {
        let scene = with_one(|scene| {
            three_phases(scene);
            for phase in &mut scene.phases {
                for step in phase.before.iter_mut().chain(&mut phase.after) {
                    if let Action::Run(run) = &mut step.action {
                        run.on_unknown = OnUnknown::Retry;
                    }
                }
            }
        })
        .await;
        scene.script.say(2, Look::Bake, Said::Fail);
        scene
    };
    let scene = make().await;
    scene.deploy(2).await;
    scene.crashes.kill_at(usize::MAX);
    scene.work().await;
    let points = scene.crashes.seen().len();
    assert!(points > 100, "only {points} points");
    for point in 0..points {
        let scene = make().await;
        let id = scene.deploy(2).await;
        scene.crashes.kill_at(point);
        scene.work().await;
        let summary = scene.summary(&id).await;
        assert_eq!(
            summary.outcome,
            failed(RollbackResult::Complete),
            "killed at {point}"
        );
        assert_eq!(scene.serving_on(PLACES), [Some(1); 2], "killed at {point}");
        check_journal(&scene.store.journal(&id));
    }
}
