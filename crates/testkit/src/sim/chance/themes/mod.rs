//! What a story may be about beside: failures that are gone past, scales, words to what waits, promotions, ways back that are
//! turned round, calls that are accepted and then out of sight, phases that go back alone, releases that come again while they are
//! removed. It is drawn from a generator of its own, so that a theme more leaves all else of a seed's story as it was.

mod rules;

use super::{RELEASES, one, orders, pause, place};
use crate::sim::story::{
    Act, Deed, Doubt, Extra, Incident, Order, Place, Story, Trouble, Way, Weather, Work,
};
use crate::{Fault, Kind};
use belay_model::config::{BackCapacity, Duration};
use belay_model::error::Class;
use belay_model::event::Ask;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// What sets its generator apart from that of the seed.
const OWN: u64 = 0x006c_6174_6572;
/// Most instances that someone scales to.
const MOST: u32 = 12;

/// The story with those that its seed has.
pub(super) fn with(seed: u64, mut story: Story) -> Story {
    let mut rng = StdRng::seed_from_u64(seed ^ OWN);
    let rng = &mut rng;
    if rng.random_bool(0.4) {
        rules::go_on(rng, &mut story);
    }
    if rng.random_bool(0.4) {
        scales(rng, &mut story);
    }
    if rng.random_bool(0.3) {
        tells(rng, &mut story);
    }
    if rng.random_bool(0.2) {
        promotes(rng, &mut story);
    }
    if rng.random_bool(0.3) {
        turns_round(rng, &mut story);
    }
    if rng.random_bool(0.3) {
        loses_sight(rng, &mut story);
    }
    if rng.random_bool(0.4) {
        rules::take_a_phase_back(rng, &mut story);
    }
    if rng.random_bool(0.3) {
        comes_again(rng, &mut story);
    }
    story
}

/// What is asked for in a story, with where.
fn orders_of(story: &mut Story) -> impl Iterator<Item = (usize, &mut Order)> {
    story.acts.iter_mut().filter_map(|act| match &mut act.deed {
        Deed::Deploy(order) | Deed::Hotfix(order, _) => Some((act.place, order)),
        _ => None,
    })
}

/// Somewhere between the other acts.
fn insert(rng: &mut StdRng, story: &mut Story, place: usize, deed: Deed) {
    let at = rng.random_range(0..=story.acts.len());
    let act = Act {
        after_ms: pause(rng),
        place,
        deed,
    };
    story.acts.insert(at, act);
}

/// People scale what serves, or have it scaled; ways back say how much of their capacity they need.
fn scales(rng: &mut StdRng, story: &mut Story) {
    let places: Vec<Vec<Kind>> = story.places.iter().map(|it| it.targets.clone()).collect();
    for (place, order) in orders_of(story) {
        let has_shares = |kind: &Kind| matches!(kind, Kind::SideBySide | Kind::Resized);
        let can = places[place].iter().all(has_shares);
        order.back.capacity = match rng.random_range(0..10) {
            0..5 if can => BackCapacity::Proportional,
            // It is refused.
            0 => BackCapacity::Proportional,
            5..8 => BackCapacity::Ask,
            _ => BackCapacity::Full,
        };
        let is_short = order.back.capacity == BackCapacity::Ask && rng.random_bool(0.7);
        order.back.ask_within = is_short.then(|| Duration::from_ms(rng.random_range(100..10_000)));
    }
    for (number, targets) in places.iter().enumerate() {
        for _ in 0..rng.random_range(0..4) {
            let scale = Deed::Scale(
                rng.random_range(0..targets.len()),
                rng.random_range(1..=MOST),
            );
            insert(rng, story, number, scale);
        }
        let target = rng.random_range(0..targets.len());
        if targets[target] == Kind::InPlace && rng.random_bool(0.3) {
            let most = rng.random_range(story.places[number].instances..=MOST);
            let bound = Deed::Bound(target, rng.random_range(1..=most), most);
            insert(rng, story, number, bound);
        }
    }
    if story.weather < Weather::Hard {
        return;
    }
    for place in &mut story.places {
        // There is no room for all of it.
        if rng.random_bool(0.4) {
            let (target, first) = (
                rng.random_range(0..place.targets.len()),
                rng.random_range(0..16),
            );
            place
                .faults
                .push((target, first, Fault::Half(Class::Quota)));
            let again =
                (first + 1..first + 9).map(|call| (target, call, Fault::Refused(Class::Quota)));
            place.faults.extend(again);
        }
    }
    for answer in &mut story.answers {
        if rng.random_bool(0.3) {
            *answer = Ask::Advance;
        }
    }
}

/// What waits is told something, too.
fn tells(rng: &mut StdRng, story: &mut Story) {
    let mut asks = vec![
        Ask::Abort,
        Ask::Abort,
        Ask::Approve,
        Ask::Pause,
        Ask::Resume,
    ];
    if story.weather == Weather::People {
        asks.extend([Ask::Stop, Ask::Abandon]);
    }
    for _ in 0..rng.random_range(1..5) {
        let place = rng.random_range(0..story.places.len());
        let tell = Deed::TellOne(rng.random_range(0..4), one(rng, &asks));
        insert(rng, story, place, tell);
    }
}

