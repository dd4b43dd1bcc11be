//! Clean-ups beside deployments and other workers: what one asked for may still be under way when the next one begins.

use belay_driver::{Context, Driver, Stage};
use belay_engine::worker::Worker;
use belay_model::config::Strategy;
use belay_model::error::Class;
use belay_model::event::{Event, Outcome};
use belay_model::id::DeploymentId;
use belay_model::state::{Goal, States};
use belay_model::summary::Phase;
use belay_testkit::Hints::Prompt;
use belay_testkit::Kind::{SideBySide, Swap};
use belay_testkit::sim::play;
use belay_testkit::sim::story::{Act, Deed, Incident, Order, Place, Story, Trouble, Way, Weather};
use belay_testkit::{Crashes, Fault, Scene};
use std::sync::Arc;

struct Silent;

impl belay_driver::Progress for Silent {
    fn line(&self, _: &str) {}
}

fn claims(scene: &Scene, id: &DeploymentId) -> u64 {
    let journal = scene.store.journal(id).into_iter();
    let epochs = journal.filter_map(|entry| match entry.event {
        Event::Claimed { epoch, .. } => Some(epoch),
        _ => None,
    });
    epochs.max().expect("it was claimed")
}

/// Where in the life of a worker a clean-up's first request is sent.
async fn first_request() -> usize {
    let scene = Scene::new(Strategy::BlueGreen, 2);
    scene.deploy(1).await;
    scene.work().await;
    scene.crashes.kill_at(usize::MAX);
    scene.deploy(2).await;
    scene.work().await;
    let seen = scene.crashes.seen();
    let sent = (0..seen.len()).filter(|at| seen[*at].call == "apply" && seen[*at].place == "sent");
    // A removal is two requests.
    sent.rev().nth(1).expect("a clean-up")
}

/// Who is late comes with the epoch of old, and is refused from the moment on in which a deployment begins: its result is not
/// taken for anything that this one did.
#[tokio::test(start_paused = true)]
async fn i6_a_late_request_of_a_clean_up_of_an_old_epoch_is_refused_once_a_deployment_begins() {
    let scene = Scene::new(Strategy::BlueGreen, 2);
    scene.deploy(1).await;
    scene.work().await;
    let at = first_request().await;
    let second = scene.deploy(2).await;
    scene.crashes.kill_at(at);
    let worker = Worker::new(scene.ports(), scene.owner());
    tokio::select! {
        _ = worker.run() => panic!("it is killed"),
        () = scene.crashes.killed() => {}
    }
    drop(worker);
    scene.crashes.revive();
    let old_epoch = claims(&scene, &second);

    let third = scene.deploy(1).await;
    let planned = async {
        while scene.store.journal(&third).len() < 3 {
            scene.pass(1).await;
        }
    };
    tokio::select! {
        _ = scene.work() => panic!("it ended"),
        () = planned => {}
    }
    assert!(claims(&scene, &third) > old_epoch);
    let (record, target) = (scene.record(1), scene.record(1).targets.remove(0));
    let now = scene.world.state();
    let mut without = now.clone();
    without
        .resources
        .retain(|key, _| !key.contains(&record.group()));
    let goal = Goal {
        want: States::one(&target.name, without),
        records: [].into(),
        title: "without release 1".to_owned(),
        record: None,
    };
    let removal = scene.world.plan(&target, &now, &goal, Stage::BACK);
    let removal = removal.expect("possible").remove(0);
    let late = Context {
        deployment: second.clone(),
        step: None,
        attempt: 1,
        epoch: old_epoch,
        deadline_ms: 1_000,
        material: Arc::default(),
        progress: Arc::new(Silent),
    };
    let refused = scene.world.reached_through(Arc::new(Crashes::default()));
    let refused = refused.apply(&late, &target, &removal, &now).await;
    let refused = refused.expect_err("an epoch of old");
    assert_eq!(refused.class, Class::Conflict, "{refused:?}");
    scene.work().await;
    let ended = scene.summary(&third).await.outcome;
    assert_eq!(ended, Some(Outcome::Succeeded));
    assert_eq!(scene.world.groups(), [record.group()]);
    assert_eq!(scene.world.breaches(), Vec::<String>::new());
}

/// Release 1, release 2, and release 1 again while it is removed.
fn again_while_it_is_removed(seat: usize, at_ms: u64) -> Story {
    let act = |after_ms, release| Act {
        after_ms,
        place: 0,
        deed: Deed::Deploy(Order {
            way: Way::BlueGreen,
            ..Order::plain(release)
        }),
    };
    // The second release grows and is switched to; then the first one is removed, late.
    let faults = vec![(0, 4, Fault::Late(24))];
    Story {
        weather: Weather::Passing,
        places: vec![Place {
            targets: vec![SideBySide],
            instances: 2,
            broken: Vec::new(),
            said: Vec::new(),
            faults,
        }],
        workers: vec![Prompt, Prompt],
        acts: vec![act(0, 1), act(1_000, 2), act(at_ms - 1_000 + 5, 1)],
        // A machine that sleeps, and longer than leases live.
        incidents: vec![Incident {
            worker: seat,
            trouble: Trouble::Stall(at_ms, 2_500),
        }],
        answers: Vec::new(),
    }
}

