//! Stories that are as they should be, and that the simulator's oracle once took for breaches.

use belay_model::event::Ask;
use belay_model::plan::Look;
use belay_model::verdict::Outcome as Said;
use belay_testkit::sim::story::{
    Act, Deed, Doubt, Extra, Incident, Order, Place, Story, Trouble, Weather, Work,
};
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

/// What was there had a part of a release that had gone back, and nobody owed its removal then: that it is owed by the time at
/// which the next one fails makes it nothing to go back to.
#[test]
fn what_was_left_half_way_is_no_way_back_though_its_removal_is_owed_by_now() {
    let approved = Order {
        approve: Some((1, 16_000)),
        ..Order::plain(1)
    };
    let baked = |release| Order {
        bake_ms: 5_000,
        ..Order::plain(release)
    };
    let acts = vec![
        (0, Deed::Deploy(Order::plain(4))),
        (10_000, Deed::Deploy(Order::plain(1))),
        // While that one grows.
        (6, Deed::Hotfix(approved, false)),
        (1_017, Deed::Deploy(baked(3))),
        // To what it brings: a person has to say, and gives up in the end.
        (99, Deed::GoTo(1, Vec::new())),
    ];
    let mut story = story(Weather::People, acts);
    story.places[0].targets = vec![Kind::Workers];
    story.places[0].said = vec![(3, Look::Bake, Said::Fail)];
    check(&story);
}

/// The worker stands still with the lock, and what is said meanwhile stands in the journal before the plan.
#[test]
fn who_was_told_to_go_back_before_it_was_planned_was_asked() {
    let acts = vec![
        (0, Deed::Deploy(Order::plain(1))),
        (10_000, Deed::Deploy(Order::plain(1))),
        (10_000, Deed::Undo),
        (100, Deed::Undo),
        (100, Deed::Undo),
    ];
    let mut story = story(Weather::Hard, acts);
    story.incidents = vec![Incident {
        worker: 0,
        trouble: Trouble::Stall(20_050, 800),
    }];
    check(&story);
}

/// Four of a release and three of a stranger are not seven of the release.
#[test]
fn instances_of_a_stranger_are_nobodys_scale() {
    let acts = vec![
        (0, Deed::Deploy(Order::plain(2))),
        (10_000, Deed::Meddle(0)),
        (100, Deed::Deploy(Order::plain(1))),
        (10, Deed::Scale(0, 7)),
        (15_000, Deed::Undo),
    ];
    let mut story = story(Weather::Foreign, acts);
    story.places[0].targets = vec![Kind::Resized];
    story.places[0].instances = 4;
    story.answers = vec![Ask::Abort];
    check(&story);
}
