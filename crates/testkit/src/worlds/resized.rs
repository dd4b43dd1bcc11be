//! Groups of instances behind one balancer, as scaling groups and services of ECS: what is ready there gets its part of
//! the traffic, so a share is a share of the instances, and the only way to move it is to make one group bigger and the
//! other smaller. The platform starts and stops instances by itself; nothing can stand aside. There are no
//! preconditions.

use super::rules::{
    Broken, Content, Rules, effect, instances_of, is_more, number, resource, whole_after,
};
use belay_driver::{Capabilities, Capacity, Error, Old, Split, Stage};
use belay_model::plan::{Effect, Verb, Wave};
use belay_model::release::Record;
use belay_model::state::{Goal, State, Weight};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// See the module.
pub(super) struct Resized {
    /// Instances of a whole group.
    pub(super) instances: u32,
}

#[derive(Clone)]
struct Group {
    content: Content,
    /// How many are asked for.
    desired: u32,
    /// How many are ready.
    instances: u32,
}

type Groups = BTreeMap<String, Group>;

#[derive(Serialize, Deserialize)]
enum Params {
    Resize(Content, u32),
    Delete(String),
}

fn params(effect: &Effect) -> Params {
    serde_json::from_value(effect.params.clone()).expect("own parameters")
}

fn of(state: &State) -> Groups {
    let groups = state.resources.iter().filter_map(|(key, resource)| {
        let group = Group {
            content: Content::at(resource)?,
            desired: number(&resource.spec, "desired"),
            instances: number(&resource.spec, "instances"),
        };
        Some((key.strip_prefix("group/")?.to_owned(), group))
    });
    groups.collect()
}

fn state(groups: &Groups) -> State {
    let mut state = State::default();
    for (name, group) in groups {
        let Group {
            content,
            desired,
            instances,
        } = group;
        let spec = json!({ "record": content.record, "desired": desired, "instances": instances });
        let resource = resource(spec, &content.name, true);
        state.resources.insert(format!("group/{name}"), resource);
    }
    state
}

fn resize(wave: Wave, content: &Content, desired: u32) -> Effect {
    let title = format!("resize {} to {desired}", content.name);
    let (verb, records) = match wave {
        Wave::Grow => (Verb::Stage, vec![content.record.clone()]),
        Wave::Switch => (Verb::Shift, Vec::new()),
        Wave::Shrink => (Verb::Retire, Vec::new()),
    };
    let params = Params::Resize(content.clone(), desired);
    effect(verb, wave, title, &params, records)
}

