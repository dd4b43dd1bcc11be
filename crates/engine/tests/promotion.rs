//! A release that goes out because it is good elsewhere: it has to be so still when its turn comes.

use belay_model::config::Strategy;
use belay_model::environment::{Event as Said, Standing};
use belay_model::event::{Event, Outcome, RollbackResult};
use belay_model::id::{EnvironmentName, Scope};
use belay_model::promotion::Promotion;
use belay_model::release::Record;
use belay_testkit::Scene;

/// Release 2, good in staging, waits behind release 1.
async fn waiting() -> (Scene, Scope, Record) {
    let mut scene = Scene::new(Strategy::BlueGreen, 2);
    scene.deploy(1).await;
    scene.work().await;
    let staging = Scope {
        environment: EnvironmentName::new("staging"),
        ..scene.scope()
    };
    let record = Record {
        scope: staging.clone(),
        ..scene.record(2)
    };
    let recorded = Said::Recorded {
        record: Box::new(record.clone()),
    };
    scene.say(&staging, recorded).await;
    stands(&scene, &staging, &record, Standing::Good).await;
    scene.promotion = Some(Promotion {
        from: staging.environment.clone(),
        record: record.hash(),
    });
    (scene, staging, record)
}

async fn stands(scene: &Scene, staging: &Scope, record: &Record, standing: Standing) {
    let stands = Said::Stands {
        record: record.hash(),
        standing,
        deployment: None,
        actor: Some("ada".to_owned()),
        reason: Some("the basket is empty".to_owned()),
    };
    scene.say(staging, stands).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_rolled_back_there_meanwhile_does_not_go_out() {
    for (standing, why) in [
        (
            Standing::Quarantined,
            "it was quarantined in staging: the basket is empty",
        ),
        (Standing::Candidate, "it is not good in staging any more"),
    ] {
        let (scene, staging, record) = waiting().await;
        let id = scene.deploy(2).await;
        stands(&scene, &staging, &record, standing).await;
        scene.work().await;
        let failed = Outcome::Failed {
            rollback: RollbackResult::None,
            residue: vec![why.to_owned()],
        };
        assert_eq!(scene.summary(&id).await.outcome, Some(failed));
        assert_eq!(scene.serving(), Some(scene.record(1).group()));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_good_there_still_goes_out_and_may_fail_there_afterwards() {
    let (scene, staging, record) = waiting().await;
    let id = scene.deploy(2).await;
    stands(&scene, &staging, &record, Standing::Baked).await;
    scene.work().await;
    assert_eq!(scene.summary(&id).await.outcome, Some(Outcome::Succeeded));
    // What it is here is known by then.
    stands(&scene, &staging, &record, Standing::Quarantined).await;
    assert_eq!(scene.serving(), Some(scene.record(2).group()));
    let back = scene.go_back(None).await;
    scene.work().await;
    assert_eq!(scene.summary(&back).await.outcome, Some(Outcome::Succeeded));
}

/// Wherever the worker is that makes the plan: until it is written down, what is said there counts.
#[tokio::test(start_paused = true)]
async fn what_is_rolled_back_there_while_a_worker_looks_does_not_go_out() {
    for point in 0.. {
        let (scene, staging, record) = waiting().await;
        let id = scene.deploy(2).await;
        let meanwhile = async {
            stands(&scene, &staging, &record, Standing::Quarantined).await;
            let is_planned = |event: &Event| matches!(event, Event::Planned { .. });
            scene.store.any_event(&id, is_planned)
        };
        let held = scene.work_and_hold(point, meanwhile).await;
        let (was_planned, _) = held.expect("a plan is made");
        let outcome = scene.summary(&id).await.outcome;
        if was_planned {
            assert_eq!(outcome, Some(Outcome::Succeeded));
            assert!(point > 1, "it was withdrawn before");
            break;
        }
        let withdrawn = Outcome::Failed {
            rollback: RollbackResult::None,
            residue: vec!["it was quarantined in staging: the basket is empty".to_owned()],
        };
        assert_eq!(outcome, Some(withdrawn), "at point {point}");
    }
}
