//! What `make sim` prints of a story that fails, pasted; it was printed with the core broken (`Mutant::OldSecrets`), and holds with
//! the core as it is. What is printed today must still be what is here, so that it can be pasted.

use belay_model::config::{BackCapacity, Duration, ForeignChange};
use belay_model::error::Class;
use belay_model::event::Ask;
use belay_testkit::Hints::Prompt;
use belay_testkit::Kind::Resized;
use belay_testkit::sim::as_test;
use belay_testkit::sim::story::{Act, Deed, Order, Place, Remedy, Story, Then, Weather};

/// I7: release 5 would run with older secrets than there are
#[test]
fn seed_38() {
    use belay_testkit::sim::words::*;
    let story = Story {
        weather: Passing,
        places: vec![Place {
            targets: vec![Resized],
            instances: 1,
            broken: vec![],
            said: vec![],
            faults: vec![],
        }],
        workers: vec![Prompt],
        acts: vec![
            Act {
                after_ms: 89,
                place: 0,
                deed: Deploy(Order {
                    release: 5,
                    way: Basic,
                    bake_ms: 5000,
                    parallel: 1,
                    approve: None,
                    extras: vec![],
                    share: None,
                    remedies: vec![],
                    of_phases: vec![],
                    of_group: vec![],
                    back: BackOrder {
                        phases: InTurn,
                        provisioning: Last,
                        provisioning_order: Reverse,
                        capacity: Full,
                        ask_within: None,
                        foreign_change: ForeignChange::Overwrite,
                    },
                    asks: false,
                    leaves: false,
                    replaces: false,
                }),
            },
            Act {
                after_ms: 10000,
                place: 0,
                deed: Deploy(Order {
                    release: 4,
                    way: Basic,
                    bake_ms: 0,
                    parallel: 1,
                    approve: None,
                    extras: vec![],
                    share: None,
                    remedies: vec![],
                    of_phases: vec![],
                    of_group: vec![],
                    back: BackOrder {
                        phases: InTurn,
                        provisioning: Last,
                        provisioning_order: Reverse,
                        capacity: Full,
                        ask_within: None,
                        foreign_change: ForeignChange::Overwrite,
                    },
                    asks: false,
                    leaves: false,
                    replaces: false,
                }),
            },
            Act {
                after_ms: 10000,
                place: 0,
                deed: Reseal(5),
            },
            Act {
                after_ms: 18,
                place: 0,
                deed: Undo,
            },
        ],
        incidents: vec![],
        answers: vec![],
    };
    let breaches = belay_testkit::sim::play(&story).breaches;
    assert!(breaches.is_empty(), "{breaches:#?}");
}

/// themes of stories
#[test]
fn seed_of_themes() {
    use belay_testkit::sim::words::*;
    let story = Story {
        weather: Calm,
        places: vec![Place {
            targets: vec![Resized],
            instances: 1,
            broken: vec![],
            said: vec![],
            faults: vec![],
        }],
        workers: vec![Prompt],
        acts: vec![
            Act {
                after_ms: 100,
                place: 0,
                deed: Deploy(Order {
                    release: 2,
                    way: Basic,
                    bake_ms: 0,
                    parallel: 1,
                    approve: None,
                    extras: vec![],
                    share: None,
                    remedies: vec![(Application, Just(GoOnQuietly))],
                    of_phases: vec![],
                    of_group: vec![],
                    back: BackOrder {
                        phases: InTurn,
                        provisioning: Last,
                        provisioning_order: Reverse,
                        capacity: BackCapacity::Ask,
                        ask_within: Some(Duration::from_ms(5)),
                        foreign_change: ForeignChange::Ask,
                    },
                    asks: false,
                    leaves: false,
                    replaces: false,
                }),
            },
            Act {
                after_ms: 100,
                place: 0,
                deed: Scale(0, 3),
            },
            Act {
                after_ms: 100,
                place: 0,
                deed: Bound(0, 1, 4),
            },
            Act {
                after_ms: 100,
                place: 0,
                deed: TellOne(1, Abort),
            },
            Act {
                after_ms: 100,
                place: 0,
                deed: Promote(
                    Order {
                        release: 1,
                        way: Basic,
                        bake_ms: 0,
                        parallel: 1,
                        approve: None,
                        extras: vec![],
                        share: None,
                        remedies: vec![],
                        of_phases: vec![],
                        of_group: vec![],
                        back: BackOrder {
                            phases: InTurn,
                            provisioning: Last,
                            provisioning_order: Reverse,
                            capacity: Full,
                            ask_within: None,
                            foreign_change: ForeignChange::Overwrite,
                        },
                        asks: false,
                        leaves: false,
                        replaces: false,
                    },
                    0,
                ),
            },
        ],
        incidents: vec![],
        answers: vec![],
    };
    let breaches = belay_testkit::sim::play(&story).breaches;
    assert!(breaches.is_empty(), "{breaches:#?}");
}

fn story() -> Story {
    let act = |after_ms, deed| Act {
        after_ms,
        place: 0,
        deed,
    };
    let first = Order {
        bake_ms: 5_000,
        ..Order::plain(5)
    };
    Story {
        weather: Weather::Passing,
        places: vec![Place {
            targets: vec![Resized],
            instances: 1,
            broken: Vec::new(),
            said: Vec::new(),
            faults: Vec::new(),
        }],
        workers: vec![Prompt],
        acts: vec![
            act(89, Deed::Deploy(first)),
            act(10_000, Deed::Deploy(Order::plain(4))),
            act(10_000, Deed::Reseal(5)),
            act(18, Deed::Undo),
        ],
        incidents: Vec::new(),
        answers: Vec::new(),
    }
}

/// The same of a word for each theme.
fn themes() -> Story {
    let mut first = Order::plain(2);
    first.back.capacity = BackCapacity::Ask;
    first.back.ask_within = Some(Duration::from_ms(5));
    first.back.foreign_change = ForeignChange::Ask;
    first.remedies = vec![(Class::Application, Remedy::Just(Then::GoOnQuietly))];
    let deeds = [
        Deed::Deploy(first),
        Deed::Scale(0, 3),
        Deed::Bound(0, 1, 4),
        Deed::TellOne(1, Ask::Abort),
        Deed::Promote(Order::plain(1), 0),
    ];
    let act = |deed| Act {
        after_ms: 100,
        place: 0,
        deed,
    };
    Story {
        weather: Weather::Calm,
        acts: deeds.into_iter().map(act).collect(),
        ..story()
    }
}

/// Without what a formatter may change.
fn plain(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let text = text.replace(",)", ")").replace(",]", "]");
    text.replace(",}", "}")
}

#[test]
fn what_is_printed_is_what_can_be_pasted() {
    let why = "I7: release 5 would run with older secrets than there are";
    let printed = plain(&as_test(&story(), "seed_38", why));
    let pasted = plain(include_str!("pasted.rs"));
    assert!(pasted.contains(&printed), "{printed}");
    let printed = as_test(&themes(), "seed_of_themes", "themes of stories");
    assert!(pasted.contains(&plain(&printed)), "{printed}");
}

/// With the core broken as it was when this was printed, the story shows it.
#[cfg(feature = "mutants")]
#[test]
fn the_story_shows_what_it_was_printed_for() {
    use belay_engine::mutant::{Mutant, arm};
    arm(Some(Mutant::OldSecrets));
    let breaches = belay_testkit::sim::play(&story()).breaches;
    arm(None);
    assert!(breaches[0].starts_with("I7"), "{breaches:?}");
}