#[test]
fn two_live_workers_one_cleans_up_while_the_other_begins_a_deployment() {
    let mut taken_over = 0;
    for seat in 0..2 {
        for at_ms in 11_000..11_100 {
            let report = play(&again_while_it_is_removed(seat, at_ms));
            let breaches = &report.breaches;
            assert!(breaches.is_empty(), "{seat} {at_ms}: {breaches:#?}");
            assert_eq!(report.counters.of("ended: succeeded"), 3);
            let journal = &report.journals[2].1;
            let claimed = journal.iter().any(|entry| {
                let other = format!("w{}.0", 1 - seat);
                matches!(&entry.event, Event::Claimed { owner, .. } if *owner == other)
            });
            let log = &report.logs[0].1;
            let is_begun = log.iter().any(|line| line.starts_with("remove r1"));
            // Begun by one, and the deployment begun by the other, who settles it first.
            taken_over += u32::from(claimed && is_begun);
        }
    }
    assert!(taken_over > 5, "only {taken_over}");
}

/// A clock that leaps ahead ends all leases of a worker at once, and nobody wakes who waits: what is claimed in that moment would
/// be over, too, and claimed again, for ever.
#[test]
fn a_clock_that_leaps_ahead_has_a_worker_begin_anew() {
    let place = Place {
        targets: vec![SideBySide],
        instances: 2,
        broken: Vec::new(),
        said: Vec::new(),
        faults: Vec::new(),
    };
    for at_ms in 0..40 {
        let act = |after_ms, place| Act {
            after_ms,
            place,
            deed: Deed::Deploy(Order::plain(1)),
        };
        let story = Story {
            weather: Weather::Cutting,
            places: vec![place.clone(), place.clone()],
            workers: vec![Prompt],
            acts: vec![act(0, 0), act(5, 1)],
            incidents: vec![Incident {
                worker: 0,
                trouble: Trouble::Leap(at_ms, 50_000),
            }],
            answers: Vec::new(),
        };
        let breaches = play(&story).breaches;
        assert!(breaches.is_empty(), "{at_ms}: {breaches:#?}");
    }
}

/// Release 1 was warm, served again for a while, and stands by once that is taken back: its removal is owed again.
#[tokio::test(start_paused = true)]
async fn what_a_rollback_that_is_taken_back_leaves_standing_by_is_removed_in_its_time() {
    let scene = Scene::new(Strategy::BlueGreen, 2);
    scene.deploy(1).await;
    scene.work().await;
    let second = scene.deploy(2).await;
    scene.work_for(5_000).await;
    assert_eq!(scene.outcome(&second).await, Some(Outcome::Succeeded));
    let back = scene.go_back(None).await;
    scene.work().await;
    assert_eq!(scene.outcome(&back).await, Some(Outcome::Succeeded));
    let undo = scene.undo(&back).await;
    scene.work().await;
    assert_eq!(scene.outcome(&undo).await, Some(Outcome::Succeeded));
    assert_eq!(scene.world.groups(), [scene.record(2).group()]);
    let log = scene.world.log();
    let grown = log.iter().filter(|line| line.starts_with("grow r1-"));
    assert_eq!(grown.count(), 1, "it was warm, and stood by: {log:?}");
}

/// Of two places, what has to go stands in the other one: swapped in, it would serve, and what serves be removed.
#[tokio::test(start_paused = true)]
async fn what_is_to_be_removed_is_not_swapped_in_for_what_is_sick() {
    let mut scene = Scene::of(Swap, Strategy::Basic, 2);
    scene.deploy(1).await;
    scene.work().await;
    scene.bake_ms = 5_000;
    let id = scene.deploy(2).await;
    let sickens = async {
        scene.until(&id, Phase::Baking).await;
        // At its last moment, or the bake would see it.
        scene.pass(4_990).await;
        scene.world.sicken(&scene.record(2).group());
    };
    tokio::join!(scene.work(), sickens);
    let outcome = scene.summary(&id).await.outcome;
    assert_eq!(outcome, Some(Outcome::Succeeded));
    let log = scene.world.log();
    let swaps = log.iter().filter(|line| line.starts_with("swap"));
    assert_eq!(swaps.count(), 2, "{log:?}");
    assert_eq!(scene.world.groups(), [scene.record(2).group()], "{log:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_kept_warm_is_removed_when_its_time_is_over() {
    let scene = Scene::new(Strategy::BlueGreen, 4).with_good(1).await;
    scene.deploy(2).await;
    scene.work().await;
    assert_eq!(scene.world.groups(), [scene.record(2).group()]);
    assert!(scene.view().cleanups.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_clean_up_that_was_broken_off_is_finished() {
    let scene = Scene::new(Strategy::BlueGreen, 4).with_good(1).await;
    scene.deploy(2).await;
    // Grow and switch go well; the removal leaves half of the old group.
    scene
        .world
        .faults([None, None, Some(Fault::Half(Class::Connectivity))]);
    scene.work().await;
    assert_eq!(scene.world.groups(), [scene.record(2).group()]);
}
