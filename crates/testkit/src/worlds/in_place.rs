//! One object whose content is replaced, as a Deployment of Kubernetes: the platform then replaces instance by instance,
//! by itself. A release that does not become ready gets stuck half-way while the old instances serve; a newer content
//! supersedes an older one wherever that had got to. No weights, nothing beside what serves. Requests carry a version.

use super::rules::{
    AUTOSCALER, Broken, Content, Rules, effect, instances_of, is_more, is_ready, number, resource,
};
use belay_driver::{Capabilities, Capacity, Error, Split, Stage};
use belay_model::error::Class;
use belay_model::plan::{Effect, Verb, Wave};
use belay_model::release::Record;
use belay_model::state::{Goal, Resource, State, Weight};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

/// See the module.
pub(super) struct InPlace {
    /// Instances that the object asks for.
    pub(super) instances: u32,
}

const APP: &str = "app";

#[derive(Clone, Default)]
struct App {
    /// What the object asks for, and how many of it.
    spec: Option<(Content, u32)>,
    sets: BTreeMap<String, Set>,
    /// What scales it by itself. Someone set it up beside it, and it is no part of any release.
    autoscaler: Option<Resource>,
}

/// Instances of one content.
#[derive(Clone)]
struct Set {
    content: Content,
    instances: u32,
    is_ready: bool,
}

#[derive(Serialize, Deserialize)]
enum Params {
    Replace(Content, u32),
    Delete,
}

fn params(effect: &Effect) -> Params {
    serde_json::from_value(effect.params.clone()).expect("own parameters")
}

impl App {
    fn of(state: &State) -> Self {
        let app = state.resources.get(APP);
        let spec = app.and_then(|app| Some((Content::at(app)?, number(&app.spec, "instances"))));
        let sets = state.resources.iter().filter_map(|(key, resource)| {
            let set = Set {
                content: Content::at(resource)?,
                instances: number(&resource.spec, "instances"),
                is_ready: is_ready(resource),
            };
            Some((key.strip_prefix("instances/")?.to_owned(), set))
        });
        Self {
            spec,
            sets: sets.collect(),
            autoscaler: state.resources.get(AUTOSCALER).cloned(),
        }
    }

    fn state(&self) -> State {
        let mut state = State::default();
        if let Some((content, instances)) = &self.spec {
            let spec = json!({ "record": content.record, "instances": instances });
            let app = resource(spec, &content.name, true);
            state.resources.insert(APP.to_owned(), app);
        }
        let autoscaler = self.autoscaler.clone();
        let autoscaler = autoscaler.map(|it| (AUTOSCALER.to_owned(), it));
        state.resources.extend(autoscaler);
        for (key, set) in self.sets.iter().filter(|(_, set)| set.instances > 0) {
            let spec = json!({ "record": set.content.record, "instances": set.instances });
            let set = resource(spec, &set.content.name, set.is_ready);
            state.resources.insert(format!("instances/{key}"), set);
        }
        state
    }

    fn whole(content: Content, instances: u32) -> Self {
        let set = Set {
            content: content.clone(),
            instances,
            is_ready: true,
        };
        Self {
            sets: BTreeMap::from([(content.record.short().to_owned(), set)]),
            spec: Some((content, instances)),
            autoscaler: None,
        }
    }

    /// One instance more of what is asked for, and one less of the rest where enough are ready.
    fn converge(&mut self, broken: &Broken) {
        let Some((content, instances)) = self.spec.clone() else {
            return;
        };
        let own = content.record.short().to_owned();
        let is_ready = !broken.contains(&content.record);
        let spare = self
            .sets
            .iter()
            .filter(|(key, _)| **key != own)
            .max_by_key(|(_, set)| !set.is_ready)
            .map(|(key, _)| key.clone());
        let there = self.sets.get(&own).map_or(0, |set| set.instances);
        // What is not ready is not followed by more of it: the rollout is stuck there.
        let most = if is_ready { instances } else { 1 };
        if there < most {
            let set = Set {
                content,
                instances: there + 1,
                is_ready,
            };
            self.sets.insert(own.clone(), set);
        } else if there > instances {
            self.sets.entry(own).and_modify(|set| set.instances -= 1);
            return;
        }
        let ready = self.sets.values().filter(|set| set.is_ready);
        let ready: u32 = ready.map(|set| set.instances).sum();
        let Some(spare) = spare.and_then(|key| self.sets.get_mut(&key)) else {
            return;
        };
        // A quarter of them may be missing while it rolls.
        let least = instances - instances / 4;
        if !spare.is_ready || ready > if is_ready { instances } else { least } {
            spare.instances -= 1;
        }
        self.sets.retain(|_, set| set.instances > 0);
    }
}

