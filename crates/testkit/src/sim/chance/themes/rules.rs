//! Rules for failures: some are gone past, and after some a phase goes back alone.

use super::super::{one, orders};
use super::orders_of;
use crate::sim::story::{Doubt, Extra, Remedy, Story, Then, Weather, Work};
use crate::{Fault, Kind};
use belay_model::error::Class;
use rand::Rng;
use rand::rngs::StdRng;

/// Failures are ignored: of moves, of commands, of verifications.
pub(super) fn go_on(rng: &mut StdRng, story: &mut Story) {
    let targets: Vec<usize> = story.places.iter().map(|it| it.targets.len()).collect();
    for (place, order) in orders_of(story) {
        for _ in 0..rng.random_range(0..3) {
            let (class, remedy) = ignores(rng);
            match rng.random_range(0..4) {
                0 if !order.extras.is_empty() => {
                    let nth = rng.random_range(0..order.extras.len());
                    order.extras[nth].remedies.insert(0, (class, remedy));
                }
                1 if !order.extras.is_empty() => order.of_group.insert(0, (class, remedy)),
                2 => {
                    let target = rng.random_range(0..targets[place]);
                    order.of_phases.insert(0, (target, class, remedy));
                }
                _ => order.remedies.insert(0, (class, remedy)),
            }
        }
    }
    if story.weather < Weather::Hard {
        return;
    }
    for place in &mut story.places {
        for _ in 0..rng.random_range(0..4) {
            let target = rng.random_range(0..place.targets.len());
            let fault = Fault::Refused(one(rng, &[Class::Application, Class::Authorisation]));
            place.faults.push((target, rng.random_range(0..20), fault));
        }
    }
}

fn ignores(rng: &mut StdRng) -> (Class, Remedy) {
    let classes = [
        Class::Application,
        Class::Application,
        Class::Application,
        Class::Authorisation,
        Class::Connectivity,
        Class::Timeout,
        Class::Verification,
    ];
    let then = one(rng, &[Then::GoOn, Then::GoOn, Then::GoOnQuietly]);
    let remedy = match rng.random_range(0..4) {
        0 => Remedy::AskFor(rng.random_range(100..10_000), then),
        _ => Remedy::Just(then),
    };
    (one(rng, &classes), remedy)
}

/// A phase fails, and a rule says that it goes back alone; what it does on the platform meets faults.
pub(super) fn take_a_phase_back(rng: &mut StdRng, story: &mut Story) {
    if story.weather < Weather::Hard {
        return;
    }
    let places: Vec<Vec<Kind>> = story.places.iter().map(|it| it.targets.clone()).collect();
    let mut phases = Vec::new();
    for (place, order) in orders_of(story) {
        if rng.random_bool(0.3) {
            continue;
        }
        let targets = &places[place];
        // Most in the last one, so that other phases stay.
        let target = match rng.random_bool(0.6) {
            true => targets.len() - 1,
            false => rng.random_range(0..targets.len()),
        };
        if target == 0 && orders::splits(targets[0]) && rng.random_bool(0.5) {
            order.share = Some(rng.random_range(1..100) * 10);
        }
        let remedy = match rng.random_range(0..4) {
            0 => Remedy::AskFor(rng.random_range(100..10_000), Then::PhaseBack),
            _ => Remedy::Just(Then::PhaseBack),
        };
        for class in [
            Class::Application,
            Class::Authorisation,
            Class::Verification,
        ] {
            order.of_phases.insert(0, (target, class, remedy.clone()));
        }
        if rng.random_bool(0.7) {
            order.extras.push(Extra {
                target: Some(target),
                is_late: rng.random_bool(0.8),
                is_grouped: false,
                work: Work::Run(
                    rng.random_range(1..3),
                    one(rng, &[Doubt::RunAgain, Doubt::TakeBack]),
                    rng.random_bool(0.2),
                ),
                remedies: Vec::new(),
            });
        }
        phases.push((place, target));
    }
    for (place, target) in phases {
        for _ in 0..rng.random_range(0..3) {
            let fault = match rng.random_range(0..6) {
                0 | 1 => Fault::Refused(Class::Application),
                2 => Fault::Refused(Class::Authorisation),
                3 => Fault::Half(Class::Application),
                4 => Fault::AnswerLost(Class::Timeout),
                _ => Fault::Half(Class::Connectivity),
            };
            let faults = &mut story.places[place].faults;
            faults.push((target, rng.random_range(0..20), fault));
        }
    }
}
