//! Stories from seeds.

mod orders;
mod themes;

use super::story::{Act, Deed, Incident, Place, Story, Trouble, Weather};
use crate::{Fault, Hints, Kind};
use belay_model::back::Risk;
use belay_model::error::Class;
use belay_model::event::Ask;
use belay_model::plan::Look;
use belay_model::verdict::Outcome as Said;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// Releases that a place has.
const RELEASES: u32 = 5;
/// Kills, losses and passing faults of a story, so that no step of a way back meets as many as it is tried.
const PASSING: usize = 6;

/// The story of a seed.
pub fn draw(seed: u64) -> Story {
    let mut rng = StdRng::seed_from_u64(seed);
    let rng = &mut rng;
    // In turn, so that few seeds meet each kind and each weather as often as any other.
    let all = Weather::ALL.len() as u64;
    let weather = Weather::ALL[usize::try_from(seed % all).expect("few")];
    let first = Kind::ALL[usize::try_from(seed / all % 6).expect("few")];
    let many = *[1, 1, 1, 2, 2, 3].choose(rng).expect("some");
    let mut places: Vec<Place> = (0..many).map(|_| place(rng, weather)).collect();
    places[0].targets[0] = first;
    let workers = (0..rng.random_range(1..4))
        .map(|_| hints(rng, weather))
        .collect::<Vec<_>>();
    let acts = (0..rng.random_range(3..12)).map(|_| act(rng, &places, weather));
    let acts: Vec<Act> = acts.collect();
    let mut at_ms = 0;
    let times = acts.iter().map(|act| {
        at_ms += act.after_ms;
        at_ms
    });
    let times: Vec<u64> = times.collect();
    let many = rng.random_range(0..=PASSING);
    let incidents = (0..many).filter_map(|_| incident(rng, weather, workers.len(), &times));
    let incidents = incidents.collect();
    let answers = (0..rng.random_range(0..6)).map(|_| answer(rng)).collect();
    let story = Story {
        weather,
        places,
        workers,
        acts,
        incidents,
        answers,
    };
    themes::with(seed, story)
}

fn one<T: Clone>(rng: &mut StdRng, from: &[T]) -> T {
    from.choose(rng).expect("some").clone()
}

fn place(rng: &mut StdRng, weather: Weather) -> Place {
    let targets = one(rng, &[1, 1, 1, 2, 3]);
    let targets: Vec<Kind> = (0..targets).map(|_| one(rng, &Kind::ALL)).collect();
    let mut said = Vec::new();
    for release in 1..=RELEASES {
        if rng.random_bool(0.3) {
            let look = one(rng, &[Look::Staged, Look::Live, Look::Bake]);
            let what = one(rng, &[Said::Fail, Said::Fail, Said::Inconclusive]);
            said.push((release, look, what));
        }
    }
    let broken = match rng.random_bool(0.2) {
        true => vec![rng.random_range(1..=RELEASES)],
        false => Vec::new(),
    };
    let mut faults = Vec::new();
    if weather >= Weather::Passing {
        for _ in 0..rng.random_range(0..PASSING) {
            let target = rng.random_range(0..targets.len());
            faults.push((target, rng.random_range(0..40), fault(rng)));
        }
    }
    if weather >= Weather::Hard && rng.random_bool(0.4) {
        // Longer than anybody tries.
        let (target, first) = (rng.random_range(0..targets.len()), rng.random_range(0..12));
        let class = one(
            rng,
            &[
                Class::Application,
                Class::Connectivity,
                Class::Authorisation,
                Class::Unknown,
            ],
        );
        let lasting = (first..first + 14).map(|call| (target, call, Fault::Refused(class)));
        faults.extend(lasting);
    }
    Place {
        targets,
        instances: rng.random_range(1..=4),
        broken,
        said,
        faults,
    }
}

fn fault(rng: &mut StdRng) -> Fault {
    match rng.random_range(0..5) {
        0 => Fault::Refused(Class::Connectivity),
        1 => Fault::AnswerLost(Class::Timeout),
        2 => Fault::Half(Class::Connectivity),
        3 => Fault::Throttled(500),
        _ => Fault::Late(rng.random_range(1..40)),
    }
}

