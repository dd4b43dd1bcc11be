//! The list of a service's revisions: numbers only grow, and what is not active any more stays listed.

use super::rules::{Content, HIDDEN, number, resource};
use belay_model::state::{Resource, State};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

/// The revisions that ever were, and the weights.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Listed {
    pub(super) revisions: Vec<One>,
    /// By the short hash of the content; [`LATEST`]: whatever is newest.
    pub(super) weights: BTreeMap<String, u32>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct One {
    pub(super) content: Content,
    pub(super) number: u32,
    pub(super) is_active: bool,
}

pub(super) const LATEST: &str = "latest";
/// Where the platform keeps what is not active any more.
const LIST: &str = "~list";

impl Listed {
    pub(super) fn of(state: &State) -> Self {
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

    pub(super) fn state(&self) -> State {
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

    pub(super) fn add(&mut self, content: Content, is_active: bool) {
        let number = self.revisions.last().map_or(1, |last| last.number + 1);
        self.revisions.push(One {
            content,
            number,
            is_active,
        });
    }

    pub(super) fn active(&self) -> impl Iterator<Item = &One> {
        self.revisions.iter().filter(|one| one.is_active)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.active().any(|one| one.content.record.short() == key)
    }

    /// The weights with `latest` resolved.
    pub(super) fn resolved(&self) -> BTreeMap<String, u32> {
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
pub(super) fn seen(listed: &Listed) -> State {
    let mut state = listed.state();
    state.resources.retain(|key, _| !key.starts_with(HIDDEN));
    state
}
