//! Stories that are as they should be, and that the simulator's oracle once took for breaches.

use belay_testkit::sim::story::{Act, Deed, Doubt, Extra, Order, Place, Story, Weather, Work};
use belay_testkit::{Hints, Kind, sim};

/// One service on one target, and one worker; times count from the act before.
fn story(weather: Weather, acts: Vec<(u64, Deed)>) -> Story {
    let act = |(after_ms, deed)| Act {
        after_ms,
        place: 0,
        deed,
    };
    Story {
        weather,
        places: vec![Place {
            targets: vec![Kind::SideBySide],
            instances: 1,
            broken: Vec::new(),
            said: Vec::new(),
            faults: Vec::new(),
        }],
        workers: vec![Hints::Prompt],
        acts: acts.into_iter().map(act).collect(),
        incidents: Vec::new(),
        answers: Vec::new(),
    }
}

fn check(story: &Story) {
    let report = sim::play(story);
    assert!(report.breaches.is_empty(), "{}", report.trace());
}

/// Its way back takes back a command and moves nobody: whatever someone has scaled to by then, nothing is decided about it.
#[test]
fn what_only_ran_a_command_has_nothing_to_say_of_the_scale() {
    let command = Extra {
        target: Some(0),
        is_late: false,
        is_grouped: false,
        work: Work::Run(0, Doubt::TakeBack, false),
        remedies: Vec::new(),
    };
    let again = Order {
        extras: vec![command],
        bake_ms: 30_000,
        ..Order::plain(1)
    };
    let acts = vec![
        (0, Deed::Deploy(Order::plain(1))),
        (10_000, Deed::Deploy(again)),
        (10_000, Deed::Scale(0, 12)),
        (1_000, Deed::GoBack),
    ];
    check(&story(Weather::Calm, acts));
}
