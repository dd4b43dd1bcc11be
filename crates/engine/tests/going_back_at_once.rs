//! How soon going back begins: what it costs in syncs and looks, and who is woken for it.

use belay_model::config::Strategy;
use belay_model::event::{Ask, Event};
use belay_model::id::StepId;
use belay_model::plan::Step;
use belay_testkit::Scene;
use std::sync::{Arc, Mutex};

/// A commit is a sync, and the users wait for it.
#[tokio::test(start_paused = true)]
async fn the_way_back_and_its_first_step_are_durable_together() {
    let mut scene = Scene::new(Strategy::BlueGreen, 2);
    scene.deploy(1).await;
    scene.work().await;
    scene.bake_ms = 60_000;
    let id = scene.deploy(2).await;
    scene.work_for(5_000).await;
    let commits: Arc<Mutex<Vec<Vec<Event>>>> = Arc::default();
    let seen = commits.clone();
    scene.store.watched_by(move |_, entries| {
        let events = entries.iter().map(|entry| entry.event.clone());
        seen.lock().expect("no panic").push(events.collect());
    });
    scene.signal(&id, Ask::Abort).await;
    scene.work().await;

    let commits = commits.lock().expect("no panic");
    let planned = |event: &Event| matches!(event, Event::RollbackPlanned { .. });
    let begins = |event: &Event| {
        matches!(
            event,
            Event::Started {
                step: StepId { plan: 1, .. },
                ..
            }
        )
    };
    let of =
        |what: &dyn Fn(&Event) -> bool| commits.iter().position(|commit| commit.iter().any(what));
    assert!(of(&planned).is_some());
    assert_eq!(of(&planned), of(&begins), "{commits:#?}");
}

/// What was seen when a step ended, or when the way was planned, is not looked at again for the next step at once.
#[tokio::test(start_paused = true)]
async fn nothing_is_looked_at_twice() {
    let scene = Scene::new(Strategy::BlueGreen, 2).with_good(1).await;
    scene.deploy_and_work(2).await;
    let before = scene.world.looks();
    let id = scene.go_back(None).await;
    scene.work().await;
    let looks = scene.world.looks() - before;
    let is_effect = |step: &&Step| step.effect().is_some();
    let effects = scene.last_plan(&id).steps().filter(is_effect).count();
    assert!(effects > 1, "{effects}");
    // One for the plan, one after each, one that confirms it.
    assert_eq!(looks, effects + 2);
}
