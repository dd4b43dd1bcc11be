//! Where a rollback leads to. Pure; the same functions answer the preview, the pre-flight and the rollback itself.

use crate::fold::Deployment;
use crate::mutant::{self, Mutant};
use crate::targets::Targets;
use belay_model::back::Risk;
use belay_model::environment::{Known, Standing, View};
use belay_model::event::Kind;
use belay_model::id::{DeploymentId, RecordHash, ReleaseNumber};
use belay_model::release::Record;
use belay_model::state::{DifferenceEntry, Goal, State, States};
use std::collections::BTreeMap;

/// The goal in which `record` alone serves, and nothing is left on targets that are not its.
pub fn of_record(targets: &Targets, record: &Record) -> Goal {
    Goal {
        want: targets.desired(record),
        records: BTreeMap::from([(record.hash(), record.clone())]),
        title: record.title(),
        record: Some(record.hash()),
    }
}

/// What serves there, by what is there: a deployment that ended half-way is not known to serve, whatever it moved. Where
/// that does not tell, it is what is known to serve.
pub(crate) fn there<'a>(targets: &Targets, view: &'a View, states: &States) -> Option<&'a Known> {
    if states.is_absent() {
        return None;
    }
    let is_there = |known: &&Known| {
        let record = &known.record;
        let own = targets.only(|name| record.target(name).is_some());
        own.iter().next().is_some() && own.lacks(&own.desired(record), states).is_empty()
    };
    let mut others: Vec<&Known> = view.records.values().collect();
    others.sort_by_key(|known| std::cmp::Reverse(known.since_us));
    let mut known = view.serving().into_iter().chain(others);
    known.find(is_there)
}

/// The same where nothing matches: a part of what is there may be of a release that was rolled back and is not all gone.
fn there_in_part<'a>(view: &'a View, states: &States) -> Option<&'a Known> {
    let text = serde_json::to_string(states).unwrap_or_default();
    let is_bad = |(hash, known): &(&RecordHash, &Known)| {
        let is_left = text.contains(hash.as_str()) && !view.cleanups.contains_key(*hash);
        known.standing == Standing::Quarantined && is_left
    };
    let bad = view.records.iter().find(is_bad).map(|(_, known)| known);
    bad.or(view.serving()).filter(|_| !states.is_absent())
}

/// The goal in which the targets are as they were observed.
pub fn of_states(targets: &Targets, view: &View, state: &States) -> Goal {
    let serves = there(targets, view, state).or_else(|| there_in_part(view, state));
    let serving = serves.map(|known| known.record.hash());
    let records: BTreeMap<_, _> = view
        .records
        .iter()
        .map(|(hash, known)| (hash.clone(), known.record.clone()))
        .collect();
    let title = match serves {
        Some(known) if !state.is_absent() => format!("{} (as it was before)", known.record.title()),
        _ if state.is_absent() => "nothing (as before)".to_owned(),
        _ => "what was there before".to_owned(),
    };
    let record = serving.filter(|_| !state.is_absent());
    keep_named_records(Goal {
        want: state.clone(),
        records,
        title,
        record,
    })
}

/// What was there before a deployment when a record served.
pub struct Before {
    /// As people had changed it by hand, without what was kept warm of other records then.
    pub goal: Goal,
    /// How it differs from the record, one line each.
    pub hands: Vec<String>,
    /// Something of the record was gone: no state to go back to.
    pub is_broken: bool,
}

