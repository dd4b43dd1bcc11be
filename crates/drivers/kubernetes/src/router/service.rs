//! By the selector of a Service. At rest it is pinned to one group. For a share the pin is taken off, so that all groups of the
//! workload are reached and a share is one of their pods.

use super::{Move, Router, Scene};
use crate::capacity::{count, family};
use crate::traffic::{self, Pin};
use belay_driver::{Error, Split};
use belay_model::plan::Verb;
use belay_model::state::{Resource, State};
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub(super) struct Selector;

impl Router for Selector {
    fn split(&self) -> Split {
        Split::Instances
    }

    fn moved(&self, state: &State) -> Vec<String> {
        traffic::senders(state)
            .map(|(key, _)| key.clone())
            .collect()
    }

    fn moves(&self, scene: &Scene<'_>) -> Result<Vec<Move>, Error> {
        Ok(sides(scene)
            .iter()
            .filter_map(|side| side.to_move(scene))
            .collect())
    }

    fn in_the_way(&self, scene: &Scene<'_>) -> Vec<String> {
        let shared = sides(scene).into_iter().filter(Side::is_shared);
        let in_the_way = shared.flat_map(|side| {
            let open = traffic::unpinned(traffic::selector(side.want));
            let reached = traffic::reached(&open, scene.at);
            let knows = |key: &&String| side.goal.contains(*key) || side.others.contains(*key);
            let keys = reached.into_iter().map(|(key, _)| key);
            keys.filter(|key| !knows(key)).cloned().collect::<Vec<_>>()
        });
        in_the_way.collect()
    }
}

/// One live Service, between who has its traffic and who shall have it.
struct Side<'a> {
    key: &'a String,
    want: &'a Resource,
    /// The goal's workloads behind it.
    goal: BTreeSet<String>,
    /// What else it reaches now.
    others: BTreeSet<String>,
    /// Less than all is asked for, and others have traffic.
    is_partial: bool,
    /// Weights say who has which share.
    has_weights: bool,
}

fn sides<'a>(scene: &Scene<'a>) -> Vec<Side<'a>> {
    let here = traffic::senders(scene.at).chain(traffic::senders(scene.want));
    let keys: BTreeSet<&String> = here.map(|(key, _)| key).collect();
    let side = |key| {
        let want = scene.want.resources.get(key)?;
        let keys = |selector: &Value, state| -> BTreeSet<String> {
            let reached = traffic::reached(selector, state);
            reached.into_iter().map(|(key, _)| key.clone()).collect()
        };
        let goal = keys(traffic::selector(want), scene.want);
        let now = scene.at.resources.get(key);
        let now = now.map(|now| keys(traffic::selector(now), scene.at));
        let others: BTreeSet<String> = &now.unwrap_or_default() - &goal;
        Some(Side {
            key,
            want,
            is_partial: scene.stage.share < 1000 && !others.is_empty(),
            has_weights: traffic::weights(scene.want).is_some(),
            goal,
            others,
        })
    };
    keys.into_iter().filter_map(side).collect()
}

impl Side<'_> {
    fn is_shared(&self) -> bool {
        self.is_partial && !self.has_weights
    }

    fn to_move(&self, scene: &Scene<'_>) -> Option<Move> {
        if self.is_partial && self.has_weights {
            return None;
        }
        let selector = traffic::selector(self.want);
        let pods = |keys: &BTreeSet<String>, state: &State| -> u32 {
            let found = keys.iter().filter_map(|key| state.resources.get(key));
            found.map(count).sum()
        };
        let own = pods(&self.goal, scene.at);
        let wanted = self
            .goal
            .iter()
            .filter_map(|key| Some((key, scene.want.resources.get(key)?)));
        let wanted: Vec<(&String, &Resource)> = wanted.collect();
        let pins = traffic::pins(&wanted);
        let names: Vec<&str> = pins.iter().map(Pin::name).collect();
        let names = names.join(" and ");
        let (selector, verb, title) = match self.is_partial {
            true => {
                let whole = own + self.left(scene);
                let percent = (own * 100 + whole / 2).checked_div(whole).unwrap_or(100);
                let title = format!(
                    "traffic of {}: {percent} % to {names} ({own} of {whole} pods)",
                    self.key
                );
                (traffic::unpinned(selector), Verb::Shift, title)
            }
            false => {
                let title = match own {
                    0 => format!("put back the selector of {}", self.key),
                    1 => format!("point {} at {names} (1 pod)", self.key),
                    own => format!("point {} at {names} ({own} pods)", self.key),
                };
                (self.narrowed(selector, &pins, scene), Verb::Promote, title)
            }
        };
        let mut resource = self.want.clone();
        resource.spec["spec"]["selector"] = selector;
        // Who looked at it in another layout did not say so.
        resource.facts[traffic::SENDS] = json!(true);
        Some(Move {
            key: self.key.clone(),
            resource,
            to: self.goal.iter().cloned().collect(),
            verb,
            title,
        })
    }

    /// A selector of before there were groups reaches all that stands beside its own, too: it is kept to them while it does.
    fn narrowed(&self, selector: &Value, pins: &BTreeSet<Pin>, scene: &Scene<'_>) -> Value {
        let is_pinned = traffic::unpinned(selector) != *selector;
        let reached = traffic::reached(selector, scene.at);
        let reaches_others = reached.iter().any(|(key, _)| !self.goal.contains(*key));
        match pins.first() {
            Some(pin) if pins.len() == 1 && reaches_others && !is_pinned => pin.put_on(selector),
            _ => selector.clone(),
        }
    }

    /// The pods that others have when the stage is done.
    fn left(&self, scene: &Scene<'_>) -> u32 {
        let others = self
            .others
            .iter()
            .filter_map(|key| scene.at.resources.get(key));
        let left = others.map(|it| {
            let mut wanted = traffic::workloads(scene.want);
            let own = wanted.find(|(_, want)| family(want) == family(it));
            let whole = own.map_or_else(|| count(it), |(_, want)| count(want));
            let part = u64::from(whole) * u64::from(1000 - scene.stage.share);
            u32::try_from(part.div_ceil(1000))
                .unwrap_or(u32::MAX)
                .min(count(it))
        });
        left.sum()
    }
}
