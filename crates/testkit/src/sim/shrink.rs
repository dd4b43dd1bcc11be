//! Makes a story smaller that breaches something, as long as it does: whole parts go first, then what is left is made
//! plain. What it breaches in the end may be something else; it is as wrong.

use super::story::{Deed, Order, Story, Way, Work};
use crate::Hints;
use belay_model::config::BackOrder;

/// The smallest that was found, within that many plays. `fails`: whether a story still breaches something.
pub fn shrunk(story: &Story, plays: usize, fails: impl Fn(&Story) -> bool) -> Story {
    let mut best = story.clone();
    let mut left = plays;
    loop {
        let mut is_smaller = false;
        let mut from = 0;
        // Candidates are of what is best now, so that what went stays gone.
        while let Some(candidate) = smaller(&best).into_iter().nth(from) {
            if left == 0 {
                return best;
            }
            left -= 1;
            if candidate != best && fails(&candidate) {
                best = candidate;
                is_smaller = true;
            } else {
                from += 1;
            }
        }
        if !is_smaller {
            return best;
        }
    }
}

/// Stories that are each a little smaller, the boldest first.
fn smaller(story: &Story) -> Vec<Story> {
    let mut found = Vec::new();
    let mut offer = |change: &dyn Fn(&mut Story)| {
        let mut candidate = story.clone();
        change(&mut candidate);
        if candidate != *story {
            found.push(candidate);
        }
    };
    offer(&|it| it.acts.truncate(it.acts.len() / 2));
    offer(&|it| it.incidents.clear());
    for place in (1..story.places.len()).rev() {
        offer(&|it| {
            it.places.truncate(place);
            it.acts.retain(|act| act.place < place);
        });
    }
    for act in (0..story.acts.len()).rev() {
        offer(&|it| {
            it.acts.remove(act);
        });
    }
    for incident in (0..story.incidents.len()).rev() {
        offer(&|it| {
            it.incidents.remove(incident);
        });
    }
    for worker in (1..story.workers.len()).rev() {
        offer(&|it| {
            it.workers.truncate(worker);
            it.incidents.retain(|incident| incident.worker < worker);
        });
    }
    for worker in 0..story.workers.len() {
        offer(&|it| it.workers[worker] = Hints::Prompt);
    }
    for (number, place) in story.places.iter().enumerate() {
        offer(&|it| it.places[number].faults.clear());
        offer(&|it| it.places[number].said.clear());
        offer(&|it| it.places[number].broken.clear());
        for target in (1..place.targets.len()).rev() {
            offer(&|it| it.places[number].targets.truncate(target));
        }
        for fault in (0..place.faults.len()).rev() {
            offer(&|it| {
                it.places[number].faults.remove(fault);
            });
        }
        for said in (0..place.said.len()).rev() {
            offer(&|it| {
                it.places[number].said.remove(said);
            });
        }
        offer(&|it| it.places[number].instances = 1);
    }
    for (number, act) in story.acts.iter().enumerate() {
        match &act.deed {
            Deed::Deploy(order) => {
                for plainer in plainer(order) {
                    offer(&|it| it.acts[number].deed = Deed::Deploy(plainer.clone()));
                }
            }
            Deed::Hotfix(order, passes) => {
                offer(&|it| it.acts[number].deed = Deed::Deploy(order.clone()));
                for plainer in plainer(order) {
                    offer(&|it| it.acts[number].deed = Deed::Hotfix(plainer.clone(), *passes));
                }
            }
            Deed::Promote(order, from) => {
                offer(&|it| it.acts[number].deed = Deed::Deploy(order.clone()));
                for plainer in plainer(order) {
                    offer(&|it| it.acts[number].deed = Deed::Promote(plainer.clone(), *from));
                }
            }
            Deed::GoTo(release, _) => {
                offer(&|it| it.acts[number].deed = Deed::GoTo(*release, Vec::new()));
            }
            _ => {}
        }
    }
    for answer in (0..story.answers.len()).rev() {
        offer(&|it| {
            it.answers.remove(answer);
        });
    }
    found
}

fn plainer(order: &Order) -> Vec<Order> {
    let plain = Order::plain(order.release);
    let mut found = vec![plain.clone()];
    let way = Order {
        way: Way::Basic,
        ..order.clone()
    };
    let once = Order {
        way: match &order.way {
            Way::Canary(shares) => Way::Canary(shares[..1].to_vec()),
            other => other.clone(),
        },
        ..order.clone()
    };
    found.extend([way, once]);
    let mut without = |change: &dyn Fn(&mut Order)| {
        let mut one = order.clone();
        change(&mut one);
        found.push(one);
    };
    without(&|it| it.bake_ms = 0);
    without(&|it| it.parallel = 1);
    without(&|it| it.approve = None);
    without(&|it| it.share = None);
    without(&|it| it.remedies.clear());
    without(&|it| it.of_phases.clear());
    without(&|it| it.of_group.clear());
    without(&|it| it.back = BackOrder::default());
    without(&|it| it.asks = false);
    without(&|it| it.leaves = false);
    without(&|it| it.replaces = false);
    without(&|it| it.extras.clear());
    for extra in (0..order.extras.len()).rev() {
        without(&|it| {
            it.extras.remove(extra);
        });
        without(&|it| it.extras[extra].remedies.clear());
        without(&|it| {
            if let Work::Run(fails, ..) = &mut it.extras[extra].work {
                *fails = 0;
            }
        });
    }
    found
}