fn hints(rng: &mut StdRng, weather: Weather) -> Hints {
    if weather < Weather::Cutting {
        return Hints::Prompt;
    }
    match rng.random_range(0..8) {
        0 => Hints::LateBy(rng.random_range(1..2_000)),
        1 => Hints::Lost,
        2 => Hints::Doubled,
        _ => Hints::Prompt,
    }
}

fn act(rng: &mut StdRng, places: &[Place], weather: Weather) -> Act {
    let place = rng.random_range(0..places.len());
    Act {
        after_ms: pause(rng),
        place,
        deed: deed(rng, &places[place], weather),
    }
}

fn pause(rng: &mut StdRng) -> u64 {
    match rng.random_range(0..6) {
        0 => 0,
        1 | 2 => rng.random_range(0..100),
        3 => rng.random_range(0..3_000),
        _ => rng.random_range(0..40_000),
    }
}

fn deed(rng: &mut StdRng, place: &Place, weather: Weather) -> Deed {
    let target = rng.random_range(0..place.targets.len());
    match rng.random_range(0..100) {
        0..10 => Deed::GoBack,
        10..16 => Deed::Undo,
        16..32 => {
            let mut asks = vec![
                Ask::Abort,
                Ask::Approve,
                Ask::Approve,
                Ask::Reject,
                Ask::Pause,
                Ask::Resume,
                Ask::Advance,
                Ask::Retry,
                Ask::Skip,
            ];
            if weather == Weather::People {
                asks.extend([Ask::Stop, Ask::Abandon]);
            }
            Deed::Tell(one(rng, &asks), one(rng, &[0, 1, 1, 1, 1, 2]))
        }
        90..95 => Deed::Hotfix(orders::order(rng, place, weather), rng.random_bool(0.3)),
        95..100 => Deed::GoTo(rng.random_range(1..=RELEASES), accept(rng)),
        32..34 => Deed::Freeze(rng.random_range(0..3)),
        34..36 => Deed::Thaw,
        36..39 => Deed::Reseal(rng.random_range(1..=RELEASES)),
        39..50 if weather == Weather::Foreign => Deed::Meddle(target),
        50..54 if weather == Weather::Foreign => Deed::Sicken(target),
        39..46 if weather == Weather::Hard => {
            let class = one(rng, &[Class::Connectivity, Class::Authentication]);
            Deed::LockOut(target, class, rng.random_range(100..20_000))
        }
        _ => Deed::Deploy(orders::order(rng, place, weather)),
    }
}

fn accept(rng: &mut StdRng) -> Vec<Risk> {
    let risks = [Risk::Unproven, Risk::Drift].into_iter();
    risks.filter(|_| rng.random_bool(0.4)).collect()
}

fn incident(rng: &mut StdRng, weather: Weather, workers: usize, times: &[u64]) -> Option<Incident> {
    if weather == Weather::Calm {
        return None;
    }
    // Most where something has just been asked for.
    let at_ms = match rng.random_bool(0.7) {
        true => one(rng, times) + rng.random_range(0..100),
        false => rng.random_range(0..times[times.len() - 1] + 3_000),
    };
    let trouble = match rng.random_range(0..12) {
        10 if weather >= Weather::Cutting => Trouble::Leap(at_ms, rng.random_range(1..60_000)),
        11 if weather >= Weather::Cutting => Trouble::Stall(at_ms, rng.random_range(1..5_000)),
        6 if weather >= Weather::Cutting => Trouble::NoStore(at_ms, rng.random_range(1..5_000)),
        7 if weather >= Weather::Cutting => Trouble::NoAnswers(at_ms, rng.random_range(1..5_000)),
        8 if weather >= Weather::Cutting => {
            Trouble::Jump(at_ms, rng.random_range(-600_000..600_000))
        }
        9 if weather >= Weather::Passing => Trouble::NoPlatform(at_ms, rng.random_range(1..3_000)),
        _ => Trouble::Kill(rng.random_range(0..70)),
    };
    Some(Incident {
        worker: rng.random_range(0..workers),
        trouble,
    })
}

fn answer(rng: &mut StdRng) -> Ask {
    one(
        rng,
        &[
            Ask::Retry,
            Ask::Retry,
            Ask::Retry,
            Ask::Skip,
            Ask::Abandon,
            Ask::Abort,
            Ask::Stop,
        ],
    )
}
