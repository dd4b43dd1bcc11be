//! The pure core: how long it takes to fold one event and to decide what to do next, in journals of several lengths.

use super::simulated;
use crate::rows::Rows;
use belay_engine::decide::decide;
use belay_engine::fold::Deployment;
use belay_engine::planning::MAX_STEPS;
use belay_model::error::{Class, Effect, Failure};
use belay_model::event::{self, Entry, Event, Finish, Outcome};
use belay_model::id::{DeploymentId, RecordHash, StepId};
use belay_model::plan::{Action, Phase, Plan, Step};
use belay_model::policy::{Act, Rule};
use belay_model::state::{Goal, States};
use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// The longest is ten times what a store takes.
const LENGTHS: [usize; 3] = [10, 1_000, 100_000];
const AIM_US: f64 = 2.0;
/// Events folded for one sample at least: a clock cannot tell ten.
const EVENTS: usize = 200_000;
const RUNS: usize = 7;

pub(crate) fn measure(rows: &mut Rows) {
    for length in LENGTHS {
        let entries = journal(length);
        assert_eq!(entries.len(), length);
        let (mut whole, mut last) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            let sample = sample(&entries);
            whole.push(sample.whole);
            last.push(sample.last);
        }
        let name = format!("fold + decide, journal of {length} events");
        let p50 = |samples: &[f64]| crate::rows::percentile(samples, 50.0);
        rows.at_most(
            format!("{name}: per event, p50"),
            p50(&whole),
            "µs",
            AIM_US,
            RUNS,
        );
        rows.plain(
            format!("{name}: per event of its last tenth, p50"),
            p50(&last),
            "µs",
            RUNS,
        );
    }
}

/// Microseconds per event.
struct Sample {
    whole: f64,
    last: f64,
}

fn sample(entries: &[Entry]) -> Sample {
    let (mut whole, mut last) = (Duration::ZERO, Duration::ZERO);
    let times = EVENTS.div_ceil(entries.len());
    let tenth = entries.len().div_ceil(10);
    for _ in 0..times {
        let began = Instant::now();
        let mut deployment = Deployment::new(DeploymentId::new("dep_bench"));
        let mut in_hand = BTreeSet::new();
        let (first, rest) = entries.split_at(entries.len() - tenth);
        take(&mut deployment, &mut in_hand, first);
        let late = Instant::now();
        take(&mut deployment, &mut in_hand, rest);
        last += late.elapsed();
        whole += began.elapsed();
        assert!(deployment.ended.is_some());
    }
    let per_event =
        |time: Duration, events: usize| time.as_secs_f64() * 1e6 / (times * events) as f64;
    Sample {
        whole: per_event(whole, entries.len()),
        last: per_event(last, tenth),
    }
}

/// As a worker does: folds an event, and asks what to do next.
fn take(deployment: &mut Deployment, in_hand: &mut BTreeSet<StepId>, entries: &[Entry]) {
    for entry in entries {
        match &entry.event {
            Event::Started { step, .. } => _ = in_hand.insert(*step),
            Event::Finished { step, .. } => _ = in_hand.remove(step),
            _ => {}
        }
        deployment.apply(entry);
        black_box(decide(deployment, in_hand, entry.at_us));
    }
}

/// A deployment that succeeds. Its plan is as long as plans may be, if the journal is; where that is not long enough its
/// steps fail and are tried again.
fn journal(length: usize) -> Vec<Entry> {
    let inputs = simulated::inputs("shop", 1, 0);
    let scope = inputs.scope.to_string();
    let record = inputs.record.clone().expect("a release");
    let hash = record.hash();
    let attempts = (length - 4) / 2;
    let steps = attempts.min(MAX_STEPS);
    let goal = Goal {
        record: Some(hash.clone()),
        records: BTreeMap::from([(hash.clone(), record)]),
        want: States::one(&scope, simulated::state(&hash, steps)),
        title: "release 1".to_owned(),
    };
    let mut events = vec![
        Event::Created(Box::new(inputs)),
        Event::Claimed {
            owner: "bench/1".to_owned(),
            epoch: 1,
        },
        Event::Planned {
            plan: plan(&scope, &hash, steps),
            baseline: States::one(&scope, simulated::state(&hash, 0)),
            baseline_goal: Box::new(goal.clone()),
            goal: Box::new(goal),
            takes_over: None,
            remarks: Vec::new(),
        },
    ];
    let step_of = |attempt: usize| attempt * steps / attempts;
    let mut nth = 0;
    for attempt in 0..attempts {
        let step = step_of(attempt);
        nth = if attempt > 0 && step_of(attempt - 1) == step {
            nth + 1
        } else {
            1
        };
        let is_last = attempt + 1 == attempts || step_of(attempt + 1) != step;
        events.extend(one(&hash, step, nth, is_last));
    }
    // An odd one more.
    if (length - 4) % 2 == 1 {
        events.push(Event::Claimed {
            owner: "bench/2".to_owned(),
            epoch: 2,
        });
    }
    events.push(Event::ended(Outcome::Succeeded));
    let entry = |(seq, event)| Entry {
        seq,
        at_us: i64::try_from(seq).unwrap_or(i64::MAX) * 1_000_000,
        format: event::FORMAT,
        event,
    };
    (1..).zip(events).map(entry).collect()
}

fn plan(scope: &str, record: &RecordHash, steps: usize) -> Plan {
    let again = Rule {
        on: Vec::new(),
        act: Act::Retry {
            times: u32::MAX,
            pause_ms: 100,
            factor: 1,
            longest_ms: 100,
        },
    };
    let step = |copy| Step {
        promotes: copy == steps,
        on_failure: vec![again.clone()],
        ..Step::of(Action::Effect(simulated::effect(record, copy)))
    };
    Plan::of(vec![Phase {
        name: scope.to_owned(),
        target: Some(scope.to_owned()),
        after: Vec::new(),
        steps: (1..=steps).map(step).collect(),
    }])
}

/// One attempt of a step.
fn one(record: &RecordHash, step: usize, attempt: u32, is_last: bool) -> [Event; 2] {
    let id = StepId {
        plan: 0,
        index: u16::try_from(step).expect("plans are bounded"),
    };
    let failure = Failure {
        class: Class::Connectivity,
        effect: Effect::NotApplied,
        message: "reach the platform".to_owned(),
        detail: Vec::new(),
        retry_after_ms: None,
    };
    let finish = if is_last {
        Finish::Done
    } else {
        Finish::Failed(failure)
    };
    [
        Event::Started {
            step: id,
            attempt,
            fingerprint: "0123456789abcdef".to_owned(),
            before: None,
        },
        Event::Finished {
            step: id,
            attempt,
            finish,
            state: Some(simulated::state(record, step + usize::from(is_last))),
            times: BTreeMap::new(),
        },
    ]
}
