//! What is asked for with a release, drawn.

use super::{RELEASES, one};
use crate::Kind;
use crate::sim::story::{Doubt, Extra, Order, Place, Remedy, Then, Way, Weather, Work};
use belay_model::config::{BackOrder, BackPhases, Provisioning, ProvisioningOrder};
use belay_model::error::Class;
use rand::Rng;
use rand::rngs::StdRng;

pub(super) fn order(rng: &mut StdRng, place: &Place, weather: Weather) -> Order {
    let is_odd = weather == Weather::People;
    let extras = match rng.random_bool(0.25) {
        true => (0..rng.random_range(1..4))
            .map(|_| extra(rng, place, weather))
            .collect(),
        false => Vec::new(),
    };
    let can_share = splits(place.targets[0]);
    let share = (can_share && rng.random_bool(0.1)).then(|| rng.random_range(1..100) * 10);
    let everywhere = remedies(rng, weather, 0.2, 2);
    let has_steps = !extras.is_empty();
    let of_group = match has_steps {
        true => remedies(rng, weather, 0.3, 2),
        false => Vec::new(),
    };
    let of_phases = remedies(rng, weather, if has_steps { 0.3 } else { 0.05 }, 2);
    let of_phases = of_phases.into_iter();
    let of_phases = of_phases.map(|(class, remedy)| {
        let target = rng.random_range(0..place.targets.len());
        (target, class, remedy)
    });
    let of_phases = of_phases.collect();
    Order {
        release: rng.random_range(1..=RELEASES),
        way: way(rng, &place.targets),
        bake_ms: one(rng, &[0, 0, 1_000, 5_000, 30_000]),
        parallel: rng.random_range(1..4),
        approve: rng
            .random_bool(0.15)
            .then(|| (rng.random_range(1..3), rng.random_range(100..30_000))),
        extras,
        share,
        remedies: everywhere,
        of_phases,
        of_group,
        back: back(rng),
        asks: is_odd && rng.random_bool(0.3),
        leaves: is_odd && rng.random_bool(0.3),
        replaces: rng.random_bool(0.2),
    }
}

/// Whether a release can have a part of the users there.
pub(super) fn splits(kind: Kind) -> bool {
    !matches!(kind, Kind::Workers | Kind::InPlace)
}

/// One that all targets can do.
fn way(rng: &mut StdRng, targets: &[Kind]) -> Way {
    let can = |kind: &Kind, way: &str| match kind {
        Kind::SideBySide => true,
        Kind::Swap | Kind::Revisions => way != "rolling",
        Kind::Workers | Kind::InPlace => way == "rolling",
        Kind::Resized => way != "blue_green",
    };
    let mut possible = vec!["basic"];
    for way in ["rolling", "blue_green", "canary"] {
        if targets.iter().all(|kind| can(kind, way)) {
            possible.push(way);
        }
    }
    match one(rng, &possible) {
        "rolling" => Way::Rolling,
        "blue_green" => Way::BlueGreen,
        "canary" => {
            let shares = (0..rng.random_range(1..4)).map(|_| rng.random_range(1..100));
            let mut shares: Vec<u32> = shares.collect();
            shares.sort_unstable();
            shares.dedup();
            Way::Canary(shares.into_iter().map(|share| (share, 5_000)).collect())
        }
        _ => Way::Basic,
    }
}

fn back(rng: &mut StdRng) -> BackOrder {
    BackOrder {
        phases: one(rng, &[BackPhases::InTurn, BackPhases::AtOnce]),
        provisioning: one(rng, &[Provisioning::Last, Provisioning::First]),
        provisioning_order: one(rng, &[ProvisioningOrder::Reverse, ProvisioningOrder::Same]),
        ..BackOrder::default()
    }
}

fn extra(rng: &mut StdRng, place: &Place, weather: Weather) -> Extra {
    let is_odd = weather == Weather::People;
    let target = rng
        .random_bool(0.7)
        .then(|| rng.random_range(0..place.targets.len()));
    let doubts: &[Doubt] = match is_odd {
        true => &[Doubt::RunAgain, Doubt::TakeBack, Doubt::AskSomeone],
        false => &[Doubt::RunAgain, Doubt::TakeBack],
    };
    let work = match rng.random_range(0..6) {
        0 => Work::Wait(rng.random_range(0..20_000)),
        1 => Work::Ask(rng.random_range(100..20_000)),
        _ => Work::Run(
            one(rng, &[0, 0, 0, 1, 2]),
            one(rng, doubts),
            rng.random_bool(0.3),
        ),
    };
    Extra {
        target,
        is_late: rng.random_bool(0.5),
        is_grouped: rng.random_bool(0.5),
        work,
        remedies: remedies(rng, weather, 0.2, 2),
    }
}

fn remedies(rng: &mut StdRng, weather: Weather, often: f64, most: usize) -> Vec<(Class, Remedy)> {
    match rng.random_bool(often) {
        true => (0..rng.random_range(1..=most))
            .map(|_| remedy(rng, weather))
            .collect(),
        false => Vec::new(),
    }
}

fn remedy(rng: &mut StdRng, weather: Weather) -> (Class, Remedy) {
    let class = one(
        rng,
        &[
            Class::Verification,
            Class::Application,
            Class::Application,
            Class::Connectivity,
            Class::Timeout,
        ],
    );
    let mut last = vec![Then::AllBack];
    if weather >= Weather::Hard {
        last.push(Then::PhaseBack);
    }
    if weather == Weather::People {
        last.push(Then::LeaveIt);
        if class == Class::Verification {
            last.push(Then::GoOn);
        }
    }
    let last = one(rng, &last);
    let remedy = match rng.random_range(0..3) {
        0 => Remedy::TryAgain(rng.random_range(1..4)),
        1 => Remedy::AskFor(rng.random_range(100..10_000), last),
        _ => Remedy::Just(last),
    };
    (class, remedy)
}
