//! The normalised state as the driver's own types, and both ways between them. Pure.

use belay_driver::Error;
use belay_model::config::ProcessTarget;
use belay_model::error::Class;
use belay_model::id::RecordHash;
use belay_model::release::{Record, Target};
use belay_model::state::{Health, ROUTE, Resource, State};
use serde_json::json;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// A group as it is meant to be.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Group {
    pub record: RecordHash,
    pub instances: u32,
    /// Whether every instance serves; unknown counts as yes, so that a plan on a goal is a plan.
    pub healthy: bool,
    /// Whether it works by taking traffic. If not it works as soon as it runs, and nothing keeps it warm: a worker that
    /// only stands by does not exist.
    pub takes_traffic: bool,
}

/// A target as it is meant to be, or as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Shape {
    pub groups: BTreeMap<String, Group>,
    pub listen: Option<SocketAddr>,
    /// Per mille by group, zeros left out.
    pub weights: BTreeMap<String, u32>,
}

impl Shape {
    pub(super) fn of(state: &State) -> Self {
        let mut shape = Shape::default();
        for (key, resource) in &state.resources {
            if let Some(name) = key.strip_prefix("group/") {
                let record = resource.spec["record"].as_str().unwrap_or_default();
                let instances =
                    u32::try_from(resource.spec["instances"].as_u64().unwrap_or(0)).unwrap_or(0);
                let healthy = !matches!(resource.health, Health::Unhealthy(_));
                let group = Group {
                    record: RecordHash::new(record),
                    instances,
                    healthy,
                    takes_traffic: resource.spec["traffic"].as_bool() != Some(false),
                };
                shape.groups.insert(name.to_owned(), group);
            } else if key == ROUTE {
                shape.listen = resource.spec["listen"]
                    .as_str()
                    .and_then(|text| text.parse().ok());
                let weights = resource.spec["weights"].as_object().into_iter().flatten();
                let number = |value: &serde_json::Value| u32::try_from(value.as_u64()?).ok();
                shape.weights = weights
                    .filter_map(|(name, value)| Some((name.clone(), number(value)?)))
                    .collect();
            }
        }
        shape
    }

    /// The state without facts and health: what is meant.
    pub(super) fn state(&self) -> State {
        let mut state = State::default();
        for (name, group) in &self.groups {
            state.resources.insert(
                format!("group/{name}"),
                group_resource(&group.record, group.instances, group.takes_traffic),
            );
        }
        if let (Some(listen), false) = (self.listen, self.weights.is_empty()) {
            state
                .resources
                .insert(ROUTE.to_owned(), route_resource(listen, &self.weights));
        }
        state
    }

    /// The largest of the groups that are at work, and how many instances it has.
    pub(super) fn largest(&self) -> Option<(String, u32)> {
        let groups = self.groups.iter().filter(|(name, _)| self.is_at_work(name));
        let sizes = groups.map(|(name, group)| (name.clone(), group.instances));
        sizes.max_by_key(|(_, instances)| *instances)
    }

    /// Whether a group works at this goal: it has traffic, or it needs none. Any other is only kept warm.
    pub(super) fn is_at_work(&self, name: &str) -> bool {
        let needs_none = |group: &Group| !group.takes_traffic;
        self.weights.contains_key(name) || self.groups.get(name).is_some_and(needs_none)
    }
}

pub(super) fn group_resource(record: &RecordHash, instances: u32, takes_traffic: bool) -> Resource {
    let mut spec = json!({ "record": record, "instances": instances });
    if !takes_traffic {
        // Left out where it does, so that states of before there were others stay equal.
        spec["traffic"] = json!(false);
    }
    Resource {
        spec,
        ..Resource::default()
    }
}

pub(super) fn route_resource(listen: SocketAddr, weights: &BTreeMap<String, u32>) -> Resource {
    let weights: BTreeMap<_, _> = weights.iter().filter(|(_, weight)| **weight > 0).collect();
    let spec = json!({ "listen": listen.to_string(), "weights": weights });
    Resource {
        spec,
        ..Resource::default()
    }
}

/// The driver's settings of a target.
pub(super) fn settings(target: &Target) -> Result<ProcessTarget, Error> {
    serde_json::from_value(target.settings.clone()).map_err(|error| {
        Error::not_applied(
            Class::Unknown,
            format!("read the settings of {}: {error}", target.name),
        )
    })
}

/// What one record alone looks like.
pub(super) fn desired(record: &Record, target: &Target) -> Result<Shape, Error> {
    let settings = settings(target)?;
    let group = Group {
        record: record.hash(),
        instances: settings.instances,
        healthy: true,
        takes_traffic: settings.listen.is_some(),
    };
    let weight = settings.listen.map(|_| (record.group(), 1000));
    Ok(Shape {
        groups: BTreeMap::from([(record.group(), group)]),
        listen: settings.listen,
        weights: weight.into_iter().collect(),
    })
}