/// What was there before a deployment when a record served, and how people had changed it by hand.
pub fn by_hand(targets: &Targets, view: &View, record: &Record, before: &Goal) -> Before {
    let own = of_record(targets, record);
    let own_part = |(name, state): (&str, &State)| {
        let mut state = state.clone();
        let want = own.want.of(name);
        state.resources.retain(|key, resource| {
            let of = resource.spec["record"].as_str().map(RecordHash::new);
            let is_other =
                of.is_some_and(|of| of != record.hash() && view.records.contains_key(&of));
            want.resources.contains_key(key) || !is_other
        });
        (name.to_owned(), state)
    };
    let goal = keep_named_records(Goal {
        want: before.want.iter().map(own_part).collect(),
        records: before.records.clone(),
        title: format!("{} (as it was, changes by hand included)", record.title()),
        record: Some(record.hash()),
    });
    let there = |name: &str| &goal.want.of(name).resources;
    let mut parts = own.want.iter();
    Before {
        hands: targets.diff(&own.want, &goal.want),
        is_broken: parts.any(|(name, state)| {
            let mut keys = state.resources.keys();
            keys.any(|key| !there(name).contains_key(key))
        }),
        goal,
    }
}

/// Drops records that the goal does not name, so that the journal stays small.
fn keep_named_records(mut goal: Goal) -> Goal {
    let text = serde_json::to_string(&goal.want).unwrap_or_default();
    let record = goal.record.clone();
    goal.records
        .retain(|hash, _| Some(hash) == record.as_ref() || text.contains(hash.as_str()));
    goal
}

/// Gives a goal's records the newest seals that their environment knows (I7): whoever asked for a rollback may have read
/// newer values than a deployment was created with. What a record is stays as it was.
pub(crate) fn take_newest_seals(view: &View, goal: &mut Goal) {
    if mutant::is(Mutant::OldSecrets) {
        return;
    }
    for (hash, record) in &mut goal.records {
        if let Some(known) = view.records.get(hash) {
            record.sealed.clone_from(&known.record.sealed);
        }
    }
}

/// While nothing is open: how what is there differs from what the serving record says, apart from what is kept warm on
/// purpose; one line each. Someone else did it (I10).
pub fn foreign(targets: &Targets, view: &View, now: &States) -> Vec<String> {
    foreign_unless(targets, view, now, |_, _| false)
}

/// The same without what a way to `want` leaves just as someone else made it. What they took away counts: it is missed on the way back.
pub(crate) fn overwritten(
    targets: &Targets,
    view: &View,
    now: &States,
    want: &States,
) -> Vec<String> {
    foreign_unless(targets, view, now, |name, entry| {
        targets.get(name).is_some_and(|place| {
            let differs = place.driver.diff(want.of(name), now.of(name));
            entry.have.is_object() && !differs.must().any(|it| it.meets(entry))
        })
    })
}

fn foreign_unless(
    targets: &Targets,
    view: &View,
    now: &States,
    is_other: impl Fn(&str, &DifferenceEntry) -> bool,
) -> Vec<String> {
    let Some(serving) = view.serving() else {
        return Vec::new();
    };
    let goal = of_record(targets, &serving.record);
    let without_warm = |(name, state): (&str, &State)| {
        let mut state = state.clone();
        let want = goal.want.of(name);
        state.resources.retain(|key, resource| {
            let record = resource.spec["record"].as_str().map(RecordHash::new);
            let is_warm = record.is_some_and(|record| view.cleanups.contains_key(&record));
            want.resources.contains_key(key) || !is_warm
        });
        (name.to_owned(), state)
    };
    let now = now.iter().map(without_warm).collect();
    targets.diff_unless(&goal.want, &now, is_other)
}

/// A candidate that was passed over, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Skipped {
    /// Its release.
    pub release: ReleaseNumber,
    /// Its content.
    pub record: RecordHash,
    /// Why not.
    pub why: String,
    /// It was never verified here, and nothing else speaks against it.
    pub is_unproven: bool,
}

/// What a *return* leads to.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The record; absent: there is nothing good to return to.
    pub record: Option<Record>,
    /// Its standing.
    pub standing: Option<Standing>,
    /// Since when it is good, Unix microseconds.
    pub good_at_us: Option<i64>,
    /// Candidates passed over, in the order they were looked at.
    pub skipped: Vec<Skipped>,
}

/// Chooses the goal of a return: the record before the present one if it is good, else the newest good one; with
/// `to`, that release and nothing else.
pub fn choose(view: &View, to: Option<ReleaseNumber>) -> Choice {
    choose_unless(view, serving(view), to, objection)
}

