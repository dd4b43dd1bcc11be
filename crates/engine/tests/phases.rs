//! Phases, steps of the user's own, approvals and rules for failures.

use belay_model::config::Strategy;
use belay_model::environment::Standing;
use belay_model::error::Class;
use belay_model::event::{Ask, Event, Finish, Outcome, PhaseInput, RollbackResult};
use belay_model::plan::{Action, Approval, Look, OnUnknown, Run, Step};
use belay_model::policy::{Act, Rule};
use belay_model::summary::Phase;
use belay_model::verdict::Outcome as Said;
use belay_testkit::parts::{check_at, command, failed, phase, run};
use belay_testkit::{Fault, Scene, check_journal};

const PLACES: [&str; 2] = ["eu", "us"];

fn rule(on: &[Class], act: Act) -> Vec<Rule> {
    vec![Rule {
        on: on.to_vec(),
        act,
    }]
}

fn anyone(count: u16) -> Approval {
    Approval {
        title: "go on".to_owned(),
        by: Vec::new(),
        count,
        within_ms: Some(60_000),
    }
}

/// Release 1 serves everywhere; then the scene is as `then` makes it.
async fn with_one(then: impl FnOnce(&mut Scene)) -> Scene {
    let mut scene = Scene::spread(Strategy::BlueGreen, 2, &PLACES)
        .with_good(1)
        .await;
    then(&mut scene);
    scene
}