impl Rules for InPlace {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            split: Split::Platform,
            staged: false,
            warm_standby: false,
            supersedes: false,
            units: self.instances,
        }
    }

    fn desired(&self, record: &Record) -> State {
        App::whole(Content::of(record), instances_of(record, self.instances)).state()
    }

    fn plan(
        &self,
        from: &State,
        want: &State,
        _: &Goal,
        stage: Stage,
    ) -> Result<Vec<Effect>, Error> {
        if stage.share < 1000 {
            let message = "hold a share: this platform replaces all instances by itself";
            return Err(Error::not_applied(Class::Application, message));
        }
        let Some((content, instances)) = App::of(want).spec else {
            let delete = || {
                let title = "delete the object".to_owned();
                effect(
                    Verb::Retire,
                    Wave::Shrink,
                    title,
                    &Params::Delete,
                    Vec::new(),
                )
            };
            return Ok((!from.is_absent()).then(delete).into_iter().collect());
        };
        let now = App::of(from);
        let own = now.sets.get(content.record.short());
        let is_whole = own.is_some_and(|own| own.is_ready && now.sets.len() == 1);
        let there = now.spec.filter(|(there, _)| is_whole && *there == content);
        let there = there
            .zip(own)
            .map(|((_, asked), own)| asked.min(own.instances));
        if there == Some(instances) {
            return Ok(Vec::new());
        }
        if there.is_some_and(|there| there > instances) {
            let title = format!("scale {} to {instances}", content.name);
            let params = Params::Replace(content, instances);
            let records = Vec::new();
            let shrink = effect(Verb::Retire, Wave::Shrink, title, &params, records);
            return Ok(vec![shrink]);
        }
        let title = format!("replace by {instances} of {}", content.name);
        let records = vec![content.record.clone()];
        let params = Params::Replace(content, instances);
        Ok(vec![effect(
            Verb::Deploy,
            Wave::Switch,
            title,
            &params,
            records,
        )])
    }

    fn capacity(&self, state: &State) -> Option<Capacity> {
        let app = App::of(state);
        let bounds = app.autoscaler.map(|it| {
            let (fewest, most) = (number(&it.spec, "fewest"), number(&it.spec, "most"));
            (fewest, most)
        });
        let (_, desired) = app.spec?;
        Some(Capacity { desired, bounds })
    }

    fn scaled(&self, state: &State, instances: u32) -> State {
        let mut app = App::of(state);
        if let Some((content, asked)) = &mut app.spec {
            *asked = instances;
            if let Some(own) = app.sets.get_mut(content.record.short()) {
                own.instances = instances;
            }
        }
        app.state()
    }

    fn parts(&self, there: &State, effect: &Effect) -> usize {
        match params(effect) {
            Params::Replace(_, instances) => {
                let sets = App::of(there).sets;
                let there: u32 = sets.values().map(|set| set.instances).sum();
                1 + (instances + there) as usize
            }
            Params::Delete => 1,
        }
    }

    fn make(&self, there: &mut State, effect: &Effect, part: usize, broken: &Broken) {
        let mut app = App::of(there);
        match params(effect) {
            Params::Replace(content, instances) if part == 0 => {
                app.spec = Some((content, instances));
            }
            Params::Replace(..) => app.converge(broken),
            Params::Delete => app = App::default(),
        }
        *there = app.state();
    }

    /// Where all instances are ready, whatever it is stuck at now.
    fn after(&self, from: &State, effect: &Effect) -> State {
        let mut app = match params(effect) {
            Params::Replace(content, instances) => App::whole(content, instances),
            Params::Delete => return State::default(),
        };
        app.autoscaler = App::of(from).autoscaler;
        app.state()
    }

    fn goes_on_by_itself(&self, effect: &Effect) -> bool {
        matches!(params(effect), Params::Replace(..))
    }

    fn fences(&self) -> bool {
        true
    }

    fn weight(&self, want: &State, have: &State, key: &str) -> Weight {
        let is_more = is_more(want, have, key, &["instances"]);
        if key == AUTOSCALER || is_more {
            Weight::Informational
        } else {
            Weight::Must
        }
    }

    fn users(&self, there: &State) -> BTreeMap<String, u32> {
        let sets = App::of(there).sets;
        // The platform sends nothing to what is not ready.
        let ready: Vec<Set> = sets.into_values().filter(|set| set.is_ready).collect();
        let total: u32 = ready.iter().map(|set| set.instances).sum();
        let share = |set: Set| (set.content.name, 1000 * set.instances / total);
        ready.into_iter().map(share).collect()
    }

    fn copies(&self, there: &State) -> Vec<String> {
        let sets = App::of(there).sets;
        sets.into_values().map(|set| set.content.name).collect()
    }

    fn meddle(&self, there: &mut State) {
        *there = App::whole(Content::stranger(), self.instances).state();
    }
}
