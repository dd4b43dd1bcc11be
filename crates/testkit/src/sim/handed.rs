//! What is there when a deployment gets its lock, as the simulator sees it and not as the engine says; and that a hotfix gets
//! the lock, the baseline and everything that was begun in the moment in which the deployment before it ends.

use super::audit::Audit;
use super::backwards::has_bad;
use super::capacity::Need;
use super::ended;
use belay_driver::Driver;
use belay_engine::fold::Deployment;
use belay_model::environment::Standing;
use belay_model::event::{Ask, Entry, Event, Inputs, Outcome};
use belay_model::id::{DeploymentId, RecordHash, StepId};
use belay_model::plan::Plan;
use belay_model::release::Record;
use belay_model::state::{State, States};
use belay_model::takeover::TakesOver;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of a deployment that has its plan.
#[derive(Clone, Default)]
pub(super) struct Own {
    /// What was there on each target when it got the lock; a hotfix has that of the one before.
    pub(super) baseline: BTreeMap<String, State>,
    /// What was known to serve then.
    pub(super) record: Option<RecordHash>,
    /// A part of it was of a release that had gone back.
    pub(super) had_bad: bool,
    /// Strangers had been there, so that nobody can say.
    pub(super) is_foreign: bool,
    /// Targets that an effect was begun on, by those that it took over from, too.
    pub(super) begun: BTreeSet<String>,
    /// Phases of the first plan that an effect was begun in.
    pub(super) begun_phases: BTreeSet<usize>,
    /// Those.
    pub(super) before: Vec<DeploymentId>,
    pub(super) plans: Vec<Plan>,
    /// What was there when a phase began, by its place in the first plan.
    pub(super) phases: BTreeMap<usize, State>,
    /// What its last plan owes to users, by target.
    pub(super) needs: BTreeMap<String, Need>,
}

/// The hotfix that a deployment made way for, if that is how it ended.
pub(super) fn made_way(journal: &[Entry], outcome: &Outcome) -> Option<DeploymentId> {
    let asks = journal.iter().filter_map(|entry| match &entry.event {
        Event::Signal { ask, .. } => Some(ask),
        _ => None,
    });
    let was_stopped = asks.clone().any(|ask| *ask == Ask::Stop);
    let mut by = asks.filter_map(|ask| match ask {
        Ask::Supersede { by } => Some(by.clone()),
        _ => None,
    });
    by.next_back()?
        .filter(|_| *outcome == Outcome::Stopped && !was_stopped)
}

impl Audit {
    /// I1: what a plan calls its baseline is there.
    pub(super) fn captured(
        &self,
        id: &DeploymentId,
        inputs: &Inputs,
        plan: &Plan,
        baseline: &States,
        takes_over: Option<&TakesOver>,
    ) {
        let ground = self.ground(&inputs.scope);
        let is_foreign = self.here(&inputs.scope).meddled_us.is_some();
        let found = takes_over.map_or(baseline, |over| &over.found.want);
        let mut own = Own {
            is_foreign,
            plans: vec![plan.clone()],
            ..Own::default()
        };
        for (name, world) in &ground.worlds {
            let now = world.state();
            for line in world.diff(found.of(name), &now).lines() {
                if !is_foreign {
                    self.breach(format!("I1: captured, and it is not so: {name}: {line}"));
                }
            }
            own.baseline.insert(name.clone(), now);
        }
        let view = self.store().view(&inputs.scope);
        own.record = view.serving().map(|known| known.record.hash());
        let mut states = own.baseline.values();
        own.had_bad = states.any(|state| has_bad(&view, state, None));
        if let Some(over) = takes_over {
            self.takes_over(id, inputs, baseline, over, &mut own);
        }
        self.seen().owns.insert(id.clone(), own);
    }

