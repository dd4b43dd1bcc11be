//! What was done and nobody could look at, or began and nobody saw how it ended, is not the doing of someone else (I10).

use belay_engine::ports::Store;
use belay_model::config::Strategy;
use belay_model::error::Class;
use belay_model::event::{Ask, Event, Outcome, PhaseInput};
use belay_model::id::DeploymentId;
use belay_model::plan::Wave;
use belay_model::summary::Phase;
use belay_testkit::{Kind, Scene};

async fn with_one() -> Scene {
    Scene::new(Strategy::BlueGreen, 2).with_good(1).await
}

/// Resolves when something of a deployment is in its journal.
async fn until(scene: &Scene, id: &DeploymentId, is_it: impl Fn(&Event) -> bool) {
    loop {
        let generation = scene.store.generation();
        let journal = scene.store.journal(id);
        if journal.iter().any(|entry| is_it(&entry.event)) {
            return;
        }
        scene.store.changed(generation).await;
    }
}

/// Nobody can look at the target while the first effect of that wave is done.
async fn blind_while(scene: &Scene, id: &DeploymentId, wave: Wave, meanwhile: Option<Ask>) {
    let is_plan = |event: &Event| matches!(event, Event::Planned { .. });
    until(scene, id, is_plan).await;
    let journal = scene.store.journal(id);
    let plans = journal.iter().filter_map(|entry| match &entry.event {
        Event::Planned { plan, .. } => Some(plan),
        _ => None,
    });
    let is_meant = |step: &belay_model::plan::Step| {
        let effect = step.effect();
        effect.is_some_and(|effect| effect.wave == wave)
    };
    let first = plans.flat_map(|plan| plan.steps()).position(is_meant);
    let index = first.expect("it has one");
    let begins = |event: &Event| matches!(event, Event::Started { step, .. } if usize::from(step.index) == index);
    until(scene, id, begins).await;
    scene.world.lock_out(Class::Connectivity);
    if let Some(ask) = meanwhile {
        scene.signal(id, ask).await;
    }
    let ends = |event: &Event| match event {
        Event::Finished { step, state, .. } => {
            let is_it = usize::from(step.index) == index;
            assert!(!is_it || state.is_none(), "somebody saw it");
            is_it
        }
        _ => false,
    };
    until(scene, id, ends).await;
    scene.world.let_in();
}

async fn stuck(scene: &Scene, id: &DeploymentId) -> Option<String> {
    let summary = scene.summary(id).await;
    summary.stuck.filter(|_| summary.phase != Phase::Ended)
}

#[tokio::test(start_paused = true)]
async fn what_comes_behind_it_goes_on_from_it() {
    for wave in [Wave::Grow, Wave::Switch] {
        let scene = with_one().await;
        let id = scene.deploy(2).await;
        tokio::join!(scene.work(), blind_while(&scene, &id, wave, None));
        assert_eq!(stuck(&scene, &id).await, None, "{wave:?}");
        let outcome = scene.summary(&id).await.outcome;
        assert_eq!(outcome, Some(Outcome::Succeeded), "{wave:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_later_phase_on_its_target_begins() {
    let mut scene = with_one().await;
    let part = |share| PhaseInput {
        share,
        ..PhaseInput::of(&format!("up to {share:?}"), Some("shop/test"))
    };
    scene.phases = vec![part(Some(500)), part(None)];
    let id = scene.deploy(2).await;
    tokio::join!(scene.work(), blind_while(&scene, &id, Wave::Switch, None));
    assert_eq!(stuck(&scene, &id).await, None);
    let outcome = scene.summary(&id).await.outcome;
    assert_eq!(outcome, Some(Outcome::Succeeded));
}

#[tokio::test(start_paused = true)]
async fn a_way_back_does_not_tell_of_someone_else() {
    let scene = with_one().await;
    let id = scene.deploy(2).await;
    let people = async {
        blind_while(&scene, &id, Wave::Grow, Some(Ask::Pause)).await;
        scene.signal(&id, Ask::Abort).await;
    };
    tokio::join!(scene.work(), people);
    assert_eq!(scene.world.groups(), [scene.record(1).group()]);
    let remarks = scene.summary(&id).await.remarks;
    let is_foreign = |line: &&String| line.contains("someone else");
    assert_eq!(remarks.iter().find(is_foreign), None);
}

/// Its platform had accepted it, the worker died, and nothing of it ever got ready.
#[tokio::test(start_paused = true)]
async fn a_hotfix_takes_over_what_failed_unseen() {
    let scene = Scene::of(Kind::Resized, Strategy::Basic, 1);
    scene.world.break_release(scene.record(2).hash());
    let old = scene.deploy(2).await;
    let is_accepted = |event: &Event| matches!(event, Event::Accepted { .. });
    tokio::select! {
        _ = scene.work() => panic!("it ended"),
        () = until(&scene, &old, is_accepted) => {}
    }
    let new = scene.hotfix(3).await.expect("it is taken");
    scene.work().await;
    assert_eq!(scene.summary(&old).await.outcome, Some(Outcome::Stopped));
    assert_eq!(stuck(&scene, &new).await, None);
    let outcome = scene.summary(&new).await.outcome;
    assert_eq!(outcome, Some(Outcome::Succeeded));
}

/// What nobody could see is one thing, and what someone else changed besides another one.
#[tokio::test(start_paused = true)]
async fn a_hotfix_takes_over_what_was_done_unseen_and_asks_about_the_rest() {
    for is_stranger in [false, true] {
        let scene = with_one().await;
        let old = scene.deploy(2).await;
        let people = async {
            blind_while(&scene, &old, Wave::Grow, Some(Ask::Pause)).await;
            if is_stranger {
                let weights = [("stranger".to_owned(), 1000)];
                scene.world.set_weights(weights.into_iter().collect());
            }
            scene.hotfix(3).await.expect("it is taken")
        };
        let (_, new) = tokio::join!(scene.work(), people);
        assert_eq!(scene.summary(&old).await.outcome, Some(Outcome::Stopped));
        let why = stuck(&scene, &new).await.unwrap_or_default();
        assert_eq!(why.contains("route"), is_stranger, "{why}");
        assert!(!why.contains("group/"), "{why}");
    }
}
