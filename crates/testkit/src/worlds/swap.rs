//! Two named places, as the slots of an Azure Web App: a release is deployed into `stage` in place, may get a share of
//! the traffic there, and a swap exchanges the contents of the two. The swap is accepted with a handle and goes on by
//! itself; doing it twice undoes it. Settings stick to their place. There are no preconditions, and no second operation
//! while one is running.

use super::rules::{Broken, Content, NOBODY, Rules, effect, is_ready, number, resource};
use belay_driver::{Capabilities, Error, Old, Split, Stage};
use belay_model::plan::{Effect, Verb, Wave};
use belay_model::release::Record;
use belay_model::state::{Goal, Resource, State, Weight};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

/// See the module.
pub(super) struct Swap;

#[derive(Clone, Default)]
struct Slots {
    production: Option<Build>,
    stage: Option<Build>,
    /// Traffic that goes to the stage, per mille.
    share: u32,
}

/// What stands in a place.
#[derive(Clone)]
struct Build {
    content: Content,
    is_ready: bool,
}

#[derive(Serialize, Deserialize)]
enum Params {
    /// Into the stage, in place. What traffic it had goes back to production first.
    Deploy(Content),
    Share(u32),
    Swap,
    Clear {
        is_production: bool,
    },
}

const PRODUCTION: &str = "place/production";
const STAGE: &str = "place/stage";

fn params(effect: &Effect) -> Params {
    serde_json::from_value(effect.params.clone()).expect("own parameters")
}

impl Slots {
    fn of(state: &State) -> Self {
        let at = |key: &str| {
            let resource = state.resources.get(key)?;
            Some(Build {
                content: Content::at(resource)?,
                is_ready: is_ready(resource),
            })
        };
        let route = state.resources.get("route");
        Self {
            production: at(PRODUCTION),
            stage: at(STAGE),
            share: route.map_or(0, |route| number(&route.spec, "stage")),
        }
    }

    fn state(&self) -> State {
        let mut state = State::default();
        for (key, build) in [(PRODUCTION, &self.production), (STAGE, &self.stage)] {
            let Some(Build { content, is_ready }) = build else {
                continue;
            };
            // The setting is the place's and does not move with what stands there.
            let spec = json!({ "record": content.record, "sticky": { "SLOT": key } });
            let resource = resource(spec, &content.name, *is_ready);
            state.resources.insert(key.to_owned(), resource);
        }
        if self.share > 0 {
            let route = Resource {
                spec: json!({ "stage": self.share }),
                ..Resource::default()
            };
            state.resources.insert("route".to_owned(), route);
        }
        state
    }
}

fn is(build: Option<&Build>, content: &Content) -> bool {
    build.is_some_and(|build| build.content.record == content.record && build.is_ready)
}

fn clear(is_production: bool) -> Effect {
    let place = if is_production { "production" } else { "stage" };
    let title = format!("clear {place}");
    let params = Params::Clear { is_production };
    effect(Verb::Retire, Wave::Shrink, title, &params, Vec::new())
}

fn share(share: u32) -> Effect {
    let title = format!("send {share}‰ to the stage");
    effect(
        Verb::Shift,
        Wave::Switch,
        title,
        &Params::Share(share),
        Vec::new(),
    )
}