    /// I12: one transaction, from one that had not turned back, with its baseline and what it had begun.
    fn takes_over(
        &self,
        id: &DeploymentId,
        inputs: &Inputs,
        baseline: &States,
        over: &TakesOver,
        own: &mut Own,
    ) {
        self.count("hotfixes: took over");
        let from = &over.from;
        let journal = self.store().journal(from);
        let has_ended = |entry: &Entry| matches!(&entry.event, Event::Ended { outcome, .. } if *outcome == Outcome::Stopped);
        if !journal.last().is_some_and(has_ended) {
            self.breach(format!("I12: {id} takes over from {from}, which goes on"));
        }
        if Deployment::of(from.clone(), &journal).goes_back() {
            self.breach(format!("I3: {from} went back, and {id} turns it round"));
        }
        let Some(old) = self.seen().owns.get(from).cloned() else {
            return self.breach(format!(
                "I12: {id} takes over from {from}, which had no plan"
            ));
        };
        for (name, world) in &self.ground(&inputs.scope).worlds {
            let lines = world.diff(&old.baseline[name], baseline.of(name)).lines();
            for line in lines.iter().filter(|_| !old.is_foreign) {
                self.breach(format!(
                    "I12: the baseline of {from} does not pass to {id}: {name}: {line}"
                ));
            }
        }
        if let Some(name) = old.begun.iter().find(|name| !over.touched.contains(name)) {
            self.breach(format!("I12: {id} does not know that {from} began {name}"));
        }
        own.before = old.before.into_iter().chain([from.clone()]).collect();
        own.baseline = old.baseline;
        own.record = old.record;
        own.had_bad = old.had_bad;
        own.is_foreign |= old.is_foreign;
        own.begun = old.begun;
    }

    /// A deployment made way: whom it made way for has the lock by then, and it is not known as good.
    pub(super) fn handed_over(&self, id: &DeploymentId, inputs: &Inputs, by: &DeploymentId) {
        let has_it = |event: &Event| matches!(event, Event::Planned { takes_over: Some(over), .. } if over.from == *id);
        if !self.store().any_event(by, has_it) {
            self.breach(format!("I12: {id} made way, and {by} has not got its lock"));
        }
        let view = self.store().view(&inputs.scope);
        let known = inputs.record.as_ref().map(Record::hash);
        let known = known.and_then(|hash| view.records.get(&hash));
        let is_own = known.is_some_and(|known| known.deployment.as_ref() == Some(id));
        if is_own && known.is_some_and(|known| known.standing == Standing::Good) {
            self.breach(format!(
                "P5: {id} made way before its bake was over, and counts as good"
            ));
        }
    }

    /// An attempt begins. `before`: what is said to be there as its phase begins.
    pub(super) fn begins(
        &self,
        id: &DeploymentId,
        inputs: &Inputs,
        step: StepId,
        before: Option<&State>,
    ) {
        let mut seen = self.seen();
        let Some(own) = seen.owns.get_mut(id) else {
            return;
        };
        let plan = &own.plans[usize::from(step.plan)];
        let Some((phase, planned)) = ended::step(plan, step.index) else {
            return;
        };
        let Some(target) = phase.target.clone() else {
            return;
        };
        let place = plan.phases.iter().position(|it| it == phase);
        let place = place.expect("its own");
        let effect = planned.effect().cloned();
        if effect.is_some() {
            own.begun.insert(target.clone());
            own.begun_phases.extend((step.plan == 0).then_some(place));
        }
        let Some(before) = before else {
            drop(seen);
            if let Some(effect) = &effect {
                self.moves_with_enough(id, inputs, (&target, effect, step));
            }
            return;
        };
        if step.plan == 0 {
            own.phases.insert(place, before.clone());
        }
        let is_foreign = seen.places.get(&inputs.scope);
        let is_foreign = is_foreign.is_some_and(|here| here.meddled_us.is_some());
        drop(seen);
        if let Some(effect) = &effect {
            self.moves_with_enough(id, inputs, (&target, effect, step));
        }
        let world = &self.ground(&inputs.scope).worlds[&target];
        for line in world.diff(before, &world.state()).lines() {
            if !is_foreign {
                self.breach(format!(
                    "I1: a phase begins, and it is not so: {target}: {line}"
                ));
            }
        }
    }
}