impl Rules for Resized {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            split: Split::Instances,
            staged: false,
            warm_standby: false,
            supersedes: false,
            units: self.instances,
        }
    }

    fn desired(&self, record: &Record) -> State {
        let content = Content::of(record);
        let instances = instances_of(record, self.instances);
        let group = Group {
            desired: instances,
            instances,
            content,
        };
        state(&BTreeMap::from([(group.content.name.clone(), group)]))
    }

    /// The new one first: the old one gets smaller only when enough of the new one is ready.
    fn plan(
        &self,
        from: &State,
        want: &State,
        _: &Goal,
        stage: Stage,
    ) -> Result<Vec<Effect>, Error> {
        let (now, want) = (of(from), of(want));
        let mut effects = Vec::new();
        let wanted = |name: &String| want.get(name).filter(|group| group.desired > 0);
        let mut rest = 0;
        for (name, group) in &want {
            let needed = (group.desired * stage.share).div_ceil(1000);
            rest += group.desired - needed;
            let there = now.get(name).map(|group| (group.desired, group.instances));
            let is_enough =
                there.is_some_and(|(desired, ready)| desired >= needed && ready >= needed);
            if needed > 0 && !is_enough {
                effects.push(resize(Wave::Grow, &group.content, needed));
            }
        }
        let is_whole = want.values().any(|group| group.desired > 0);
        let others = now.iter().filter(|(name, _)| wanted(name).is_none());
        for (_, group) in others.filter(|_| is_whole) {
            let left = group.desired.min(rest);
            rest -= left;
            if group.desired != left || group.instances > left {
                effects.push(resize(Wave::Switch, &group.content, left));
            }
        }
        let gone = |name: &&String| !want.contains_key(*name);
        if stage.old == Old::Remove {
            for (name, group) in want.iter().filter(|(_, group)| group.desired > 0) {
                let there = now.get(name).map_or(0, |there| there.desired);
                if there > group.desired {
                    effects.push(resize(Wave::Shrink, &group.content, group.desired));
                }
            }
            for name in now.keys().filter(gone) {
                let title = format!("delete {name}");
                let params = Params::Delete(name.clone());
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
        // A share is one of the instances, so all of them are at work.
        let desired = of(state).values().map(|group| group.desired).sum();
        (desired > 0).then_some(Capacity {
            desired,
            bounds: None,
        })
    }

    /// Each group has the part of them that it had: it is its share of the traffic.
    fn scaled(&self, there: &State, instances: u32) -> State {
        let mut groups = of(there);
        let asked: u32 = groups.values().map(|group| group.desired).sum();
        if asked == 0 || asked == instances {
            return there.clone();
        }
        let whole = instances.max(1);
        let part = |group: &Group| (group.desired * whole / asked, group.desired * whole % asked);
        let left = whole - groups.values().map(|group| part(group).0).sum::<u32>();
        // What rounding leaves goes where most was cut off.
        let mut by_rest: Vec<&mut Group> = groups.values_mut().collect();
        by_rest.sort_by_key(|group| Reverse(part(group).1));
        for (nth, group) in (0..).zip(by_rest) {
            group.desired = part(group).0 + u32::from(nth < left);
            group.instances = group.desired;
        }
        state(&groups)
    }

    fn parts(&self, there: &State, effect: &Effect) -> usize {
        let ready = |name: &str| of(there).get(name).map_or(0, |group| group.instances);
        match params(effect) {
            Params::Resize(content, desired) => 1 + ready(&content.name).abs_diff(desired) as usize,
            // Its instances are stopped first.
            Params::Delete(_) => 2,
        }
    }

    fn make(&self, there: &mut State, effect: &Effect, part: usize, broken: &Broken) {
        let mut groups = of(there);
        match params(effect) {
            Params::Resize(content, desired) if part == 0 => {
                let new = Group {
                    content: content.clone(),
                    desired,
                    instances: 0,
                };
                groups.entry(content.name).or_insert(new).desired = desired;
            }
            Params::Resize(content, _) => {
                // Whoever asked last is who the platform works for.
                if let Some(group) = groups.get_mut(&content.name) {
                    if group.instances > group.desired {
                        group.instances -= 1;
                    } else if group.instances < group.desired && !broken.contains(&content.record) {
                        group.instances += 1;
                    }
                }
            }
            Params::Delete(name) if part == 0 => {
                if let Some(group) = groups.get_mut(&name) {
                    (group.desired, group.instances) = (0, 0);
                }
            }
            Params::Delete(name) => {
                groups.remove(&name);
            }
        }
        *there = state(&groups);
    }

    /// What is stuck on its way up is not foreseen to get ready because less of it is asked for.
    fn after(&self, from: &State, effect: &Effect) -> State {
        let mut groups = of(from);
        if let Params::Resize(content, desired) = params(effect)
            && let Some(group) = groups.get_mut(&content.name)
            && group.instances < group.desired
            && desired < group.desired
        {
            group.desired = desired;
            group.instances = group.instances.min(desired);
            return state(&groups);
        }
        whole_after(self, from, effect)
    }

    fn goes_on_by_itself(&self, _: &Effect) -> bool {
        true
    }

    fn fences(&self) -> bool {
        false
    }

    fn guards(&self, _: &str) -> bool {
        // Everyone's size is everyone's share.
        true
    }

    fn weight(&self, want: &State, have: &State, key: &str) -> Weight {
        // An empty group serves nobody.
        let is_empty = |state: &State| {
            let resource = state.resources.get(key);
            resource.is_none_or(|resource| {
                (
                    number(&resource.spec, "desired"),
                    number(&resource.spec, "instances"),
                ) == (0, 0)
            })
        };
        // Beside another one it would be a share of the traffic.
        let at_work = of(want).into_values().filter(|group| group.desired > 0);
        let is_alone = at_work.count() == 1;
        let is_more = is_alone && is_more(want, have, key, &["desired", "instances"]);
        if (is_empty(want) && is_empty(have)) || is_more {
            Weight::Informational
        } else {
            Weight::Must
        }
    }

    fn users(&self, there: &State) -> BTreeMap<String, u32> {
        let groups = of(there);
        let total: u32 = groups.values().map(|group| group.instances).sum();
        let ready = groups.into_iter().filter(|(_, group)| group.instances > 0);
        ready
            .map(|(name, group)| (name, 1000 * group.instances / total))
            .collect()
    }

    fn copies(&self, there: &State) -> Vec<String> {
        let groups = of(there).into_iter();
        let there = groups.filter(|(_, group)| group.instances > 0);
        there.map(|(name, _)| name).collect()
    }

    fn meddle(&self, there: &mut State) {
        let mut groups = of(there);
        let group = Group {
            content: Content::stranger(),
            desired: self.instances,
            instances: self.instances,
        };
        groups.insert(group.content.name.clone(), group);
        *there = state(&groups);
    }
}
