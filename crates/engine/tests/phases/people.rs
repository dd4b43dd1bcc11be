//! What people say to a deployment with phases, and how long it waits for them.

use crate::{PLACES, three_phases, with_one};
use belay_model::environment::Standing;
use belay_model::error::Class;
use belay_model::event::{Ask, Outcome, RollbackResult};
use belay_model::plan::{Action, Approval, Step};
use belay_model::summary::Phase;
use belay_testkit::parts::{failed, phase};

fn anyone(count: u16) -> Approval {
    Approval {
        title: "go on".to_owned(),
        by: Vec::new(),
        count,
        within_ms: Some(60_000),
    }
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
        let standing = scene.standing(2);
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
