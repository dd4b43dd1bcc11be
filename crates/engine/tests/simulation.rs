//! Random stories of several workers over simulated platforms, with everything that can go wrong. Whatever happens, what was
//! asked for is there and verified, or what was there before is there again, or a person is asked and the lock is held;
//! kills and passing faults alone never need a person. `make sim` plays 100,000 deployments; a failure prints its seed and the
//! smallest story that fails likewise, as a test, and `make sim SEED=n` plays it again.

use belay_testkit::sim::{Counters, Report, as_test, draw, play, shrunk};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Deployments of a plain `cargo test`.
const FEW: u64 = 3_000;
/// Plays that are spent on making a failing story smaller.
const SHRINKING: usize = 1_500;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is not a number: {text}")),
    )
}

/// Prints what went wrong, and the smallest story in which it does.
fn show(seed: u64, report: &Report) {
    println!(
        "seed {seed} fails; again: make sim SEED={seed}\n{}",
        report.trace()
    );
    let plays =
        number("SIM_SHRINKING").map_or(SHRINKING, |n| usize::try_from(n).expect("a number"));
    let story = shrunk(&draw(seed), plays, |story| !play(story).breaches.is_empty());
    let why = play(&story).breaches;
    println!("its smallest story: {}", play(&story).trace());
    let name = format!("seed_{seed}");
    println!("\n{}", as_test(&story, &name, &why.join("; ")));
}

#[test]
fn whatever_happens_the_world_is_as_asked_for_or_as_before() {
    if let Some(seed) = number("SIM_SEED") {
        let report = play(&draw(seed));
        if !report.breaches.is_empty() {
            show(seed, &report);
        }
        println!("{}\n\n{}", report.trace(), report.counters);
        assert!(report.breaches.is_empty(), "{:#?}", report.breaches);
        return;
    }
    let wanted = number("SIM_DEPLOYMENTS").unwrap_or(FEW);
    let threads = number("SIM_THREADS").unwrap_or(1);
    let (next, done) = (
        AtomicU64::new(number("SIM_FROM").unwrap_or(0)),
        AtomicU64::new(0),
    );
    let total = Mutex::new(Counters::default());
    let failed: Mutex<Vec<u64>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while done.load(Ordering::Relaxed) < wanted {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let report = play(&draw(seed));
                    done.fetch_add(report.counters.of("deployments"), Ordering::Relaxed);
                    total.lock().expect("no panic").merge(&report.counters);
                    if !report.breaches.is_empty() {
                        let mut failed = failed.lock().expect("no panic");
                        println!("seed {seed}: {:#?}", report.breaches);
                        failed.push(seed);
                        if failed.len() >= 20 {
                            return;
                        }
                    }
                }
            });
        }
    });
    let total = total.into_inner().expect("no panic");
    println!("{total}\n{}", total.rates());
    let failed = failed.into_inner().expect("no panic");
    if let Some(seed) = failed.iter().min() {
        show(*seed, &play(&draw(*seed)));
    }
    assert!(failed.is_empty(), "seeds that fail: {failed:?}");
    let still = total.still();
    assert!(still.is_empty(), "these never happened: {still:?}");
}

#[test]
fn a_seed_is_the_same_story_each_time() {
    for seed in 0..80 {
        assert_eq!(play(&draw(seed)), play(&draw(seed)), "seed {seed}");
    }
}

/// Each break of the core shows within 10,000 stories.
#[cfg(feature = "mutants")]
#[test]
fn each_mutant_is_caught() {
    use belay_engine::mutant::{Mutant, arm};
    const MOST: u64 = 10_000;
    std::panic::set_hook(Box::new(|_| {}));
    let mut survivors = Vec::new();
    println!(
        "{:<6}{:<18}{:>8}{:>13}  caught by",
        "", "mutant", "stories", "deployments"
    );
    let only = std::env::var("SIM_MUTANT").unwrap_or_default();
    let meant = |mutant: &Mutant| only.is_empty() || format!("{mutant:?}") == only;
    let first = number("SIM_FROM").unwrap_or(0);
    for (mutant, invariant) in Mutant::ALL.into_iter().filter(|(it, _)| meant(it)) {
        arm(Some(mutant));
        let mut deployments = 0;
        let caught = (first..first + MOST).find_map(|seed| {
            let report = play(&draw(seed));
            deployments += report.counters.of("deployments");
            let breach = report.breaches.first()?.clone();
            // What fails with the core as it is shows nothing.
            arm(None);
            let is_whole = play(&draw(seed)).breaches.is_empty();
            arm(Some(mutant));
            is_whole.then_some((seed - first, breach))
        });
        arm(None);
        match caught {
            Some((nth, why)) => {
                let (stories, why) = (nth + 1, why.chars().take(90).collect::<String>());
                println!(
                    "{invariant:<6}{:<18}{stories:>8}{deployments:>13}  {why}",
                    format!("{mutant:?}")
                );
            }
            None => survivors.push(mutant),
        }
    }
    assert!(survivors.is_empty(), "nobody sees these: {survivors:?}");
}
