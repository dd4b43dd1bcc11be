//! Revisions that are never rewound, as of Container Apps and Logic Apps: every deploy makes a new number, going back to
//! what is not active any more makes another one with the old content. Traffic goes by weight, or to the newest one
//! wherever it comes from. Making a revision is no idempotent call: twice is two. Numbers are facts, contents are what
//! is compared. There are no preconditions.

use super::listed::{LATEST, Listed, seen};
use super::rules::{Broken, Content, NOBODY, Rules, effect, move_traffic, shared};
use belay_driver::{Availability, Capabilities, Error, Old, Revision, Split, Stage};
use belay_model::plan::{Effect, Verb, Wave};
use belay_model::release::Record;
use belay_model::state::{Goal, State, Weight};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// See the module.
pub(super) struct Revisions;

#[derive(Serialize, Deserialize)]
enum Params {
    /// A new revision. Where the traffic follows the newest one it is pinned to the present one in the same request.
    Create(Content),
    Weights(BTreeMap<String, u32>),
    Deactivate(Content),
}

fn params(effect: &Effect) -> Params {
    serde_json::from_value(effect.params.clone()).expect("own parameters")
}

fn moves(weights: &BTreeMap<String, u32>) -> Effect {
    move_traffic(&Params::Weights(weights.clone()), weights)
}

/// The last move, where the traffic shall follow the newest revision, whichever that is: once it is the right one.
fn follows(then: &Listed, want: &Listed) -> Option<Effect> {
    let following = Listed {
        weights: want.weights.clone(),
        ..then.clone()
    };
    let is_right = following.resolved() == want.resolved();
    (is_right && then.weights != want.weights).then(|| Effect {
        wave: Wave::Shrink,
        ..moves(&want.weights)
    })
}

impl Rules for Revisions {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            split: Split::Weights,
            staged: true,
            warm_standby: true,
            supersedes: false,
            // A revision is replaced whole.
            units: 0,
        }
    }

    fn desired(&self, record: &Record) -> State {
        let content = Content::of(record);
        let weights = BTreeMap::from([(content.record.short().to_owned(), 1000)]);
        let mut listed = Listed {
            weights,
            ..Listed::default()
        };
        listed.add(content, true);
        seen(&listed)
    }

    fn plan(
        &self,
        from: &State,
        want: &State,
        _: &Goal,
        stage: Stage,
    ) -> Result<Vec<Effect>, Error> {
        let (now, want) = (Listed::of(from), Listed::of(want));
        let mut effects = Vec::new();
        let wanted = want.resolved();
        for revision in want.active() {
            let Content { record, name } = &revision.content;
            if !wanted.contains_key(record.short()) || now.has(record.short()) {
                continue;
            }
            let title = format!("make a revision of {name}");
            let params = Params::Create(revision.content.clone());
            effects.push(Effect {
                // Done twice there are two.
                idempotent: false,
                ..effect(
                    Verb::Stage,
                    Wave::Grow,
                    title,
                    &params,
                    vec![record.clone()],
                )
            });
        }
        let weights = shared(&wanted, &now.resolved(), stage.share);
        // Where the traffic follows the newest one, and that is the right one, there is nothing to move.
        let is_met = now.weights == want.weights && now.resolved() == wanted && effects.is_empty();
        effects.extend((weights != now.weights && !is_met).then(|| moves(&weights)));
        let mut gone: Vec<&Content> = now.active().map(|one| &one.content).collect();
        gone.retain(|content| stage.old == Old::Remove && !want.has(content.record.short()));
        gone.dedup_by_key(|content| &content.record);
        for content in gone {
            let title = format!("deactivate {}", content.name);
            let params = Params::Deactivate(content.clone());
            effects.push(effect(
                Verb::Retire,
                Wave::Shrink,
                title,
                &params,
                Vec::new(),
            ));
        }
        if stage.old == Old::Remove && stage.share == 1000 {
            let then = |at: State, effect: &Effect| self.after(&at, effect);
            let then = Listed::of(&effects.iter().fold(from.clone(), then));
            effects.extend(follows(&then, &want));
        }
        Ok(effects)
    }

    fn parts(&self, _: &State, effect: &Effect) -> usize {
        match params(effect) {
            // Pinned and numbered, provisioned, active.
            Params::Create(_) => 3,
            Params::Weights(_) | Params::Deactivate(_) => 1,
        }
    }

    fn make(&self, there: &mut State, effect: &Effect, part: usize, broken: &Broken) {
        let mut listed = Listed::of(there);
        match params(effect) {
            Params::Create(_) if part == 0 => listed.weights = listed.resolved(),
            Params::Create(_) if part == 1 => {}
            // One that fails stays in the list, and is nothing else.
            Params::Create(content) => {
                let is_active = !broken.contains(&content.record);
                listed.add(content, is_active);
            }
            Params::Weights(weights) => listed.weights = weights,
            Params::Deactivate(content) => {
                for one in &mut listed.revisions {
                    one.is_active &= one.content.record != content.record;
                }
            }
        }
        *there = listed.state();
    }

    fn goes_on_by_itself(&self, effect: &Effect) -> bool {
        matches!(params(effect), Params::Create(_))
    }

    fn gives_up(&self, effect: &Effect) -> bool {
        self.goes_on_by_itself(effect)
    }

    fn fences(&self) -> bool {
        false
    }

    fn weight(&self, want: &State, have: &State, key: &str) -> Weight {
        // One that has no traffic where it is wanted may be gone: it was only kept warm.
        let wanted = Listed::of(want).resolved();
        let short = key.strip_prefix("revision/");
        let is_warm = short.is_some_and(|short| !wanted.contains_key(short));
        if is_warm && !have.resources.contains_key(key) {
            Weight::Informational
        } else {
            Weight::Must
        }
    }

    fn users(&self, there: &State) -> BTreeMap<String, u32> {
        let listed = Listed::of(there);
        let mut users = BTreeMap::new();
        for (key, weight) in listed.resolved() {
            let mut active = listed.active();
            let own = active.find(|one| one.content.record.short() == key);
            let who = own.map_or(NOBODY, |one| &one.content.name);
            *users.entry(who.to_owned()).or_default() += weight;
        }
        users
    }

    fn copies(&self, there: &State) -> Vec<String> {
        let listed = Listed::of(there);
        listed
            .active()
            .map(|one| one.content.name.clone())
            .collect()
    }

    fn history(&self, there: &State) -> Vec<Revision> {
        let all = Listed::of(there).revisions.into_iter().rev();
        let told = all.map(|one| Revision {
            name: format!("revision {}", one.number),
            title: one.content.name,
            number: Some(one.number.into()),
            since_us: None,
            images: Vec::new(),
            cause: None,
            is_current: false,
            availability: Availability::Unknown("this world does not keep it".to_owned()),
        });
        told.collect()
    }

    fn meddle(&self, there: &mut State) {
        let mut listed = Listed::of(there);
        listed.weights = BTreeMap::from([(LATEST.to_owned(), 1000)]);
        *there = listed.state();
    }
}
