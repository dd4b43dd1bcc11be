//! Groups side by side with weights, as local processes and most platforms are. A group grows only while somebody asks
//! for it; the weights change all at once, under a precondition.

use super::rules::{
    Broken, Content, NOBODY, Rules, effect, instances_of, is_more, is_ready, move_traffic, number,
    resource, shared,
};
use belay_driver::{Capabilities, Capacity, Error, Old, Split, Stage};
use belay_model::plan::{Effect, Verb, Wave};
use belay_model::release::Record;
use belay_model::state::{Goal, Resource, State, Weight};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

/// See the module.
pub(super) struct SideBySide {
    /// Instances per group.
    pub(super) instances: u32,
    /// Without it groups work as soon as they are there: nothing is switched, and nothing stands by.
    pub(super) takes_traffic: bool,
}

impl SideBySide {
    /// The largest of the groups at work.
    fn largest(&self, there: &Groups) -> Option<(String, u32)> {
        let groups = there.groups.iter();
        let at_work = groups.filter(|(name, _)| !self.is_warm(there, name));
        let sizes = at_work.map(|(name, group)| (name.clone(), group.instances));
        sizes.max_by_key(|(_, instances)| *instances)
    }

    /// A group that is only kept warm at this goal.
    fn is_warm(&self, want: &Groups, name: &str) -> bool {
        self.takes_traffic && !want.weights.contains_key(name)
    }
}

#[derive(Clone, Default)]
struct Groups {
    groups: BTreeMap<String, Group>,
    weights: BTreeMap<String, u32>,
}

#[derive(Clone)]
struct Group {
    content: Content,
    instances: u32,
    is_ready: bool,
}

#[derive(Serialize, Deserialize)]
enum Params {
    Grow(Content, u32),
    Weights(BTreeMap<String, u32>),
    Reduce(String, u32),
    Shrink(String),
}

fn params(effect: &Effect) -> Params {
    serde_json::from_value(effect.params.clone()).expect("own parameters")
}

impl Groups {
    fn of(state: &State) -> Self {
        let mut groups = BTreeMap::new();
        for (key, resource) in &state.resources {
            let (Some(name), Some(content)) = (key.strip_prefix("group/"), Content::at(resource))
            else {
                continue;
            };
            let group = Group {
                content,
                instances: number(&resource.spec, "instances"),
                is_ready: is_ready(resource),
            };
            groups.insert(name.to_owned(), group);
        }
        let route = state.resources.get("route");
        let weights = route.map(|route| route.spec["weights"].clone());
        Self {
            groups,
            weights: weights
                .and_then(|weights| serde_json::from_value(weights).ok())
                .unwrap_or_default(),
        }
    }

    fn state(&self) -> State {
        let mut state = State::default();
        for (name, group) in &self.groups {
            let spec = json!({ "record": group.content.record, "instances": group.instances });
            let resource = resource(spec, &group.content.name, group.is_ready);
            state.resources.insert(format!("group/{name}"), resource);
        }
        if !self.weights.is_empty() {
            let route = Resource {
                spec: json!({ "weights": self.weights }),
                ..Resource::default()
            };
            state.resources.insert("route".to_owned(), route);
        }
        state
    }
}

