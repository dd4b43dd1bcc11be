//! Small plans, exhaustively: every fault at every call of a deployment, with a kill at every append and call, of one worker and
//! of two at once; there, and back. `make test` runs it on the release build.

use belay_model::error::Class;
use belay_model::plan::Look;
use belay_model::verdict::Outcome as Said;
use belay_testkit::Fault;
use belay_testkit::Hints;
use belay_testkit::Kind::{self, InPlace, Resized, Revisions, SideBySide, Swap, Workers};
use belay_testkit::sim::story::Way::{self, Basic, BlueGreen, Canary};
use belay_testkit::sim::story::{Act, Deed, Incident, Order, Place, Story, Trouble, Weather};
use belay_testkit::sim::{Report, as_test, play};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The targets and the strategy of the second release, and whether it is bad.
#[derive(Clone, Debug)]
struct Plan(Vec<Kind>, Way, bool);

fn plans() -> Vec<Plan> {
    let canary = || Canary(vec![(10, 100)]);
    let possible = [
        (vec![SideBySide], vec![Basic, BlueGreen, canary()]),
        (vec![Workers], vec![Basic]),
        (vec![Swap], vec![Basic, BlueGreen, canary()]),
        (vec![InPlace], vec![Basic]),
        (vec![Revisions], vec![Basic, BlueGreen, canary()]),
        (vec![Resized], vec![Basic, canary()]),
        (vec![SideBySide, InPlace], vec![Basic]),
    ];
    let of = |(targets, ways): (Vec<Kind>, Vec<Way>)| {
        let each = ways
            .into_iter()
            .flat_map(|way| [(way.clone(), false), (way, true)]);
        let plans = each.map(|(way, is_bad)| Plan(targets.clone(), way, is_bad));
        plans.collect::<Vec<_>>()
    };
    possible.into_iter().flat_map(of).collect()
}

impl Plan {
    fn story(&self, workers: usize, acts: usize) -> Story {
        let Plan(targets, way, is_bad) = self;
        let deploy = |release, way: &Way| Act {
            after_ms: 5_000,
            place: 0,
            deed: Deed::Deploy(Order {
                way: way.clone(),
                bake_ms: 100,
                parallel: 2,
                ..Order::plain(release)
            }),
        };
        let acts = [deploy(1, &Basic), deploy(2, way)].into_iter().take(acts);
        Story {
            weather: Weather::Passing,
            places: vec![Place {
                targets: targets.clone(),
                instances: 2,
                broken: Vec::new(),
                said: is_bad
                    .then_some((2, Look::Bake, Said::Fail))
                    .into_iter()
                    .collect(),
                faults: Vec::new(),
            }],
            workers: vec![Hints::Prompt; workers],
            acts: acts.collect(),
            incidents: Vec::new(),
            answers: Vec::new(),
        }
    }
}

fn faults() -> [Fault; 5] {
    [
        Fault::Refused(Class::Connectivity),
        Fault::AnswerLost(Class::Timeout),
        Fault::Half(Class::Connectivity),
        Fault::Throttled(500),
        Fault::Late(20),
    ]
}

/// Every worker at that point of its life.
fn kill(story: &Story, point: usize) -> Story {
    let mut story = story.clone();
    let all = (0..story.workers.len()).map(|worker| Incident {
        worker,
        trouble: Trouble::Kill(point),
    });
    story.incidents = all.collect();
    story
}

fn meet(story: &Story, target: usize, call: usize, fault: &Fault) -> Story {
    let mut story = story.clone();
    story.places[0].faults = vec![(target, call, fault.clone())];
    story
}

fn checked(story: &Story) -> Report {
    let report = play(story);
    let of = |what| report.counters.of(what);
    let ended = of("ended: succeeded") + of("ended: rolled back");
    let is_well = report.breaches.is_empty() && ended == story.acts.len() as u64;
    assert!(
        is_well,
        "{}\n\n{}",
        report.trace(),
        as_test(story, "exhaustive", &report.breaches.join("; "))
    );
    report
}

/// How many points or calls there are: the first at which nothing happens any more.
fn first_without(what: &str, story: impl Fn(usize) -> Story) -> usize {
    let mut all = 0..;
    let found = all.find(|at| play(&story(*at)).counters.of(what) == 0);
    found.expect("there is an end")
}

/// All cases of a plan.
fn exhaust(plan: &Plan, cases: &AtomicUsize) {
    for workers in [1, 2] {
        let before = plan.story(workers, 1);
        let whole = plan.story(workers, 2);
        // What goes out first was a case of its own.
        let first = first_without("kills", |point| kill(&before, point));
        let mut variants = vec![whole.clone()];
        for target in 0..plan.0.len() {
            let refused = Fault::Refused(Class::Connectivity);
            let begin = first_without("faults: refused", |call| {
                meet(&before, target, call, &refused)
            });
            let end = first_without("faults: refused", |call| {
                meet(&whole, target, call, &refused)
            });
            assert!(end > begin, "the second release calls nothing: {plan:?}");
            for call in begin..end {
                variants.extend(
                    faults()
                        .iter()
                        .map(|fault| meet(&whole, target, call, fault)),
                );
            }
        }
        for story in variants {
            checked(&story);
            for point in first.saturating_sub(2).. {
                let report = checked(&kill(&story, point));
                cases.fetch_add(1, Ordering::Relaxed);
                if report.counters.of("kills") == 0 {
                    break;
                }
            }
        }
    }
}

#[test]
#[cfg_attr(
    debug_assertions,
    ignore = "some minutes: `make test` runs it on the release build"
)]
fn every_fault_and_every_kill_of_small_plans() {
    let (plans, next, cases) = (plans(), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(plan) = plans.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let before = cases.load(Ordering::Relaxed);
                    exhaust(plan, &cases);
                    println!(
                        "{plan:?}: {} cases by then",
                        cases.load(Ordering::Relaxed).max(before)
                    );
                }
            });
        }
    });
    let cases = cases.into_inner();
    println!("{} plans, {cases} cases", plans.len());
    assert!(cases > 10_000, "only {cases} cases");
}

/// A few of them, so that the debug build sees them, too.
#[test]
fn every_kill_of_a_swap_there_and_back() {
    for is_bad in [false, true] {
        let story = Plan(vec![Swap], Basic, is_bad).story(2, 2);
        for point in 0.. {
            if checked(&kill(&story, point)).counters.of("kills") == 0 {
                assert!(point > 20, "only {point} points");
                break;
            }
        }
    }
}
