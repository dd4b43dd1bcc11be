//! Plans for releases that stand side by side: what is wanted is brought up beside what is there and reached by nobody, then
//! traffic moves, then what became of the rest is done. From state to state, so that what was there before anything stood side by
//! side is a state like any other. Pure.

use crate::capacity::{self, count, family};
use crate::compare;
use crate::kinds;
use crate::params::{self, Need, Params, Wanted, effect};
use crate::plan::{fewer, put, remove};
use crate::router::{self, Move, Scene};
use crate::settings::Settings;
use crate::traffic::{self, Pin};
use crate::words;
use belay_driver::{Error, Old, Stage};
use belay_model::error::Class;
use belay_model::id::RecordHash;
use belay_model::plan::{Effect, Verb, Wave};
use belay_model::state::{Health, Resource, State};
use serde_json::json;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The steps of one stage.
pub(crate) fn plan(
    settings: &Settings,
    from: &State,
    want: &State,
    stage: Stage,
    records: &[RecordHash],
) -> Result<Vec<Effect>, Error> {
    let mut course = Course {
        settings,
        want,
        stage,
        records,
        at: from.clone(),
        effects: Vec::new(),
    };
    let is_shared = |key: &str| !course.moves_traffic(key) && !compare::is_autoscaler(key);
    let shared = put(&course.at, want, stage, records, is_shared);
    course.add(shared)?;
    course.keep_apart()?;
    course.bring_up();
    // Before the group has all of its pods an autoscaler would add to its share.
    if stage.capacity >= 1000 {
        let scalers = put(&course.at, want, stage, records, compare::is_autoscaler);
        course.add(scalers)?;
    }
    course.switch()?;
    course.shrink()?;
    Ok(course.effects)
}

struct Course<'a> {
    settings: &'a Settings,
    want: &'a State,
    stage: Stage,
    records: &'a [RecordHash],
    /// What is there after the effects.
    at: State,
    effects: Vec<Effect>,
}

