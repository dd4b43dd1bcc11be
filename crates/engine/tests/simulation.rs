//! Random plans, verdicts, passing faults, kills and double workers over the simulated world. Whatever happens, what was
//! asked for is there and verified, or what was there before is there again; kills and passing faults alone never need
//! a person. `make sim` runs many seeds; a failure prints its seed, and `make sim SEED=n` repeats it.

use belay_engine::ports::StoreError;
use belay_engine::worker::Worker;
use belay_model::config::{CanaryStep, Check, Duration, Percent, Strategy};
use belay_model::error::Class;
use belay_model::event::{Ask, Entry, Event, Outcome, RollbackResult};
use belay_model::id::DeploymentId;
use belay_model::plan::Look;
use belay_model::summary::{Phase, Summary};
use belay_model::verdict::Outcome as Said;
use belay_testkit::{Fault, Scene, check_journal};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use std::panic::AssertUnwindSafe;
use tokio::task::JoinSet;

/// Seeds of a plain `cargo test`.
const FEW: u64 = 60;
/// Releases there are.
const RELEASES: u32 = 5;
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
    let (strategy, instances) = (strategy(&mut rng), rng.random_range(1..=5));
    let needs_traffic = matches!(strategy, Strategy::BlueGreen | Strategy::Canary(_));
    // Half of the others are workers.
    let mut scene = if !needs_traffic && seed % 2 == 1 {
        Scene::workers(strategy, instances)
    } else {
        Scene::new(strategy, instances)
    };
    scene.bake_ms = [0, 1000, 30_000][rng.random_range(0..3)];
    scene.checks = [At::Staged, At::Live].map(check).into();
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

fn strategy(rng: &mut StdRng) -> Strategy {
    match rng.random_range(0..4) {
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
    let before = scene.serving();
    let id = request(rng, scene).await;
    let faults: Vec<_> = (0..rng.random_range(0..6)).map(|_| fault(rng)).collect();
    scene.world.faults(faults);
    if rng.random_bool(0.2) {
        // Someone changes their mind before or while it runs.
        scene.signal(&id, Ask::Abort).await;
    }
    work(rng, scene).await;
    check_journal(&scene.store.journal(&id));

    let summary = scene.summary(&id).await;
    let state = told(scene, &summary);
    assert_eq!(
        summary.phase,
        Phase::Ended,
        "kills and passing faults need a person: {state}"
    );
    let serving = scene.serving();
    match summary.outcome.as_ref().expect("it ended") {
        Outcome::Succeeded => {
            let goal = goal_of(scene, &id);
            assert_eq!(serving, goal, "it succeeded and is not there: {state}");
            assert!(
                is_verified(scene, &id) || goal.is_none(),
                "nobody verified it: {state}"
            );
        }
        Outcome::Failed { rollback, residue } => {
            let is_back = matches!(rollback, RollbackResult::Complete | RollbackResult::None);
            assert!(
                is_back && serving == before,
                "from {before:?} to {serving:?}: {state}"
            );
            let by_refusal = *rollback == RollbackResult::None;
            assert!(residue.is_empty() || by_refusal, "{state}");
        }
        Outcome::Stopped => panic!("nobody stopped it: {state}"),
    }
    let known = scene.view().serving().map(|known| known.record.group());
    assert_eq!(known, serving, "what is known is what is there: {state}");
    let groups: Vec<String> = serving.into_iter().collect();
    assert_eq!(
        scene.world.groups(),
        groups,
        "nothing else is left: {state}"
    );
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
