//! Random plans, verdicts, passing faults, kills and double workers over simulated worlds of every kind. Whatever happens, what was
//! asked for is there and verified, or what was there before is there again; kills and passing faults alone never need
//! a person. `make sim` runs many seeds; a failure prints its seed, and `make sim SEED=n` repeats it.

use belay_engine::ports::StoreError;
use belay_engine::worker::Worker;
use belay_model::config::{CanaryStep, Check, Duration, Percent, Strategy};
use belay_model::error::Class;
use belay_model::event::{Ask, Entry, Event, Outcome};
use belay_model::id::DeploymentId;
use belay_model::plan::Look;
use belay_model::summary::Summary;
use belay_model::verdict::Outcome as Said;
use belay_testkit::{Before, Fault, Kind, Scene, judge};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use std::panic::AssertUnwindSafe;
use tokio::task::JoinSet;

/// Seeds of a plain `cargo test`.
const FEW: u64 = 60;
/// Releases there are.
const RELEASES: u32 = 5;
/// By then everything is at rest; no time of ours, the clock is the test's.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(2 * 3600);
/// Kills in a row before a worker is left in peace.
const KILLS: u32 = 4;

#[test]
fn whatever_happens_the_world_is_as_asked_for_or_as_before() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let one: Option<u64> = number("SIM_SEED");
    let many = number("SIM_SEEDS").unwrap_or(FEW);
    let seeds = one.map_or(0..many, |seed| seed..seed + 1);
    println!("{} seed(s) from {}", seeds.end - seeds.start, seeds.start);
    for seed in seeds {
        if many > FEW && seed % 100 == 0 {
            println!("seed {seed}");
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build();
        let story = AssertUnwindSafe(|| runtime.expect("a runtime").block_on(story(seed)));
        if let Err(panic) = std::panic::catch_unwind(story) {
            println!("seed {seed} failed; again: make sim SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

async fn story(seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    // In turn, so that few seeds meet each kind as often as any other.
    let kind = Kind::ALL[usize::try_from(seed % 6).expect("small")];
    let mut scene = Scene::of(kind, strategy(&mut rng, kind), rng.random_range(1..=5));
    scene.bake_ms = [0, 1000, 30_000][rng.random_range(0..3)];
    scene.checks = [At::Staged, At::Live].map(check).into();
    if !can_stage(kind) {
        scene.checks.remove(0);
    }
    for release in 1..=RELEASES {
        if rng.random_bool(0.4) {
            let look = [Look::Staged, Look::Live, Look::Bake];
            let said = [Said::Fail, Said::Inconclusive];
            let (look, said) = (look.choose(&mut rng), said.choose(&mut rng));
            scene
                .script
                .say(release, *look.expect("some"), *said.expect("some"));
        }
    }
    // One in some stories never becomes ready at all.
    if rng.random_bool(0.3) {
        let broken = scene.record(rng.random_range(1..=RELEASES));
        scene.world.break_release(broken.hash());
    }
    for _ in 0..rng.random_range(3..8) {
        act(&mut rng, &scene).await;
    }
}

enum At {
    Staged,
    Live,
}

fn check(at: At) -> Check {
    let at = match at {
        At::Staged => "staged",
        At::Live => "live",
    };
    serde_json::from_value(serde_json::json!({ "http": "/", "at": at })).expect("a check")
}

/// Whether a release can stand beside the one that serves.
fn can_stage(kind: Kind) -> bool {
    !matches!(kind, Kind::InPlace | Kind::Resized)
}

/// One of those that a kind of platform can do.
fn strategy(rng: &mut StdRng, kind: Kind) -> Strategy {
    let possible: &[u32] = match kind {
        Kind::SideBySide => &[0, 1, 2, 3],
        Kind::Swap | Kind::Revisions => &[0, 2, 3],
        Kind::Workers | Kind::InPlace => &[0, 1],
        Kind::Resized => &[0, 1, 3],
    };
    match possible[rng.random_range(0..possible.len())] {
        0 => Strategy::Basic,
        1 => Strategy::Rolling,
        2 => Strategy::BlueGreen,
        _ => {
            let mut shares: Vec<u32> = (0..rng.random_range(1..4))
                .map(|_| rng.random_range(1..100))
                .collect();
            shares.sort_unstable();
            shares.dedup();
            let step = |share| CanaryStep {
                to: Percent::from_percent(share),
                hold: Some(Duration::from_secs(5)),
            };
            Strategy::Canary(shares.into_iter().map(step).collect())
        }
    }
}

/// One request, what happens to it, and what must hold then.
async fn act(rng: &mut StdRng, scene: &Scene) {
    let before = Before::of(scene);
    let id = request(rng, scene).await;
    let faults: Vec<_> = (0..rng.random_range(0..6)).map(|_| fault(rng)).collect();
    scene.world.faults(faults);
    if rng.random_bool(0.2) {
        // Someone changes their mind before or while it runs.
        scene.signal(&id, Ask::Abort).await;
    }
    let working = tokio::time::timeout(LONGEST, work(rng, scene)).await;

    let summary = scene.summary(&id).await;
    let state = told(scene, &summary);
    assert!(working.is_ok(), "it comes to no rest: {state}");
    // That it ended is part of it: kills and passing faults never need a person.
    let wrong = judge(scene, &id, &before).await;
    assert!(wrong.is_empty(), "{}: {state}", wrong.join("\n"));
    if summary.outcome == Some(Outcome::Succeeded) {
        let is_nothing = goal_of(scene, &id).is_none();
        assert!(
            is_nothing || is_verified(scene, &id),
            "nobody verified it: {state}"
        );
    }
}

/// What happened, for whoever looks into a seed.
fn told(scene: &Scene, summary: &Summary) -> String {
    let line = |entry: Entry| match entry.event {
        Event::Created(inputs) => format!("created {:?} of {:?}", inputs.kind, summary.release),
        Event::Planned { plan, .. } | Event::RollbackPlanned { plan, .. } => {
            let titles: Vec<_> = plan.steps().map(belay_model::plan::Step::title).collect();
            format!("planned {titles:?}")
        }
        Event::Finished { step, finish, .. } => format!("finished {step}: {finish:?}"),
        event => format!("{event:?}"),
    };
    let lines: Vec<_> = scene
        .store
        .journal(&summary.id)
        .into_iter()
        .map(line)
        .collect();
    let log = scene.world.log();
    let (lines, log) = (lines.join("\n  "), log.join("\n  "));
    format!(
        "{}\njournal:\n  {lines}\nworld, all of it:\n  {log}\n",
        summary.id
    )
}

async fn request(rng: &mut StdRng, scene: &Scene) -> DeploymentId {
    let back = belay_engine::goal::choose(&scene.view(), None).record;
    if back.is_some() && rng.random_bool(0.3) {
        return scene.go_back(None).await;
    }
    scene.deploy(rng.random_range(1..=RELEASES)).await
}

/// Fewer in a row than a step is tried.
fn fault(rng: &mut StdRng) -> Option<Fault> {
    match rng.random_range(0..10) {
        0 => Some(Fault::Refused(Class::Connectivity)),
        1 => Some(Fault::AnswerLost(Class::Timeout)),
        2 => Some(Fault::Half(Class::Connectivity)),
        3 => Some(Fault::Throttled(500)),
        _ => None,
    }
}

/// Workers come, are killed, and are doubled, until nothing is left to do.
async fn work(rng: &mut StdRng, scene: &Scene) {
    let mut kills = 0;
    let mut started = 0;
    let mut workers: JoinSet<Result<(), StoreError>> = JoinSet::new();
    let mut start = |workers: &mut JoinSet<_>, late: u32| {
        started += 1;
        assert!(started < 200, "workers replace each other for ever");
        let worker = Worker::new(scene.ports(), scene.owner());
        workers.spawn(async move {
            for _ in 0..late {
                tokio::task::yield_now().await;
            }
            worker.run().await.map(|_| ())
        });
    };
    loop {
        let kill = kills < KILLS && rng.random_bool(0.6);
        let at = if kill {
            rng.random_range(0..60)
        } else {
            usize::MAX
        };
        scene.crashes.kill_at(at);
        if workers.is_empty() {
            start(&mut workers, 0);
        }
        if workers.len() < 2 && kills < KILLS && rng.random_bool(0.3) {
            start(&mut workers, rng.random_range(0..100));
        }
        tokio::select! {
            biased;
            () = scene.crashes.killed() => {
                workers.shutdown().await;
                kills += 1;
                scene.crashes.revive();
            }
            () = scene.at_rest() => {
                workers.shutdown().await;
                scene.crashes.kill_at(usize::MAX);
                return;
            }
            Some(done) = workers.join_next() => match done {
                Ok(Ok(()) | Err(StoreError::Fenced(_))) => {}
                Ok(Err(error)) => panic!("a worker gave up: {error}"),
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            },
        }
    }
}

/// The group that the deployment's own plan leads to.
fn goal_of(scene: &Scene, id: &DeploymentId) -> Option<String> {
    let journal = scene.store.journal(id);
    let planned = journal.into_iter().find_map(|entry| match entry.event {
        Event::Planned { goal, .. } => Some(goal),
        _ => None,
    });
    let goal = planned.expect("it was planned");
    let record = goal.record.as_ref().and_then(|hash| goal.records.get(hash));
    record.map(belay_model::release::Record::group)
}

fn is_verified(scene: &Scene, id: &DeploymentId) -> bool {
    let journal = scene.store.journal(id);
    let passed = |event: &Event| matches!(event, Event::Verified { verdict, .. } if verdict.outcome == Said::Pass);
    journal.iter().any(|entry| passed(&entry.event))
}