/// The same for a release that someone wants although it never proved itself here; a quarantined one is refused all
/// the same.
pub fn choose_unproven(view: &View, to: ReleaseNumber) -> Choice {
    choose_unless(view, serving(view), Some(to), objection_but_unproven)
}

/// The same from inside a deployment, which may lead to anything but what it put out. `unproven`: also to a release
/// that never proved itself here.
pub fn choose_from(
    view: &View,
    deployment: &Deployment,
    to: ReleaseNumber,
    unproven: bool,
) -> Choice {
    let left = brought(deployment);
    if unproven {
        choose_unless(view, left, Some(to), objection_but_unproven)
    } else {
        choose_unless(view, left, Some(to), objection)
    }
}

fn serving(view: &View) -> Option<RecordHash> {
    view.serving().map(|known| known.record.hash())
}

fn objection_but_unproven(known: &Known, left: Option<&RecordHash>) -> Option<String> {
    objection(known, left).filter(|_| !is_unproven(known, left))
}

/// `left`: what is gone back from.
fn choose_unless(
    view: &View,
    left: Option<RecordHash>,
    to: Option<ReleaseNumber>,
    objection: impl Fn(&Known, Option<&RecordHash>) -> Option<String>,
) -> Choice {
    let mut candidates = view.served_before();
    let mut others: Vec<&Known> = view
        .records
        .values()
        .filter(|known| known.good_at_us.is_some())
        .collect();
    others.sort_by_key(|known| std::cmp::Reverse(known.good_at_us));
    candidates.extend(others);
    // Everything that is known here, so that each one passed over is named, too.
    let mut rest: Vec<&Known> = view.records.values().collect();
    rest.sort_by_key(|known| std::cmp::Reverse(known.record.release));
    candidates.extend(rest);

    let mut choice = Choice {
        record: None,
        standing: None,
        good_at_us: None,
        skipped: Vec::new(),
    };
    let mut seen = Vec::new();
    for known in candidates {
        let hash = known.record.hash();
        if seen.contains(&hash) || to.is_some_and(|to| known.record.release != to) {
            continue;
        }
        seen.push(hash.clone());
        match objection(known, left.as_ref()) {
            None => {
                choice.record = Some(known.record.clone());
                choice.standing = Some(known.standing);
                choice.good_at_us = known.good_at_us;
                return choice;
            }
            Some(why) => {
                choice.skipped.push(Skipped {
                    release: known.record.release,
                    record: hash,
                    is_unproven: is_unproven(known, left.as_ref()),
                    why,
                });
            }
        }
    }
    choice
}

fn is_unproven(known: &Known, serving: Option<&RecordHash>) -> bool {
    known.standing == Standing::Candidate && Some(&known.record.hash()) != serving
}

fn objection(known: &Known, serving: Option<&RecordHash>) -> Option<String> {
    if Some(&known.record.hash()) == serving {
        return Some("it runs already".to_owned());
    }
    match known.standing {
        Standing::Good | Standing::Baked => None,
        Standing::Candidate => {
            let why = known.reason.as_deref();
            Some(why.unwrap_or("it was never verified here").to_owned())
        }
        Standing::Quarantined => {
            let why = known.reason.as_deref().unwrap_or("it was rolled back");
            Some(format!("it is quarantined: {why}"))
        }
    }
}

/// What a deployment leads to that someone told to go back to a record of their choice; no goal: a person decides.
pub fn elsewhere(
    targets: &Targets,
    view: &View,
    deployment: &Deployment,
    to: &RecordHash,
) -> (Option<Goal>, Vec<String>) {
    let Some(known) = view.records.get(to) else {
        let line = format!("record {} is not known here", to.short());
        return (None, vec![line]);
    };
    let title = known.record.title();
    if brought(deployment).as_ref() == Some(to) {
        return (None, vec![format!("{title} is what it goes back from")]);
    }
    if known.standing == Standing::Quarantined {
        let why = known.reason.as_deref().unwrap_or("it was rolled back");
        return (None, vec![format!("{title} is quarantined: {why}")]);
    }
    let mut remarks = Vec::new();
    if !known.standing.is_good() {
        remarks.push(format!(
            "WARNING: {title} was never verified here; that was accepted"
        ));
    }
    (Some(of_record(targets, &known.record)), remarks)
}

