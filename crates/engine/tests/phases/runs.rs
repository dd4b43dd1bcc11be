//! Commands that leave something behind, or that were cut off.

use crate::{three_phases, with_one};
use belay_model::error::Class;
use belay_model::event::{Outcome, RollbackResult};
use belay_model::plan::{Action, OnUnknown, Run, Step};
use belay_model::summary::Phase;
use belay_testkit::Fault;
use belay_testkit::parts::{command, phase};

#[tokio::test(start_paused = true)]
async fn what_cannot_be_taken_back_is_named_at_the_end() {
    let scene = with_one(|scene| {
        three_phases(scene);
        if let Action::Run(run) = &mut scene.phases[0].before[0].action {
            run.back = None;
            run.residue = Some("the network stays".to_owned());
        }
    })
    .await;
    scene.worlds["eu"].faults([Some(Fault::Refused(Class::Application))]);
    let id = scene.deploy_and_work(2).await;
    let Some(Outcome::Failed { rollback, residue }) = scene.summary(&id).await.outcome else {
        panic!("it failed");
    };
    assert_eq!(rollback, RollbackResult::Complete);
    assert_eq!(residue, ["the network stays"]);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_was_cut_off_is_run_again_only_where_that_is_said() {
    for (on_unknown, runs) in [
        (OnUnknown::Retry, Some(2)),
        (OnUnknown::RollBack, Some(1)),
        (OnUnknown::Ask, None),
    ] {
        let make = async || {
            with_one(|scene| {
                let once = Step::of(Action::Run(Run {
                    on_unknown,
                    ..command("once")
                }));
                scene.phases = vec![
                    phase("one", None, vec![once], vec![]),
                    phase("eu", Some("eu"), vec![], vec![]),
                    phase("us", Some("us"), vec![], vec![]),
                ];
            })
            .await
        };
        let scene = make().await;
        scene.deploy(2).await;
        scene.crashes.kill_at(usize::MAX);
        scene.work().await;
        let seen = scene.crashes.seen();
        let point = seen
            .iter()
            .position(|point| point.call == "run" && point.place == "after");

        let scene = make().await;
        let id = scene.deploy(2).await;
        scene.crashes.kill_at(point.expect("it is run"));
        scene.work().await;
        let log = scene.runner.log();
        let ran = log.iter().filter(|line| *line == "once").count();
        let summary = scene.summary(&id).await;
        match runs {
            None => assert_eq!(summary.phase, Phase::NeedsOperator),
            Some(runs) => assert_eq!((summary.phase, ran), (Phase::Ended, runs)),
        }
        if on_unknown == OnUnknown::RollBack {
            assert_eq!(log.last().map(String::as_str), Some("un-once"));
        }
    }
}