fn three_phases(scene: &mut Scene) {
    scene.phases = vec![
        phase("network", None, vec![run("network")], vec![]),
        phase(
            "eu",
            Some("eu"),
            vec![run("before-eu")],
            vec![run("after-eu")],
        ),
        phase(
            "us",
            Some("us"),
            vec![run("before-us")],
            vec![run("after-us")],
        ),
    ];
}

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
async fn this_phase_only_ends_the_deployment_and_says_that_it_was_policy() {
    let scene = with_one(|scene| {
        three_phases(scene);
        scene.phases[2].on_failure = rule(&[Class::Application], Act::RollBackPhase);
    })
    .await;
    scene.runner.fails("after-us", 1, Class::Application);
    let id = scene.deploy_and_work(2).await;
    let outcome = scene.summary(&id).await.outcome;
    assert_eq!(outcome, failed(RollbackResult::Limited));
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

#[tokio::test(start_paused = true)]
async fn an_approval_is_waited_for_and_counted() {
    let scene = with_one(|scene| {
        scene.approve = Some(Approval {
            by: vec!["ada".to_owned(), "bob@here".to_owned()],
            ..anyone(2)
        });
    })
    .await;
    let id = scene.deploy(2).await;
    let people = async {
        scene.until(&id, Phase::Waiting).await;
        for who in ["eve", "ada@laptop", "ada@laptop", "bob@there"] {
            scene.signal_of(who, &id, Ask::Approve).await;
        }
        assert_eq!(scene.serving_on(PLACES), [Some(1); 2], "one yes of two");
        scene.signal_of("bob@here", &id, Ask::Approve).await;
    };
    // Once is enough for all targets.
    tokio::join!(people, scene.work_for(600_000));
    assert_eq!(scene.summary(&id).await.outcome, Some(Outcome::Succeeded));
    assert_eq!(scene.serving_on(PLACES), [Some(2); 2]);
}

/// Side by side: each says one yes of two while both ask, and a question of a phase's own is another one.
#[tokio::test(start_paused = true)]
async fn an_approval_is_asked_for_once_and_one_of_a_phase_by_itself() {
    let scene = with_one(|scene| {
        scene.parallel = 2;
        scene.approve = Some(anyone(2));
        let own = Approval {
            title: "is us well?".to_owned(),
            ..anyone(1)
        };
        let own = vec![Step::of(Action::Approve(own))];
        let us = phase("us", Some("us"), vec![], own);
        scene.phases = vec![phase("eu", Some("eu"), vec![], vec![]), us];
    })
    .await;
    let id = scene.deploy(2).await;
    let people = async {
        scene.until(&id, Phase::Waiting).await;
        for who in ["ada", "ada", "bob"] {
            assert_eq!(scene.serving_on(PLACES), [Some(1); 2], "before {who}");
            scene.signal_of(who, &id, Ask::Approve).await;
        }
        scene.until_asked(&id, "us").await;
        let us = async {
            while scene.serving_on(PLACES) != [Some(2); 2] {
                scene.pass(100).await
            }
        };
        us.await;
        assert_eq!(scene.summary(&id).await.phase, Phase::Waiting, "us asks");
        scene.signal_of("ada", &id, Ask::Approve).await;
    };
    tokio::join!(people, scene.work_for(600_000));
    assert_eq!(scene.summary(&id).await.outcome, Some(Outcome::Succeeded));
}

#[tokio::test(start_paused = true)]
async fn a_no_rolls_back_and_so_does_nobody() {
    for reject in [true, false] {
        let scene = with_one(|scene| scene.approve = Some(anyone(1))).await;
        let id = scene.deploy(2).await;
        let people = async {
            scene.until(&id, Phase::Waiting).await;
            if reject {
                scene.signal(&id, Ask::Reject).await;
            }
        };
        tokio::join!(people, scene.work());
        let summary = scene.summary(&id).await;
        assert_eq!(summary.outcome, failed(RollbackResult::Complete));
        let why = summary.cause.expect("why");
        let said = if reject {
            "rejected: because"
        } else {
            "0 of 1 said yes"
        };
        assert!(why.contains(said), "{why}");
        assert_eq!(scene.serving_on(PLACES), [Some(1); 2]);
        let standing = scene.view().records[&scene.record(2).hash()].standing;
        let blamed = if reject {
            Standing::Quarantined
        } else {
            Standing::Candidate
        };
        assert_eq!(standing, blamed);
    }
}

#[tokio::test(start_paused = true)]
async fn paused_means_that_no_step_begins() {
    let scene = with_one(three_phases).await;
    scene.runner.fails("network", 1, Class::Connectivity);
    let id = scene.deploy(2).await;
    scene.signal(&id, Ask::Pause).await;
    scene.work_for(3_600_000).await;
    assert_eq!(scene.runner.log().len(), 0);
    assert_eq!(scene.summary(&id).await.phase, Phase::Paused);
    scene.signal(&id, Ask::Resume).await;
    scene.work().await;
    assert_eq!(scene.serving_on(PLACES), [Some(2); 2]);
}

#[tokio::test(start_paused = true)]
async fn stopped_is_left_as_it_is() {
    let scene = with_one(|scene| {
        three_phases(scene);
        scene.phases[2].before = vec![Step::of(Action::Wait { ms: 60_000 })];
    })
    .await;
    let id = scene.deploy(2).await;
    let people = async {
        scene.until(&id, Phase::Waiting).await;
        scene.signal(&id, Ask::Stop).await;
    };
    tokio::join!(people, scene.work());
    assert_eq!(scene.summary(&id).await.outcome, Some(Outcome::Stopped));
    assert_eq!(scene.serving_on(PLACES), [Some(2), Some(1)]);
}

#[tokio::test(start_paused = true)]
async fn a_wait_passes_or_is_cut_short() {
    for advance in [false, true] {
        let scene = with_one(|scene| {
            scene.phases = vec![
                phase(
                    "wait",
                    None,
                    vec![Step::of(Action::Wait { ms: 3_600_000 })],
                    vec![],
                ),
                phase("eu", Some("eu"), vec![], vec![]),
                phase("us", Some("us"), vec![], vec![]),
            ];
        })
        .await;
        let id = scene.deploy(2).await;
        let people = async {
            scene.until(&id, Phase::Waiting).await;
            if advance {
                scene.signal(&id, Ask::Advance).await;
            }
        };
        tokio::join!(people, scene.work());
        let summary = scene.summary(&id).await;
        let took = summary.ended_us.expect("it ended") - summary.created_us;
        assert_eq!(took < 60_000_000, advance, "{took}");
    }
}

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
