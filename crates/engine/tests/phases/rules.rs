//! What is done when a step fails.

use crate::{rule, three_phases, with_one};
use belay_model::environment::Standing;
use belay_model::error::Class;
use belay_model::event::{Ask, Event, Finish, Outcome, RollbackResult};
use belay_model::plan::Look;
use belay_model::policy::Act;
use belay_model::summary::Phase;
use belay_model::verdict::Outcome as Said;
use belay_testkit::parts::{check_at, failed};

#[tokio::test(start_paused = true)]
async fn rules_decide_and_the_inner_ones_first() {
    let retry = Act::Retry {
        times: 3,
        pause_ms: 10,
        factor: 2,
        longest_ms: 1000,
    };
    let ignore = Act::Ignore { as_passed: false };
    let ask = |then| Act::Ask {
        within_ms: Some(1000),
        then: Box::new(then),
    };
    // What fails so often, the rules of the step, of the phase, of the deployment, and how it ends.
    let check = async |times, [step, phase, all]: [Option<Act>; 3], ends: RollbackResult| {
        let scene = with_one(|scene| {
            three_phases(scene);
            let rules = |act: Option<Act>| act.map_or_else(Vec::new, |act| rule(&[], act));
            scene.phases[1].before[0].on_failure = rules(step);
            scene.phases[1].on_failure = rules(phase);
            scene.on_failure = rules(all);
        })
        .await;
        scene.runner.fails("before-eu", times, Class::Connectivity);
        let id = scene.deploy(2).await;
        scene.work_for(600_000).await;
        let summary = scene.summary(&id).await;
        match summary.outcome {
            Some(Outcome::Succeeded) => assert_eq!(ends, RollbackResult::None),
            Some(Outcome::Failed { rollback, .. }) => assert_eq!(rollback, ends),
            other => panic!("{other:?}"),
        }
    };
    // `None` stands for: it succeeded.
    let (good, back) = (RollbackResult::None, RollbackResult::Complete);
    check(3, [Some(retry.clone()), None, None], good).await;
    check(4, [Some(retry.clone()), None, None], back).await;
    check(4, [Some(retry.clone()), Some(ignore.clone()), None], good).await;
    check(9, [Some(ignore.clone()), Some(Act::RollBack), None], good).await;
    check(9, [Some(Act::RollBack), Some(ignore.clone()), None], back).await;
    check(9, [None, None, Some(ignore.clone())], good).await;
    check(9, [Some(Act::Stop), None, None], RollbackResult::Limited).await;
    check(9, [Some(ask(ignore)), None, None], good).await;
    check(9, [Some(ask(Act::RollBack)), None, None], back).await;
}

#[tokio::test(start_paused = true)]
async fn each_try_comes_later_than_the_one_before_up_to_a_bound() {
    let scene = with_one(|scene| {
        three_phases(scene);
        let retry = Act::Retry {
            times: 4,
            pause_ms: 1000,
            factor: 2,
            longest_ms: 3000,
        };
        scene.on_failure = rule(&[], retry);
    })
    .await;
    scene.runner.fails("before-eu", 4, Class::Connectivity);
    let id = scene.deploy_and_work(2).await;
    assert_eq!(scene.summary(&id).await.outcome, Some(Outcome::Succeeded));
    let journal = scene.store.journal(&id);
    let mut failed_us = None;
    let mut pauses = Vec::new();
    for entry in &journal {
        match &entry.event {
            Event::Finished {
                finish: Finish::Failed(_),
                ..
            } => failed_us = Some(entry.at_us),
            Event::Started { .. } => {
                let pause_us = failed_us.take().map(|at_us| entry.at_us - at_us);
                pauses.extend(pause_us.map(|us| us / 1_000_000));
            }
            _ => {}
        }
    }
    assert_eq!(pauses, [1, 2, 3, 3]);
}

#[tokio::test(start_paused = true)]
async fn people_are_asked_as_long_as_the_rule_says() {
    let scene = with_one(|scene| {
        three_phases(scene);
        scene.on_failure = rule(
            &[],
            Act::Ask {
                within_ms: None,
                then: Box::new(Act::RollBack),
            },
        );
    })
    .await;
    scene.runner.fails("before-eu", 1, Class::Application);
    let id = scene.deploy_and_work(2).await;
    assert_eq!(scene.summary(&id).await.phase, Phase::NeedsOperator);
    scene.signal(&id, Ask::Retry).await;
    scene.work().await;
    assert_eq!(scene.summary(&id).await.outcome, Some(Outcome::Succeeded));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_kept_by_whoever_is_there_when_it_comes() {
    let scene = with_one(|scene| {
        three_phases(scene);
        scene.on_failure = rule(
            &[],
            Act::Ask {
                within_ms: Some(10_000),
                then: Box::new(Act::RollBack),
            },
        );
    })
    .await;
    scene.runner.fails("before-eu", 9, Class::Application);
    let id = scene.deploy(2).await;
    scene.work_for(1000).await;
    let summary = scene.summary(&id).await;
    assert!(summary.stuck.is_some() && summary.outcome.is_none());
    // That worker is gone, and the next one was not there when people were asked.
    scene.work_for(60_000).await;
    let outcome = scene.summary(&id).await.outcome;
    assert_eq!(outcome, failed(RollbackResult::Complete));
}

#[tokio::test(start_paused = true)]
async fn an_ignored_verification_does_not_make_a_release_good() {
    let scene = with_one(|scene| {
        scene.on_failure = rule(&[Class::Verification], Act::Ignore { as_passed: true });
        scene.checks = vec![check_at("live")];
    })
    .await;
    scene.script.say(2, Look::Live, Said::Fail);
    let id = scene.deploy_and_work(2).await;
    assert_eq!(scene.summary(&id).await.outcome, Some(Outcome::Succeeded));
    let view = scene.view();
    let known = view.serving().expect("something serves");
    assert_eq!(known.record.hash(), scene.record(2).hash());
    assert_eq!(
        known.standing,
        Standing::Candidate,
        "it proved nothing (P5)"
    );
}
