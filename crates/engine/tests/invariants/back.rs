//! What a way back leads to, and that it can be taken back.

use crate::{journal_of, with_one};
use belay_model::config::{Inconclusive, Strategy};
use belay_model::environment::Standing;
use belay_model::error::Class;
use belay_model::event::{Ask, Event, Outcome};
use belay_model::plan::Look;
use belay_model::summary::Phase;
use belay_model::verdict::Outcome as Said;
use belay_testkit::Fault;
use belay_testkit::parts::{canary, rolled_back};

#[tokio::test(start_paused = true)]
async fn i7_a_rollback_runs_the_record_as_it_was() {
    let scene = with_one(Strategy::BlueGreen).await;
    let id = scene.deploy(2).await;
    scene.work().await;
    assert_eq!(scene.summary(&id).await.outcome, Some(Outcome::Succeeded));
    let back = scene.go_back(None).await;
    scene.work().await;
    let summary = scene.summary(&back).await;
    assert_eq!(summary.outcome, Some(Outcome::Succeeded));
    assert_eq!(scene.serving(), Some(scene.record(1).group()));
    assert_eq!(scene.standing(2), Standing::Quarantined);
    assert!(scene.standing(1).is_good());
}

#[tokio::test(start_paused = true)]
async fn i7_every_way_back_takes_the_newest_seals() {
    let mut scene = with_one(canary([10, 50])).await;
    scene.inconclusive = Inconclusive::Ask;
    scene.script.say(2, Look::Live, Said::Inconclusive);
    let inside = scene.deploy(2).await;
    scene.work().await;
    let newest = scene.reseal(1, "blob_1").await;
    scene.signal(&inside, Ask::Abort).await;
    scene.work().await;
    scene.deploy(3).await;
    scene.work().await;
    let returns = scene.go_back(Some(1)).await;
    // Whoever asked sealed a newer value after the goal was chosen.
    let later = scene.reseal(1, "blob_2").await;
    scene.work().await;
    for (id, expect) in [(inside, newest), (returns, later)] {
        let journal = scene.store.journal(&id);
        let goal = journal
            .into_iter()
            .rev()
            .find_map(|entry| match entry.event {
                Event::RollbackPlanned { goal, .. } => goal,
                Event::Planned { goal, .. } => Some(goal),
                _ => None,
            });
        let goal = goal.expect("planned");
        let record = &goal.records[&scene.record(1).hash()];
        assert_eq!(record.sealed.as_ref(), Some(&expect), "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn i9_a_rollback_can_itself_be_taken_back_and_a_failed_one_triggers_no_other() {
    let scene = with_one(Strategy::BlueGreen).await;
    scene.deploy(2).await;
    scene.work().await;
    let back = scene.go_back(None).await;
    scene.work().await;
    let undone = scene.undo(&back).await;
    scene.work().await;
    assert_eq!(
        scene.summary(&undone).await.outcome,
        Some(Outcome::Succeeded)
    );
    assert_eq!(scene.serving(), Some(scene.record(2).group()));
    // The quarantine is lifted with a reason, in the transaction that has the plan: not before, not later.
    let two = &scene.view().records[&scene.record(2).hash()];
    assert_eq!(
        (two.standing, &two.deployment),
        (Standing::Good, &Some(undone.clone()))
    );
    assert_eq!(
        two.reason.as_deref(),
        Some("test lifted it: dep_3 is taken back")
    );

    scene.script.say(1, Look::Live, Said::Fail);
    let fails = scene.go_back(Some(1)).await;
    scene.work().await;
    let summary = scene.summary(&fails).await;
    assert_eq!(summary.phase, Phase::NeedsOperator);
    let planned = |event: &Event| matches!(event, Event::RollbackPlanned { .. });
    assert!(!journal_of(&scene, &fails).await.iter().any(planned));
}

#[tokio::test(start_paused = true)]
async fn i9_a_rollback_that_is_turned_round_leads_to_what_it_left() {
    let scene = with_one(Strategy::BlueGreen).await;
    for release in [2, 3] {
        scene.deploy(release).await;
        scene.work().await;
    }
    let back = scene.go_back(Some(2)).await;
    // Growing is refused as often as it is tried: it waits for a person, with release 3 quarantined.
    let refused = std::iter::repeat_n(Some(Fault::Refused(Class::Unknown)), 3);
    scene.world.faults(refused);
    scene.work().await;
    assert_eq!(scene.summary(&back).await.phase, Phase::NeedsOperator);
    let three = || scene.view().records[&scene.record(3).hash()].clone();
    assert_eq!(three().standing, Standing::Quarantined);
    scene.signal(&back, Ask::Abort).await;
    scene.work().await;
    assert_eq!(scene.summary(&back).await.outcome, rolled_back());
    assert_eq!(scene.serving(), Some(scene.record(3).group()));
    assert!(three().standing.is_good());
    assert_eq!(three().reason.as_deref(), Some("test lifted it: because"));
}

#[tokio::test(start_paused = true)]
async fn i9_undoing_a_deployment_quarantines_what_it_brought_once_it_is_planned() {
    let scene = with_one(Strategy::BlueGreen).await;
    let id = scene.deploy(2).await;
    scene.work().await;
    let standing = || scene.standing(2);
    let undo = scene.undo(&id).await;
    assert_eq!(standing(), Standing::Baked, "nothing happened yet");
    scene.work().await;
    assert_eq!(scene.summary(&undo).await.outcome, Some(Outcome::Succeeded));
    assert_eq!(scene.serving(), Some(scene.record(1).group()));
    assert_eq!(standing(), Standing::Quarantined);
}