impl Course<'_> {
    fn add(&mut self, effect: Option<Effect>) -> Result<(), Error> {
        if let Some(effect) = effect {
            self.at = params::after(&self.at, &Params::of(&effect)?);
            self.effects.push(effect);
        }
        Ok(())
    }

    fn step(&mut self, verb: Verb, wave: Wave, title: String, params: &Params) {
        self.at = params::after(&self.at, params);
        self.effects
            .push(effect(verb, wave, title, params, self.records));
    }

    fn moves_traffic(&self, key: &str) -> bool {
        let of = |state: &State| router::moved(state).any(|it| it == key);
        of(self.want) || of(&self.at)
    }

    /// Workloads of the goal, in the order in which they are brought up.
    fn wanted(&self) -> Vec<(String, Resource)> {
        let order = self.settings.workloads().unwrap_or_default();
        let place = |it: &Resource| order.iter().position(|one| one.name == family(it));
        let mut wanted: Vec<(String, Resource)> = traffic::workloads(self.want)
            .map(|(key, it)| (key.clone(), it.clone()))
            .collect();
        wanted.sort_by_key(|(_, it)| place(it).unwrap_or(usize::MAX));
        if self.stage.overwrites {
            wanted.reverse();
        }
        wanted.retain(|(key, _)| !traffic::is_spare(self.want, key));
        wanted
    }

    /// A live Service whose selector would reach what is brought up, before anything shall, is pinned to those that it reaches now.
    fn keep_apart(&mut self) -> Result<(), Error> {
        let senders: Vec<(String, Resource)> = traffic::senders(&self.at)
            .map(|(key, it)| (key.clone(), it.clone()))
            .collect();
        for (key, sender) in senders {
            let selector = traffic::selector(&sender).clone();
            let is_new =
                |name: &String| self.at.resources.get(name).is_none_or(|it| count(it) == 0);
            let wanted = self.wanted();
            let mut new = wanted
                .iter()
                .filter(|(name, it)| is_new(name) && count(it) > 0);
            let would_be = new.any(|(name, it)| traffic::reaches(&selector, name, it));
            let now = traffic::reached(&selector, &self.at);
            if !would_be || now.is_empty() {
                continue;
            }
            let pins = traffic::pins(&now);
            let pods = |pin: &Pin| -> u32 {
                let own = now.iter().filter(|(key, it)| Pin::of(key, it) == *pin);
                own.map(|(_, it)| count(it)).sum()
            };
            let mut by_size: Vec<Pin> = pins.iter().cloned().collect();
            by_size.sort_by_key(|pin| Reverse(pods(pin)));
            let alone = pins.iter().filter(|it| matches!(it, Pin::Alone(_))).count();
            if alone > 1 {
                let message = format!(
                    "put releases side by side: {key} would reach what is brought up, and of what it reaches now several are in no group ({}), so that it cannot be kept to them",
                    by_size.iter().map(Pin::name).collect::<Vec<_>>().join(", ")
                );
                return Err(Error::not_applied(Class::Application, message));
            }
            let pin = by_size.swap_remove(0);
            // The one that keeps the traffic has to do for all of it.
            let own = now.iter().filter(|(key, it)| Pin::of(key, it) == pin);
            let own: Vec<(String, Resource, u32)> = own
                .map(|(key, it)| {
                    let kin = now.iter().filter(|(_, other)| family(other) == family(it));
                    let whole = kin.map(|(_, other)| count(other)).sum();
                    ((*key).clone(), (*it).clone(), whole)
                })
                .collect();
            let mut needs = Vec::new();
            for (name, it, whole) in own {
                if pins.len() > 1 && count(&it) < whole {
                    self.scale(&name, &it, whole, Verb::Stage, Wave::Grow);
                    needs.push(need(&name, &it, whole));
                }
            }
            let mut pinned = sender.clone();
            pinned.spec["spec"]["selector"] = pin.put_on(&selector);
            let title = format!(
                "point {key} at {} alone, so that nothing else is reached yet",
                pin.name()
            );
            let object = self.over(&pinned, Some(&sender));
            let params = Params::Switch { key, object, needs };
            self.step(Verb::Shift, Wave::Grow, title, &params);
        }
        Ok(())
    }

    /// The goal's workloads, with as many pods as the stage asks for, until they are ready.
    fn bring_up(&mut self) {
        for (key, want) in self.wanted() {
            let whole = count(&want);
            let part = (u64::from(whole) * u64::from(self.stage.capacity)).div_ceil(1000);
            let needed = u32::try_from(part)
                .unwrap_or(whole)
                .clamp(whole.min(1), whole);
            let Some(there) = self.at.resources.get(&key).cloned() else {
                let title = words::stage(&key, &want, needed);
                self.roll(&key, &want, None, needed, title);
                continue;
            };
            let pods = needed.max(count(&there));
            if !compare::musts(&key, &want, &there).is_empty() {
                let title = words::roll(&key, &want, Some(&there), false);
                self.roll(&key, &want, Some(&there), pods, title);
                continue;
            }
            // Fewer are enough where an autoscaler says so of one that is at work.
            let differs = compare::diff(self.want, &self.at);
            let is_scaled = traffic::serves(&self.at, &key)
                && capacity::bounds(&self.at, &key).is_some()
                && differs.must().all(|entry| entry.key != key);
            let is_fewer = count(&there) < needed && !is_scaled;
            let is_on_its_way = there.spec["rollout"] != kinds::COMPLETE;
            if is_fewer || is_on_its_way || matches!(there.health, Health::Unhealthy(_)) {
                self.scale(&key, &there, pods, Verb::Stage, Wave::Grow);
            }
        }
    }

    fn switch(&mut self) -> Result<(), Error> {
        let (want, stage) = (self.want, self.stage);
        // Who only stands by and would be reached by a selector that two groups share has no pods while they do.
        for key in router::in_the_way(&Scene {
            at: &self.at,
            want,
            stage,
        }) {
            if let Some(it) = self.at.resources.get(&key).cloned() {
                self.scale(&key, &it, 0, Verb::Retire, Wave::Grow);
            }
        }
        for it in router::moves(&Scene {
            at: &self.at,
            want,
            stage,
        })? {
            self.make_move(it, Wave::Switch);
        }
        Ok(())
    }

    fn make_move(&mut self, it: Move, wave: Wave) {
        let there = self.at.resources.get(&it.key).cloned();
        if let Some(there) = &there
            && compare::musts(&it.key, &it.resource, there).is_empty()
        {
            return;
        }
        let goal = traffic::workloads(self.want).filter(|(name, _)| it.to.contains(name));
        let needs = goal.map(|(name, want)| {
            let there = self.at.resources.get(name).map_or(0, count);
            need(name, want, there.min(count(want)))
        });
        let needs: Vec<Need> = needs.collect();
        let title = match &there {
            None => format!("create {}, and {}", it.key, it.title),
            Some(_) => it.title,
        };
        let object = self.over(&it.resource, there.as_ref());
        let key = it.key;
        self.step(it.verb, wave, title, &Params::Switch { key, object, needs });
    }

    fn shrink(&mut self) -> Result<(), Error> {
        let others: Vec<(String, Resource)> = traffic::workloads(&self.at)
            .filter(|(key, _)| !self.want.resources.contains_key(*key))
            .map(|(key, it)| (key.clone(), it.clone()))
            .collect();
        let stage = self.stage;
        let mut gone = Vec::new();
        for (key, it) in others.iter().filter(|_| stage.old != Old::Remove) {
            if traffic::is_behind(&self.at, key) {
                let left = self.left(it);
                let is_shared = stage.old == Old::Proportional && traffic::serves(&self.at, key);
                if is_shared && left < count(it) && capacity::bounds(&self.at, key).is_none() {
                    // A share of pods is not what was asked for before the rest is as small as it shall be.
                    self.scale(key, it, left, Verb::Shift, Wave::Switch);
                }
            } else if stage.share >= 1000 {
                // There is no switch that ends its work: what the goal does not want works until it is stopped.
                gone.push(key.clone());
            } else if stage.old == Old::Proportional && self.left(it) < count(it) {
                self.scale(key, it, self.left(it), Verb::Retire, Wave::Shrink);
            }
        }
        if stage.old == Old::Remove {
            for (key, want) in self.wanted() {
                let there = self.at.resources.get(&key).cloned();
                if let Some((left, there)) =
                    there.and_then(|there| Some((fewer(&want, &there)?, there)))
                {
                    self.scale(&key, &there, left, Verb::Retire, Wave::Shrink);
                }
            }
            let removal = remove(&self.at, self.want, |_| true, true);
            self.add(removal)?;
        } else if !gone.is_empty() {
            let scales = |key: &str| {
                compare::is_autoscaler(key)
                    && self
                        .at
                        .resources
                        .get(key)
                        .is_some_and(|it| is_scaler_of(it, &gone))
            };
            let removal = remove(
                &self.at,
                self.want,
                |key| gone.iter().any(|it| it == key) || scales(key),
                true,
            );
            self.add(removal)?;
        }
        // What was pinned only because others stood beside it need not be any more.
        let (want, at) = (self.want, &self.at);
        if stage.share >= 1000 {
            for it in router::moves(&Scene { at, want, stage })? {
                self.make_move(it, Wave::Shrink);
            }
        }
        Ok(())
    }

    /// How many pods of the old side there are beside the goal's share, rounded up.
    fn left(&self, it: &Resource) -> u32 {
        let mut wanted = traffic::workloads(self.want);
        let own = wanted.find(|(_, want)| family(want) == family(it));
        let whole = own.map_or_else(|| count(it), |(_, want)| count(want));
        let part = u64::from(whole) * u64::from(1000 - self.stage.share.min(1000));
        u32::try_from(part.div_ceil(1000))
            .unwrap_or(u32::MAX)
            .min(count(it))
    }

    fn roll(
        &mut self,
        key: &str,
        want: &Resource,
        there: Option<&Resource>,
        pods: u32,
        title: String,
    ) {
        let mut object = self.over(want, there);
        object.spec["spec"]["replicas"] = json!(pods);
        let key = key.to_owned();
        let roll = Params::Roll {
            key,
            object,
            replace_stuck: false,
        };
        self.step(Verb::Stage, Wave::Grow, title, &roll);
    }

    fn scale(&mut self, key: &str, it: &Resource, replicas: u32, verb: Verb, wave: Wave) {
        let title = match count(it) == replicas {
            true => format!("see {key} ready"),
            false => format!("scale {key} to {replicas}"),
        };
        let (key, object) = (key.to_owned(), Wanted::name_of(it));
        let scale = Params::Scale {
            key,
            object,
            replicas,
        };
        self.step(verb, wave, title, &scale);
    }

    fn over(&self, want: &Resource, there: Option<&Resource>) -> Wanted {
        let mut wanted = Wanted::over(want, there, self.stage);
        // That it sends traffic where this target says is what it was named for.
        wanted.force |= want.facts[crate::object::ONLY].is_string();
        wanted
    }
}

fn is_scaler_of(it: &Resource, keys: &[String]) -> bool {
    let target = &it.spec["spec"]["scaleTargetRef"];
    let name = target["name"].as_str().unwrap_or_default();
    let key = format!("deployment.apps/{name}");
    target["kind"] == "Deployment" && keys.contains(&key)
}

fn need(key: &str, workload: &Resource, pods: u32) -> Need {
    let labels = workload.spec["spec"]["selector"]["matchLabels"].as_object();
    let labels = labels.into_iter().flatten().filter_map(|(name, value)| {
        let value = value.as_str()?.to_owned();
        Some((name.clone(), value))
    });
    Need {
        key: key.to_owned(),
        labels: labels.collect::<BTreeMap<_, _>>(),
        pods,
    }
}