impl Rules for SideBySide {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            split: if self.takes_traffic {
                Split::Weights
            } else {
                Split::None
            },
            staged: true,
            warm_standby: self.takes_traffic,
            supersedes: false,
            units: self.instances,
        }
    }

    fn desired(&self, record: &Record) -> State {
        let content = Content::of(record);
        let name = content.name.clone();
        let group = Group {
            content,
            instances: instances_of(record, self.instances),
            is_ready: true,
        };
        let groups = BTreeMap::from([(name.clone(), group)]);
        let weight = self.takes_traffic.then_some((name, 1000));
        let weights = weight.into_iter().collect();
        Groups { groups, weights }.state()
    }

    fn plan(
        &self,
        from: &State,
        want: &State,
        _: &Goal,
        stage: Stage,
    ) -> Result<Vec<Effect>, Error> {
        let (now, want) = (Groups::of(from), Groups::of(want));
        let mut effects = Vec::new();
        let works = |name: &&String| !self.is_warm(&want, name);
        for name in want.groups.keys().filter(works) {
            let group = &want.groups[name];
            let needed = (group.instances * stage.capacity).div_ceil(1000);
            let there = now.groups.get(name).map(|group| group.instances);
            if there.is_none_or(|there| there < needed) {
                let params = Params::Grow(group.content.clone(), needed);
                let title = format!("grow {name} to {needed}");
                let records = vec![group.content.record.clone()];
                effects.push(effect(Verb::Stage, Wave::Grow, title, &params, records));
            }
        }
        let weights = shared(&want.weights, &now.weights, stage.share);
        effects.extend(
            (weights != now.weights)
                .then(|| move_traffic(&Params::Weights(weights.clone()), &weights)),
        );
        let gone = |name: &&String| !want.groups.contains_key(*name);
        if stage.old == Old::Remove {
            for name in want.groups.keys().filter(works) {
                let wanted = want.groups[name].instances;
                let there = now.groups.get(name).map_or(0, |group| group.instances);
                if there > wanted {
                    let title = format!("reduce {name} to {wanted}");
                    let params = Params::Reduce(name.clone(), wanted);
                    let records = Vec::new();
                    effects.push(effect(Verb::Retire, Wave::Shrink, title, &params, records));
                }
            }
            for name in now.groups.keys().filter(gone) {
                let title = format!("remove {name}");
                let params = Params::Shrink(name.clone());
                effects.push(effect(
                    Verb::Retire,
                    Wave::Shrink,
                    title,
                    &params,
                    Vec::new(),
                ));
            }
        }
        Ok(effects)
    }

    fn capacity(&self, state: &State) -> Option<Capacity> {
        let (_, desired) = self.largest(&Groups::of(state))?;
        Some(Capacity {
            desired,
            bounds: None,
        })
    }

    fn scaled(&self, state: &State, instances: u32) -> State {
        let mut state = state.clone();
        if let Some((name, _)) = self.largest(&Groups::of(&state))
            && let Some(group) = state.resources.get_mut(&format!("group/{name}"))
        {
            group.spec["instances"] = json!(instances);
        }
        state
    }

    fn parts(&self, _: &State, effect: &Effect) -> usize {
        match params(effect) {
            // A switch is one atomic change and has no inside.
            Params::Weights(_) | Params::Reduce(..) => 1,
            Params::Grow(..) | Params::Shrink(_) => 2,
        }
    }

    fn make(&self, there: &mut State, effect: &Effect, part: usize, broken: &Broken) {
        let mut world = Groups::of(there);
        match params(effect) {
            Params::Grow(content, count) => {
                // Growing never takes away what is there, however it breaks.
                let before = world.groups.get(&content.name);
                let before = before.map_or(0, |group| group.instances);
                let half = before.max(count / 2);
                let group = Group {
                    instances: if part == 0 { half } else { before.max(count) },
                    is_ready: !broken.contains(&content.record),
                    content,
                };
                if group.instances > 0 {
                    world.groups.insert(group.content.name.clone(), group);
                }
            }
            Params::Weights(weights) => world.weights = weights,
            Params::Reduce(name, count) => {
                if let Some(group) = world.groups.get_mut(&name) {
                    group.instances = group.instances.min(count);
                }
            }
            Params::Shrink(name) if part == 0 => {
                if let Some(group) = world.groups.get_mut(&name) {
                    group.instances = (group.instances / 2).max(1);
                }
            }
            Params::Shrink(name) => {
                world.groups.remove(&name);
            }
        }
        *there = world.state();
    }

    fn goes_on_by_itself(&self, _: &Effect) -> bool {
        false
    }

    fn fences(&self) -> bool {
        true
    }

    fn weight(&self, want: &State, have: &State, key: &str) -> Weight {
        // As on real platforms, a group without traffic may be gone: it was only kept warm.
        let wanted = Groups::of(want);
        let name = key.strip_prefix("group/");
        let is_warm = name.is_some_and(|name| self.is_warm(&wanted, name));
        let is_gone = is_warm && !have.resources.contains_key(key);
        if is_gone || is_more(want, have, key, &["instances"]) {
            Weight::Informational
        } else {
            Weight::Must
        }
    }

    fn users(&self, there: &State) -> BTreeMap<String, u32> {
        let world = Groups::of(there);
        if !self.takes_traffic {
            // Who takes the work: all that are ready, each as much as the other.
            let ready = world.groups.into_iter().filter(|(_, group)| group.is_ready);
            let ready: Vec<_> = ready.map(|(name, group)| (name, group.instances)).collect();
            let all: u32 = ready.iter().map(|(_, instances)| instances).sum();
            let share = |(name, instances)| (name, 1000 * instances / all);
            return ready.into_iter().map(share).collect();
        }
        let mut users = BTreeMap::new();
        for (name, weight) in &world.weights {
            let works = world.groups.get(name).is_some_and(|group| group.is_ready);
            let who = if works { name } else { NOBODY };
            *users.entry(who.to_owned()).or_default() += weight;
        }
        users
    }

    fn weights(&self, there: &State) -> BTreeMap<String, u32> {
        Groups::of(there).weights
    }

    fn copies(&self, there: &State) -> Vec<String> {
        Groups::of(there).groups.into_keys().collect()
    }

    fn meddle(&self, there: &mut State) {
        let mut world = Groups::of(there);
        world.weights = BTreeMap::from([("stranger".to_owned(), 1000)]);
        *there = world.state();
    }
}