impl Rules for Swap {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            split: Split::Weights,
            staged: true,
            warm_standby: true,
            supersedes: false,
            // Two places are exchanged whole.
            units: 0,
        }
    }

    fn desired(&self, record: &Record) -> State {
        let build = Build {
            content: Content::of(record),
            is_ready: true,
        };
        Slots {
            production: Some(build),
            ..Slots::default()
        }
        .state()
    }

    /// By content: what is wanted is swapped in from the stage if it stands there, else deployed there first.
    fn plan(
        &self,
        from: &State,
        want: &State,
        _: &Goal,
        stage: Stage,
    ) -> Result<Vec<Effect>, Error> {
        let (now, want) = (Slots::of(from), Slots::of(want));
        let mut effects = Vec::new();
        let Some(wanted) = want.production.map(|build| build.content) else {
            if now.share > 0 {
                effects.push(share(0));
            }
            effects.extend(now.stage.is_some().then(|| clear(false)));
            effects.extend(now.production.is_some().then(|| clear(true)));
            return Ok(effects);
        };
        let mut left = now.clone();
        if !is(now.production.as_ref(), &wanted) {
            if !is(now.stage.as_ref(), &wanted) {
                let title = format!("deploy {} into the stage", wanted.name);
                let params = Params::Deploy(wanted.clone());
                let records = vec![wanted.record.clone()];
                effects.push(effect(Verb::Deploy, Wave::Grow, title, &params, records));
                left.share = 0;
            }
            if stage.share < 1000 {
                effects.extend((left.share != stage.share).then(|| share(stage.share)));
                return Ok(effects);
            }
            let title = format!("swap {} into production", wanted.name);
            effects.push(Effect {
                // Done twice it is undone.
                idempotent: false,
                ..effect(
                    Verb::Promote,
                    Wave::Switch,
                    title,
                    &Params::Swap,
                    Vec::new(),
                )
            });
            left.stage = now.production;
        }
        if left.share > 0 {
            effects.push(share(0));
        }
        let is_wanted = |build: &Build| is(want.stage.as_ref(), &build.content);
        if stage.old == Old::Remove && left.stage.is_some_and(|build| !is_wanted(&build)) {
            effects.push(clear(false));
        }
        Ok(effects)
    }

    fn parts(&self, _: &State, effect: &Effect) -> usize {
        match params(effect) {
            // Stopped, and started with the new content.
            Params::Deploy(_) => 2,
            // Warmed up, exchanged, restarted.
            Params::Swap => 3,
            Params::Share(_) | Params::Clear { .. } => 1,
        }
    }

    fn make(&self, there: &mut State, effect: &Effect, part: usize, broken: &Broken) {
        let mut slots = Slots::of(there);
        match params(effect) {
            Params::Deploy(_) if part == 0 => {
                slots.share = 0;
                slots.stage = None;
            }
            Params::Deploy(content) => {
                let is_ready = !broken.contains(&content.record);
                slots.stage = Some(Build { content, is_ready });
            }
            Params::Swap if part == 1 => std::mem::swap(&mut slots.production, &mut slots.stage),
            Params::Swap => {}
            Params::Share(share) => slots.share = share,
            Params::Clear {
                is_production: true,
            } => slots.production = None,
            Params::Clear {
                is_production: false,
            } => slots.stage = None,
        }
        *there = slots.state();
    }

    fn goes_on_by_itself(&self, effect: &Effect) -> bool {
        matches!(params(effect), Params::Swap)
    }

    fn gives_up(&self, effect: &Effect) -> bool {
        self.goes_on_by_itself(effect)
    }

    /// What does not get warm is not swapped in.
    fn breaks_off(&self, there: &State, effect: &Effect, part: usize) -> bool {
        let stage = Slots::of(there).stage;
        let is_warm = stage.is_some_and(|build| build.is_ready);
        matches!(params(effect), Params::Swap) && part < 2 && !is_warm
    }

    fn is_exclusive(&self) -> bool {
        true
    }

    fn fences(&self) -> bool {
        false
    }

    fn weight(&self, _: &State, _: &State, key: &str) -> Weight {
        // The stage always exists, and anything may stand there as long as it has no traffic.
        if key == STAGE {
            Weight::Informational
        } else {
            Weight::Must
        }
    }

    fn users(&self, there: &State) -> BTreeMap<String, u32> {
        let slots = Slots::of(there);
        let mut users = BTreeMap::new();
        let shares = [
            (&slots.production, 1000 - slots.share),
            (&slots.stage, slots.share),
        ];
        if slots.production.is_none() && slots.share == 0 {
            return users;
        }
        for (build, share) in shares.into_iter().filter(|(_, share)| *share > 0) {
            let ready = build.as_ref().filter(|build| build.is_ready);
            let who = ready.map_or(NOBODY, |build| &build.content.name);
            *users.entry(who.to_owned()).or_default() += share;
        }
        users
    }

    fn copies(&self, there: &State) -> Vec<String> {
        let slots = Slots::of(there);
        let builds = [slots.production, slots.stage];
        let names = builds.into_iter().flatten().map(|build| build.content.name);
        let names: std::collections::BTreeSet<String> = names.collect();
        names.into_iter().collect()
    }

    fn meddle(&self, there: &mut State) {
        let mut slots = Slots::of(there);
        slots.production = Some(Build {
            content: Content::stranger(),
            is_ready: true,
        });
        *there = slots.state();
    }
}
