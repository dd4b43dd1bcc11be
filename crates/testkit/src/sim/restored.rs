//! What must hold where a deployment went back: what was there before is there again, all of it or as much as was meant.

use super::backwards::{cause_phase, last_abort};
use super::ended::Case;
use super::orders::back_of;
use belay_driver::Driver;
use belay_model::event::{Event, Kind, Outcome};
use belay_model::id::DeploymentId;
use belay_model::release::Record;
use std::collections::BTreeMap;

impl Case<'_> {
    /// What was there before that deployment is there, and what was run with it was taken back.
    pub(super) fn is_undone(&self, of: &DeploymentId) {
        let own = self.audit.seen().owns.get(of).cloned();
        let Some(own) = own.filter(|own| !own.is_foreign && !self.is_foreign) else {
            return;
        };
        for (name, world) in &self.ground.worlds {
            for line in world.diff(&own.baseline[name], &world.state()).lines() {
                self.breach(format!(
                    "I5: {of} is undone, and {name} is not as before: {line}"
                ));
            }
        }
        let is_whole = |id: &DeploymentId| {
            let journal = self.audit.store().journal(id);
            let last = journal.last().map(|entry| &entry.event);
            matches!(
                last,
                Some(Event::Ended {
                    outcome: Outcome::Succeeded | Outcome::Stopped,
                    ..
                })
            )
        };
        let all = own.before.iter().chain([of]);
        let all: Vec<&DeploymentId> = all.filter(|id| is_whole(id)).collect();
        self.runs_are_taken_back(&all);
    }

    /// Each command of these that was run was taken back since.
    fn runs_are_taken_back(&self, of: &[&DeploymentId]) {
        let seen = self.audit.seen();
        let name = |text: &str| text.split(' ').next().unwrap_or_default().to_owned();
        let mut owed = BTreeMap::new();
        let mut paid = 0;
        for (id, text) in &seen.ran {
            let name = name(text);
            if of.contains(&id) && !name.starts_with("un-") {
                owed.insert(back_of(&name), name);
            } else if owed.remove(&name).is_some() {
                paid += 1;
            }
        }
        drop(seen);
        self.audit.add("commands taken back", paid);
        for name in owed.values() {
            self.breach(format!("I2: it went back, and {name} was not taken back"));
        }
    }

    /// I5: what was there before is there again.
    pub(super) fn went_back(&self, residue: &[String]) {
        self.is_quiet();
        self.names_what_stays(residue);
        let Some(goal) = self
            .deployment
            .plans
            .last()
            .and_then(|run| run.goal.as_ref())
        else {
            return self.breach("I5: it went back, and to nothing");
        };
        self.is_met(goal);
        self.has_enough();
        self.is_not_less();
        self.went_there();
        // What is gone back to is not blamed for more than what was seen of it.
        let own = self.inputs.record.as_ref().map(Record::hash);
        let blamed = self.deployment.plans.iter();
        let blamed = blamed.filter(|run| run.goal.as_ref().is_some_and(|goal| goal.record != own));
        let blamed = blamed.filter_map(|run| run.cause.as_ref());
        let view = self.audit.store().view(&self.inputs.scope);
        if self.inputs.kind == Kind::Deploy
            && goal.record != own
            && blamed
                .clone()
                .any(belay_model::event::Cause::blames_release)
        {
            use belay_model::environment::Standing;
            let known = self
                .inputs
                .record
                .as_ref()
                .and_then(|it| view.records.get(&it.hash()));
            if known.is_none_or(|known| known.standing != Standing::Quarantined) {
                self.breach("P5: what was rolled back is not quarantined");
            }
        }
        let known = view.serving().map(|known| known.record.hash());
        if !self.is_foreign && known != goal.record && !self.audit.here(&self.inputs.scope).is_rough
        {
            self.breach("it went back, and something else is known to serve");
        }
    }

    /// I5: where it was told to, if someone said where; and all that was run was taken back.
    fn went_there(&self) {
        let last = self.deployment.plans.last();
        let to = last.and_then(|run| run.cause.as_ref()?.leads_to());
        if let Some(wanted) = last_abort(self.journal).and_then(|back| back.to.as_ref())
            && to != Some(wanted)
        {
            self.breach("I5: it was told to go to a release, and went somewhere else");
        }
        if self.was_left_out() {
            return;
        }
        if let Some(to) = to {
            self.audit.count("to a release: is there");
            let view = self.audit.store().view(&self.inputs.scope);
            let known = view.records.get(to).map(|known| &known.record);
            self.serves(known);
        }
        if self.inputs.kind == Kind::Deploy {
            let all = self.own.before.iter().chain([&self.deployment.id]);
            self.runs_are_taken_back(&all.collect::<Vec<_>>());
        }
        if !self.own.before.is_empty() {
            self.audit.count("hotfixes: went back");
        }
    }

    /// By policy, or because someone gave up.
    pub(super) fn went_half_way(&self, residue: &[String]) {
        self.names_what_stays(residue);
        let plans = &self.deployment.plans;
        if plans.len() == 1 && self.deployment.abandon.is_none() {
            let is_left = residue
                .first()
                .is_some_and(|line| line.contains("on_failure: stop"));
            if is_left {
                self.audit.left_by_policy(self.deployment, self.inputs);
            }
        }
        let phase = plans.last().and_then(|run| cause_phase(run.cause.as_ref()));
        let is_whole = !self.was_left_out() && self.deployment.abandon.is_none();
        if let Some(phase) = phase.filter(|_| plans.len() == 2 && is_whole && !self.is_foreign) {
            self.audit.phase_is_back(self.inputs, &self.own, phase);
        }
    }
}
