//! Plans: from what is there to what is wanted, in the fewest steps. Where all that is wanted takes the place of what is there
//! the platform does it, pod by pod; else releases stand side by side for a while (`beside.rs`). Pure.

use crate::beside;
use crate::compare::{self, is_given};
use crate::params::{Params, Wanted, effect, is_theirs};
use crate::settings::{Layout, Settings};
use crate::{capacity, groups, kinds, traffic, words};
use belay_driver::{Error, Stage};
use belay_model::error::Class;
use belay_model::id::RecordHash;
use belay_model::plan::{Effect, Verb, Wave};
use belay_model::state::{Goal, Resource, State, Weight};
use std::collections::BTreeMap;

/// The steps of one stage.
pub(crate) fn plan(
    settings: &Settings,
    from: &State,
    want: &State,
    goal: &Goal,
    stage: Stage,
) -> Result<Vec<Effect>, Error> {
    let impossible = |why: &str| Err(Error::not_applied(Class::Application, why));
    let records: Vec<RecordHash> = goal.records.keys().cloned().collect();
    if traffic::workloads(want).next().is_some() && lies_beside(settings, from, want) {
        groups::possible(settings)?;
        return beside::plan(settings, from, want, stage, &records);
    }
    if stage.share < 1000 {
        return impossible("hold a share: the platform replaces all pods by itself");
    }
    let mut effects = Vec::new();
    if !want.is_absent() {
        effects.extend(put(from, want, stage, &records, |_| true));
        effects.extend(rolls(settings, from, want, stage, &records)?);
    }
    effects.extend(remove(from, want, |_| true, false));
    Ok(effects)
}

/// Whether what is wanted stands beside what is there, or did: pods of one do not take the place of those of the other.
fn lies_beside(settings: &Settings, from: &State, want: &State) -> bool {
    let is_other = |(key, _): (&String, &Resource)| !want.resources.contains_key(key);
    let mut grouped = traffic::workloads(want).chain(traffic::workloads(from));
    settings.layout == Layout::SideBySide
        || grouped.any(|(_, it)| traffic::group(it).is_some())
            && traffic::workloads(from).any(is_other)
}

/// What of these does not run, in one step.
pub(crate) fn put(
    from: &State,
    want: &State,
    stage: Stage,
    records: &[RecordHash],
    is_meant: impl Fn(&str) -> bool,
) -> Option<Effect> {
    let differs = musts(want, from);
    // Its bounds belong to whoever scales; that there is one belongs to the release.
    let is_missing = |key: &str, it: &Resource| {
        let is_ours = compare::is_autoscaler(key) && it.facts["belongs"] == true;
        is_ours && !from.resources.contains_key(key)
    };
    let objects = want.resources.iter().filter(|(key, it)| {
        let runs = kinds::of_key(key).is_some();
        !runs && is_meant(key) && (differs.contains(key) || is_missing(key, it))
    });
    let objects: BTreeMap<String, Wanted> = objects
        .map(|(key, it)| {
            let there = from.resources.get(key);
            (key.clone(), Wanted::over(it, there, stage))
        })
        .collect();
    if objects.is_empty() {
        return None;
    }
    let mut theirs = objects.keys().filter_map(|key| from.resources.get(key));
    let taken = theirs
        .find(|it| is_theirs(it))
        .map_or("", |_| ", some of them taken over");
    let title = format!("apply {}{taken}", words::list(objects.keys()));
    let params = Params::Put { objects };
    Some(effect(Verb::Deploy, Wave::Grow, title, &params, records))
}

/// Each workload that differs, one after the other, and those that only have more pods than they shall.
fn rolls(
    settings: &Settings,
    from: &State,
    want: &State,
    stage: Stage,
    records: &[RecordHash],
) -> Result<Vec<Effect>, Error> {
    let differs = musts(want, from);
    let mut keys: Vec<String> = settings.workloads()?.iter().map(|it| it.key()).collect();
    let is_other = |key: &&String| kinds::of_key(key).is_some() && !keys.contains(key);
    let others: Vec<String> = want.resources.keys().filter(is_other).cloned().collect();
    keys.extend(others);
    // Who comes last forward depends on those before, so goes back first.
    if stage.overwrites {
        keys.reverse();
    }
    let (mut switch, mut shrink) = (Vec::new(), Vec::new());
    for key in keys {
        let (Some(kind), Some(wanted)) = (kinds::of_key(&key), want.resources.get(&key)) else {
            continue;
        };
        if wanted.spec["spec"]["updateStrategy"]["type"] == "OnDelete" {
            let message =
                format!("roll {key}: with OnDelete the platform replaces no pod by itself");
            return Err(Error::not_applied(Class::Application, message));
        }
        let there = from.resources.get(&key);
        let is_rolling = there.is_some_and(|it| it.spec["rollout"] != kinds::COMPLETE);
        let replace_stuck = kind.keeps_stuck_pods() && is_rolling;
        let roll = Params::Roll {
            key: key.clone(),
            object: Wanted::over(wanted, there, stage),
            replace_stuck,
        };
        if differs.contains(&&key) {
            let title = words::roll(&key, wanted, there, replace_stuck);
            switch.push(effect(Verb::Deploy, Wave::Switch, title, &roll, records));
        } else if let Some(count) = there.and_then(|there| fewer(wanted, there)) {
            let title = format!("scale {key} to {count}");
            shrink.push(effect(Verb::Retire, Wave::Shrink, title, &roll, records));
        }
    }
    switch.extend(shrink);
    Ok(switch)
}

/// How many pods it shall have, where there are more and nobody else has said so.
pub(crate) fn fewer(want: &Resource, there: &Resource) -> Option<u32> {
    want.spec["spec"]["replicas"].as_u64()?;
    let (want, more) = (capacity::count(want), capacity::count(there));
    (more > want && there.facts["scaled"] != true).then_some(want)
}

/// What the goal does not have, and what no pod is given any more or could be again.
pub(crate) fn remove(
    from: &State,
    want: &State,
    is_meant: impl Fn(&str) -> bool,
    serves_on: bool,
) -> Option<Effect> {
    let is_kept = |it: &Resource| {
        let mut keepers = it.facts["kept_by"].as_array().into_iter().flatten();
        keepers.any(|it| {
            it.as_str()
                .is_some_and(|key| want.resources.contains_key(key))
        })
    };
    let objects = from.resources.iter().filter(|(key, it)| {
        let belongs = it.facts["belongs"] == true && !want.resources.contains_key(*key);
        belongs && is_meant(key) && !(is_given(key) && is_kept(it))
    });
    let objects: BTreeMap<String, Wanted> = objects
        .map(|(key, it)| (key.clone(), Wanted::name_of(it)))
        .collect();
    if objects.is_empty() {
        return None;
    }
    let title = format!("delete {}", words::list(objects.keys()));
    let params = Params::Remove { objects, serves_on };
    Some(effect(Verb::Retire, Wave::Shrink, title, &params, &[]))
}

/// Resources of `want` that are not as wanted.
pub(crate) fn musts<'a>(want: &'a State, from: &State) -> Vec<&'a String> {
    let difference = compare::diff(want, from);
    let differs = |key: &&String| {
        let mut entries = difference.0.iter();
        entries.any(|it| it.weight == Weight::Must && it.key == **key)
    };
    want.resources.keys().filter(differs).collect()
}