/// Why nobody goes to that record unless someone takes it upon them who did not.
pub(crate) fn not_accepted(view: &View, to: &RecordHash, accept: &[Risk]) -> Option<String> {
    let known = view.records.get(to)?;
    let is_accepted = accept.contains(&Risk::Unproven) || mutant::is(Mutant::AcceptsAll);
    let is_refused = known.standing == Standing::Candidate && !is_accepted;
    is_refused.then(|| {
        let title = known.record.title();
        format!("{title} was never verified here, and nobody accepted that with a reason")
    })
}

/// Whether that deployment quarantined it.
pub fn is_quarantined_by(known: &Known, deployment: &DeploymentId) -> bool {
    known.standing == Standing::Quarantined && known.deployment.as_ref() == Some(deployment)
}

/// What a deployment put out: no way back from it.
pub fn brought(deployment: &Deployment) -> Option<RecordHash> {
    let inputs = deployment.inputs.as_ref();
    let inputs = inputs.filter(|inputs| inputs.kind == Kind::Deploy)?;
    inputs.record.as_ref().map(Record::hash)
}

/// What going back from inside a deployment leads to, with remarks for people; no goal: a person decides.
pub fn undo(
    targets: &Targets,
    view: &View,
    deployment: &Deployment,
) -> (Option<Goal>, Vec<String>) {
    let mut remarks = Vec::new();
    let Some(baseline) = deployment.baseline_goal.clone() else {
        return (
            None,
            vec!["nothing was captured, so there is nothing to go back to".to_owned()],
        );
    };
    let known = baseline
        .record
        .as_ref()
        .and_then(|hash| view.records.get(hash));
    // What a rollback itself quarantined is what turning it round leads to (I9).
    let quarantined = known.is_some_and(|known| {
        let by_itself = is_quarantined_by(known, &deployment.id);
        known.standing == Standing::Quarantined && !by_itself
    });
    let wants: Vec<&String> = baseline.want.keys().collect();
    let sick: Vec<String> = deployment
        .baseline
        .unhealthy()
        .into_iter()
        .filter(|line| wants.iter().any(|key| line.starts_with(key.as_str())))
        .collect();
    if !quarantined && sick.is_empty() {
        if known.is_some_and(|known| !known.standing.is_good()) {
            remarks.push(format!(
                "{} had never been verified; it is what was there before",
                baseline.title
            ));
        }
        return (Some(baseline), remarks);
    }
    let why = if quarantined {
        "is quarantined".to_owned()
    } else {
        format!("was unhealthy ({})", sick.join("; "))
    };
    if let Some(newest) = newest_good(view, deployment) {
        remarks.push(format!(
            "what was there before {why}, so it goes to {}, the newest good one",
            newest.record.title()
        ));
        return (Some(of_record(targets, &newest.record)), remarks);
    }
    if quarantined {
        remarks.push(format!(
            "what was there before {why}, and no other release was ever good here"
        ));
        return (None, remarks);
    }
    remarks.push(format!("WARNING: what was there before {why}, but no release was ever good here: it is used all the same"));
    (Some(baseline), remarks)
}

/// What goes back by itself leads to where what was there before will not do. What the deployment itself brought is no way back
/// from it.
pub(crate) fn newest_good<'a>(view: &'a View, deployment: &Deployment) -> Option<&'a Known> {
    let inputs = deployment.inputs.as_ref();
    let own = inputs.and_then(|inputs| inputs.record.as_ref());
    let own = own.map(Record::hash);
    let others = view.records.values();
    others
        .filter(|known| known.standing.is_good() && Some(known.record.hash()) != own)
        .max_by_key(|known| known.good_at_us)
}
