//! The crash test: all of Belay's processes killed with SIGKILL at every journal append (before, after) and every driver
//! call (before, inside, after) of a deployment, while real requests go through the real proxy to real processes.
//!
//! A scenario is run once without a kill, which tells its points. Then once per point: the process that reaches it stops
//! itself there (crates/runtime/src/crash), so that nothing goes on behind the test's back; everything of Belay is
//! killed, and the next command is typed, as a person would. Each of these runs has to end verified at the release that
//! is meant, or back at the one before where that is bad, never waiting for a person; with a journal that keeps the
//! invariants, no instance left over and none without its supervisor. No request may fail. Where the proxy was killed,
//! too, those in flight at the kill and those refused until it listens again are counted apart
//! (`failed_while_proxy_down`).
//!
//! Each point is met in one of two ways, in turn: everything is killed but the proxy with its supervisor (traffic must
//! flow on as if nothing happened), or they, too. Which comes first alternates with `BELAY_CRASH_SEED`, by default the
//! number of the day, so two days in a row see every point both ways; `BELAY_CRASH_SEED=both` does so at once, in twice
//! the time. A run that failed tells how to repeat it alone.
//!
//! Seen to fail where settling took a step that had not begun for done (the good release was rolled back), and where no
//! command but `deploy` and `rollback` started a worker (what was kept stayed, instances had no supervisor).

mod run;
mod scenario;
mod synced;

#[path = "../support/mod.rs"]
mod support;

use run::{Point, Ran, run};
use scenario::{Killed, Scenario, Strategy, Way};
use std::collections::BTreeMap;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

/// Runs at once in a scenario: a run waits about as long as it works.
const LANES: usize = 2;
/// A verification looks at the instances once a second while it watches: on a slow machine more often in one run than in
/// another. Only these may be missed.
const BY_TIME: &str = "observe.";

#[test]
fn blue_green_forward() {
    every_point("blue_green_forward", Strategy::BlueGreen, Way::Forward);
}

#[test]
fn blue_green_back() {
    every_point("blue_green_back", Strategy::BlueGreen, Way::Back);
}

#[test]
fn blue_green_return() {
    every_point("blue_green_return", Strategy::BlueGreen, Way::Return);
}

#[test]
fn canary_forward() {
    every_point("canary_forward", Strategy::Canary, Way::Forward);
}

#[test]
fn canary_back() {
    every_point("canary_back", Strategy::Canary, Way::Back);
}

#[test]
fn canary_return() {
    every_point("canary_return", Strategy::Canary, Way::Return);
}

/// What all runs of a scenario came to.
#[derive(Default)]
struct Tally {
    kills: usize,
    requests: usize,
    failed_while_proxy_down: usize,
    failures: Vec<String>,
}

fn every_point(name: &'static str, strategy: Strategy, way: Way) {
    let scenario = Scenario {
        name,
        strategy,
        way,
    };
    let began = Instant::now();
    let untouched = run(&scenario, None);
    assert_eq!(untouched.failed_while_proxy_down, 0);
    let runs = chosen(&scenario, &untouched.points);
    let count = runs.len();
    let (runs, tally) = (Mutex::new(runs.into_iter()), Mutex::new(Tally::default()));
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                loop {
                    let Some((point, killed)) = lock(&runs).next() else {
                        return;
                    };
                    let kill = Some((point.name.as_str(), killed));
                    let ran = catch_unwind(AssertUnwindSafe(|| run(&scenario, kill)));
                    lock(&tally).add(&scenario, &point, killed, ran.ok());
                }
            });
        }
    });
    let tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    say(&format!(
        "{name}: {} points ({}), {count} runs, {} kills, {} requests, failed_while_proxy_down: {}, {:.0} s",
        untouched.points.len(),
        kinds(&untouched.points),
        tally.kills,
        tally.requests,
        tally.failed_while_proxy_down,
        began.elapsed().as_secs_f64()
    ));
    assert!(
        tally.failures.is_empty(),
        "{} of {count} runs failed:\n{}",
        tally.failures.len(),
        tally.failures.join("\n")
    );
}

/// Which points, and how each is met. `BELAY_CRASH_ONLY=append.after:3/all` names one.
fn chosen(scenario: &Scenario, points: &[Point]) -> Vec<(Point, Killed)> {
    let both = points
        .iter()
        .flat_map(|point| Killed::EITHER.map(|killed| (point.clone(), killed)));
    let day = || {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.unwrap_or_default().as_secs() / (24 * 3600)
    };
    if let Ok(only) = std::env::var("BELAY_CRASH_ONLY") {
        let is_meant = |(point, killed): &(Point, Killed)| label(point, *killed).starts_with(&only);
        return both.filter(is_meant).collect();
    }
    let seed = std::env::var("BELAY_CRASH_SEED").ok();
    if seed.as_deref() == Some("both") {
        return both.collect();
    }
    let seed = seed.map_or_else(day, |seed| seed.parse().expect("a number, or `both`"));
    say(&format!("{}: BELAY_CRASH_SEED={seed}", scenario.name));
    let first = usize::from(!seed.is_multiple_of(2));
    let in_turn = |(index, one)| (index % 4 == first || index % 4 == 3 - first).then_some(one);
    both.enumerate().filter_map(in_turn).collect()
}

fn label(point: &Point, killed: Killed) -> String {
    format!("{}/{}", point.name, killed.name())
}

impl Tally {
    fn add(&mut self, scenario: &Scenario, point: &Point, killed: Killed, ran: Option<Ran>) {
        let label = label(point, killed);
        let missed = match ran {
            Some(ran) => {
                self.kills += usize::from(ran.was_killed);
                self.requests += ran.requests;
                self.failed_while_proxy_down += ran.failed_while_proxy_down;
                (!ran.was_killed && !point.name.starts_with(BY_TIME)).then_some("was not reached")
            }
            None => Some("failed, see above"),
        };
        if let Some(why) = missed {
            let again = format!(
                "BELAY_CRASH_ONLY={label} cargo test -p belay-cli --test crash {}",
                scenario.name
            );
            self.failures
                .push(format!("{label} ({}) {why}\n  {again}", point.about));
        }
    }
}

/// `append.after 9, apply.inside 11`.
fn kinds(points: &[Point]) -> String {
    let mut kinds = BTreeMap::<&str, usize>::new();
    for point in points {
        let kind = point.name.split(':').next().unwrap_or_default();
        *kinds.entry(kind).or_default() += 1;
    }
    let words = kinds.iter().map(|(kind, count)| format!("{kind} {count}"));
    words.collect::<Vec<_>>().join(", ")
}

/// Also of a test that passes: the numbers are worth seeing.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