/// Releases go on from one place to another one of the same service: the second and the third are such.
fn promotes(rng: &mut StdRng, story: &mut Story) {
    let weather = story.weather;
    while story.places.len() < 3 {
        let another = place(rng, weather);
        story.places.push(another);
    }
    for _ in 0..rng.random_range(2..7) {
        let (from, to) = one(rng, &[(1, 2), (2, 1)]);
        let mut order = |place: usize| Order {
            // Few, so that it is the same one that is there.
            release: rng.random_range(1..=RELEASES.min(3)),
            ..orders::order(rng, &story.places[place], weather)
        };
        let (first, second) = (order(from), order(to));
        insert(rng, story, from, Deed::Deploy(first));
        insert(rng, story, to, Deed::Promote(second, from));
        if rng.random_bool(0.3) {
            insert(rng, story, from, Deed::GoBack);
        }
    }
}

/// A way back is called off as soon as it was asked for, before it has moved anything or soon after.
fn turns_round(rng: &mut StdRng, story: &mut Story) {
    for _ in 0..rng.random_range(1..4) {
        let place = rng.random_range(0..story.places.len());
        let at = rng.random_range(0..=story.acts.len());
        let mut told = vec![(pause(rng), Deed::GoBack)];
        if rng.random_bool(0.5) {
            told.push((rng.random_range(0..10), Deed::Tell(Ask::Pause, 1)));
        }
        told.push((rng.random_range(0..30), Deed::Tell(Ask::Abort, 1)));
        insert_all(story, at, place, told);
    }
    if rng.random_bool(0.5) {
        turns_round_before_it_moved(rng, story);
    }
}

/// What it goes back to stands by still, and a command has to be taken back before the traffic moves: there is time to call
/// it off in between.
fn turns_round_before_it_moved(rng: &mut StdRng, story: &mut Story) {
    let is_release = |(_, act): &(usize, &Act)| matches!(act.deed, Deed::Deploy(_));
    let acts = story.acts.iter().enumerate();
    let releases: Vec<usize> = acts.filter(is_release).map(|(at, _)| at).collect();
    let Some(last) = releases.last().copied() else {
        return;
    };
    let any = one(rng, &releases);
    let at = one(rng, &[any, last]);
    let act = &mut story.acts[at];
    let Deed::Deploy(order) = &mut act.deed else {
        unreachable!("it was chosen for being one");
    };
    order.bake_ms = order.bake_ms.min(1_000);
    order.extras.push(Extra {
        target: Some(0),
        is_late: true,
        is_grouped: false,
        work: Work::Run(0, Doubt::RunAgain, false),
        remedies: Vec::new(),
    });
    let place = act.place;
    let back = one(rng, &[Deed::GoBack, Deed::Undo]);
    let told = vec![
        (rng.random_range(500..9_000), back),
        (rng.random_range(0..30), Deed::Tell(Ask::Abort, 1)),
    ];
    insert_all(story, at + 1, place, told);
}

/// These one after the other, each after so many milliseconds.
fn insert_all(story: &mut Story, at: usize, place: usize, deeds: Vec<(u64, Deed)>) {
    let acts = deeds.into_iter().map(|(after_ms, deed)| Act {
        after_ms,
        place,
        deed,
    });
    story.acts.splice(at..at, acts);
}

/// No worker reaches the platform for a while, from about when it has accepted a swap.
fn loses_sight(rng: &mut StdRng, story: &mut Story) {
    if story.weather < Weather::Passing {
        return;
    }
    let mut now_ms = 0;
    let mut swaps = Vec::new();
    for act in &story.acts {
        now_ms += act.after_ms;
        let has_slots = story.places[act.place].targets.contains(&Kind::Swap);
        if has_slots && matches!(act.deed, Deed::Deploy(_) | Deed::Hotfix(..)) {
            swaps.push(now_ms);
        }
    }
    if swaps.is_empty() {
        return;
    }
    let at_ms = one(rng, &swaps) + rng.random_range(20..120);
    let trouble = Trouble::NoPlatform(at_ms, rng.random_range(50..3_000));
    let workers = 0..story.workers.len();
    let incidents = workers.map(|worker| Incident {
        worker,
        trouble: trouble.clone(),
    });
    story.incidents.extend(incidents);
}

/// A release goes out once more, in a place of its own, while what is left of it is removed: by a worker that stands still in
/// that moment, and with a request that comes late.
fn comes_again(rng: &mut StdRng, story: &mut Story) {
    if story.weather < Weather::Passing {
        return;
    }
    let place = story.places.len();
    // It grows and is switched to, and so is the next one; the fifth call removes.
    let late = Fault::Late(rng.random_range(10..60));
    story.places.push(Place {
        targets: vec![Kind::SideBySide],
        instances: 2,
        broken: Vec::new(),
        said: Vec::new(),
        faults: vec![(0, 4, late)],
    });
    let begins_ms = story.acts.iter().map(|act| act.after_ms).sum::<u64>();
    let due_ms = 11_000 + rng.random_range(0..100);
    story.incidents.push(Incident {
        worker: rng.random_range(0..story.workers.len()),
        trouble: Trouble::Stall(begins_ms + due_ms, 2_500),
    });
    let deploys = [(0, 1), (1_000, 2), (due_ms - 1_000 + 5, 1)];
    let acts = deploys.map(|(after_ms, release)| Act {
        after_ms,
        place,
        deed: Deed::Deploy(Order {
            way: Way::BlueGreen,
            ..Order::plain(release)
        }),
    });
    story.acts.extend(acts);
}
