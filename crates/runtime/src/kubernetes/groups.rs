//! What is there on Kubernetes, as groups: workloads of a release that stands beside others are its group; one that releases take
//! turns in is told by what it is.

use crate::GroupStatus;
use belay_driver_kubernetes::{Layout, Settings, shares};
use belay_model::environment::View;
use belay_model::release::Target;
use belay_model::state::{Health, Resource, State};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The label that says of which group a workload and its pods are.
pub(super) const GROUP: &str = "belay.dev/group";

/// The groups of a target, by name; `target`: as the record that serves has it.
pub(crate) fn groups(state: &State, view: &View, target: &Target) -> Vec<GroupStatus> {
    let settings = Settings::deserialize(&target.settings).unwrap_or_default();
    let is_beside = settings.layout == Layout::SideBySide;
    let shares = shares(state);
    let mut groups: BTreeMap<String, GroupStatus> = BTreeMap::new();
    for (key, resource) in &state.resources {
        let Some(workload) = workload(key, resource) else {
            continue;
        };
        let group = resource.facts["group"].as_str();
        let name = resource.facts["name"].as_str().unwrap_or_default();
        let weight = shares.get(group.unwrap_or(name)).copied().unwrap_or(0);
        let known = group.and_then(|group| {
            let mut records = view.records.iter();
            records.find(|(_, known)| known.record.group() == group)
        });
        let cleanup = known.and_then(|(hash, _)| view.cleanups.get(hash));
        // It is in no record, so that nobody else ever removes it.
        let stays = is_beside && group.is_none() && weight == 0 && !is_recorded(view, resource);
        let removed_by = stays.then(|| removal(&settings, &workload.group));
        let workload = GroupStatus {
            group: group.map_or(workload.group, str::to_owned),
            release: known.map(|(_, known)| known.record.release),
            weight,
            removed_at_ms: cleanup.map(|cleanup| cleanup.due_ms),
            removed_by,
            ..workload
        };
        groups
            .entry(workload.group.clone())
            .and_modify(|all| add(all, &workload))
            .or_insert(workload);
    }
    groups.into_values().collect()
}

/// Whether a release has had a workload under its own name: then it goes with that one.
fn is_recorded(view: &View, resource: &Resource) -> bool {
    let targets = view.records.values().flat_map(|it| &it.record.targets);
    let mut settings = targets.filter_map(|it| Settings::deserialize(&it.settings).ok());
    settings.any(|it| {
        let mut objects = it.objects.iter();
        it.layout == Layout::InPlace
            && objects.any(|it| {
                it["kind"] == resource.facts["kind"]
                    && it["metadata"]["name"] == resource.facts["name"]
            })
    })
}

/// How a workload goes that no release has.
fn removal(settings: &Settings, workload: &str) -> String {
    let context = settings.context.as_ref();
    let context = context.map_or_else(String::new, |it| format!(" --context {it}"));
    format!(
        "kubectl{context} -n {} delete {workload}",
        settings.namespace
    )
}

/// One more workload of a group.
fn add(group: &mut GroupStatus, workload: &GroupStatus) {
    group.ready += workload.ready;
    group.instances += workload.instances;
    let sick = [group.unhealthy.take(), workload.unhealthy.clone()];
    let sick: Vec<String> = sick.into_iter().flatten().collect();
    group.unhealthy = (!sick.is_empty()).then(|| sick.join("; "));
}

/// A workload by itself: `deployment/api`.
fn workload(key: &str, resource: &Resource) -> Option<GroupStatus> {
    let number = |name: &str| u32::try_from(resource.facts[name].as_u64()?).ok();
    let (kind, name) = key.split_once('/')?;
    let kind = kind.split_once('.').map_or(kind, |(kind, _)| kind);
    Some(GroupStatus {
        group: format!("{kind}/{name}"),
        release: None,
        ready: number("ready")?,
        instances: number("desired")?,
        weight: 0,
        unhealthy: match &resource.health {
            Health::Unhealthy(why) => Some(why.clone()),
            Health::Healthy | Health::Unknown => None,
        },
        restarts: 0,
        removed_at_ms: None,
        removed_by: None,
    })
}
