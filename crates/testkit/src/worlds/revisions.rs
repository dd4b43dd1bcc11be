//! Revisions that are never rewound, as of Container Apps and Logic Apps: every deploy makes a new number, going back to
//! what is not active any more makes another one with the old content. Traffic goes by weight, or to the newest one
//! wherever it comes from. Making a revision is no idempotent call: twice is two. Numbers are facts, contents are what
//! is compared. There are no preconditions.

use super::rules::{
    Broken, Content, HIDDEN, NOBODY, Rules, effect, move_traffic, number, resource, shared,
};
use belay_driver::{Capabilities, Error, Old, Revision, Split, Stage};
use belay_model::plan::{Effect, Verb, Wave};
use belay_model::release::Record;
use belay_model::state::{Goal, Resource, State, Weight};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

/// See the module.
pub(super) struct Revisions;

/// The revisions that ever were, and the weights.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Listed {
    revisions: Vec<One>,
    /// By the short hash of the content; [`LATEST`]: whatever is newest.
    weights: BTreeMap<String, u32>,
}

#[derive(Clone, Serialize, Deserialize)]
struct One {
    content: Content,
    number: u32,
    is_active: bool,
}

#[derive(Serialize, Deserialize)]
enum Params {
    /// A new revision. Where the traffic follows the newest one it is pinned to the present one in the same request.
    Create(Content),
    Weights(BTreeMap<String, u32>),
    Deactivate(Content),
}

const LATEST: &str = "latest";
/// Where the platform keeps what is not active any more.
const LIST: &str = "~list";

fn params(effect: &Effect) -> Params {
    serde_json::from_value(effect.params.clone()).expect("own parameters")
}

impl Listed {
    fn of(state: &State) -> Self {
        let list = state.resources.get(LIST).map(|list| list.facts.clone());
        let mut listed: Self = list
            .and_then(|list| serde_json::from_value(list).ok())
            .unwrap_or_default();
        // A state that someone wants, or foresees from what was seen, knows only what is active.
        if listed.revisions.is_empty() {
            for resource in state.resources.values() {
                let copies = resource.spec["active"].as_u64().unwrap_or(0);
                let content = Content::at(resource).filter(|_| copies > 0);
                let newest = number(&resource.facts, "newest");
                for content in content
                    .iter()
                    .cycle()
                    .take(usize::try_from(copies).unwrap_or(1))
                {
                    listed.revisions.push(One {
                        content: content.clone(),
                        number: newest,
                        is_active: true,
                    });
                }
            }
            listed.revisions.sort_by_key(|one| one.number);
        }
        let route = state.resources.get("route");
        let weights = route.map(|route| route.spec["weights"].clone());
        listed.weights = weights
            .and_then(|weights| serde_json::from_value(weights).ok())
            .unwrap_or_default();
        listed
    }

    fn state(&self) -> State {
        let mut state = State::default();
        for revision in self.revisions.iter().filter(|one| one.is_active) {
            let Content { record, name } = &revision.content;
            let same = |one: &&One| one.is_active && one.content.record == *record;
            let active = self.revisions.iter().filter(same).count();
            let spec = json!({ "record": record, "active": active });
            let key = format!("revision/{}", record.short());
            let mut resource = resource(spec, name, true);
            // In order, so the last one stands.
            resource.facts["newest"] = json!(revision.number);
            state.resources.insert(key, resource);
        }
        if !self.weights.is_empty() {
            let route = Resource {
                spec: json!({ "weights": self.weights }),
                ..Resource::default()
            };
            state.resources.insert("route".to_owned(), route);
        }
        let list = Resource {
            facts: serde_json::to_value(self).expect("plain data"),
            ..Resource::default()
        };
        state.resources.insert(LIST.to_owned(), list);
        state
    }

    fn add(&mut self, content: Content, is_active: bool) {
        let number = self.revisions.last().map_or(1, |last| last.number + 1);
        self.revisions.push(One {
            content,
            number,
            is_active,
        });
    }

    fn active(&self) -> impl Iterator<Item = &One> {
        self.revisions.iter().filter(|one| one.is_active)
    }

    fn has(&self, key: &str) -> bool {
        self.active().any(|one| one.content.record.short() == key)
    }

    /// The weights with `latest` resolved.
    fn resolved(&self) -> BTreeMap<String, u32> {
        let mut weights = self.weights.clone();
        let newest = self.active().last();
        if let Some((share, newest)) = weights.remove(LATEST).zip(newest) {
            let key = newest.content.record.short().to_owned();
            *weights.entry(key).or_default() += share;
        }
        weights
    }
}

/// What a driver can see of it.
fn seen(listed: &Listed) -> State {
    let mut state = listed.state();
    state.resources.retain(|key, _| !key.starts_with(HIDDEN));
    state
}

impl Rules for Revisions {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            split: Split::Weights,
            warm_standby: true,
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
        effects.extend(
            (weights != now.weights)
                .then(|| move_traffic(&Params::Weights(weights.clone()), &weights)),
        );
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
            since_us: None,
        });
        told.collect()
    }

    fn meddle(&self, there: &mut State) {
        let mut listed = Listed::of(there);
        listed.weights = BTreeMap::from([(LATEST.to_owned(), 1000)]);
        *there = listed.state();
    }
}
