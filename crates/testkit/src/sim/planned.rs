//! A deployment in the moment in which it is asked for, and in that in which it has the lock and its plan.

use super::audit::Audit;
use super::story::Trouble;
use belay_model::config::ForeignChange;
use belay_model::environment::{Standing, View};
use belay_model::event::{Entry, Event, Inputs, Kind};
use belay_model::id::DeploymentId;
use belay_model::plan::{Phase, Plan};
use belay_model::state::Goal;

/// Steps of a plan (I11).
const LONGEST_PLAN: usize = 500;

impl Audit {
    pub(super) fn created(&self, id: &DeploymentId, inputs: &Inputs) {
        let queue = self.store().queue(&inputs.scope);
        let mut seen = self.seen();
        seen.order.push(id.clone());
        seen.counters.count("deployments");
        seen.counters.count(match inputs.kind {
            Kind::Deploy => "deployments: deploy",
            Kind::Return { .. } => "deployments: return",
            Kind::Undo { .. } => "deployments: undo",
        });
        if inputs.hotfix.is_some() {
            seen.counters.count("deployments: hotfix");
        }
        if queue.len() > 1 {
            seen.counters.count("deployments: queued behind another");
        }
        if !inputs.phases.is_empty() {
            seen.counters.count("deployments: with phases");
        }
        if inputs
            .record
            .as_ref()
            .is_some_and(|record| record.targets.len() > 1)
        {
            seen.counters.count("deployments: on several targets");
        }
    }

    /// I12: the oldest that has not ended, and nobody else.
    pub(super) fn has_lock(&self, id: &DeploymentId, inputs: &Inputs, what: &str) {
        let queue = self.store().queue(&inputs.scope);
        let seen = self.seen();
        let before = seen.order.iter().take_while(|it| *it != id);
        let older: Vec<&DeploymentId> = before.filter(|it| queue.contains(it)).collect();
        if !older.is_empty() {
            let breach = format!("I12: {id} {what}, and {older:?} are open");
            drop(seen);
            self.breach(breach);
        }
    }

    pub(super) fn planned(&self, inputs: &Inputs, plan: &Plan, goal: &Goal) {
        let view = self.store().view(&inputs.scope);
        if plan.len() > LONGEST_PLAN {
            self.breach(format!("I11: a plan of {} steps", plan.len()));
        }
        if inputs.kind != Kind::Deploy {
            self.seals(&view, goal);
        } else {
            let passes = inputs.hotfix.is_some_and(|hotfix| hotfix.passes_freeze);
            let frozen = inputs.scope.frozen_by().into_iter();
            let frozen = frozen.filter(|_| !passes);
            let mut frozen = frozen.filter(|scope| {
                let view = self.store().view(scope);
                view.freeze.or(view.breaker).is_some()
            });
            if let Some(scope) = frozen.next() {
                self.breach(format!("I9: a release goes out although {scope} is frozen"));
            }
            let standing = inputs
                .record
                .as_ref()
                .and_then(|record| view.records.get(&record.hash()));
            if standing.is_some_and(|known| known.standing == Standing::Quarantined) {
                self.breach("P5: a quarantined release goes out");
            }
        }
    }

    /// I10: what a stranger did between two deployments is for a person to judge, or told of on the way back.
    pub(super) fn foreign(
        &self,
        inputs: &Inputs,
        takes_over: bool,
        remarks: &[String],
        batch: &[Entry],
    ) {
        let here = self.here(&inputs.scope);
        if !here.is_untold {
            return;
        }
        self.with_here(&inputs.scope, |here| here.is_untold = false);
        // What there was while the one before it worked, that one has taken in, perhaps.
        if takes_over {
            return;
        }
        let ground = self.ground(&inputs.scope);
        let is_stranger = |world: &crate::World| world.users().contains_key("stranger");
        let serves = self.store().view(&inputs.scope).serving().is_some();
        if !here.is_known || here.is_rough || !serves || !ground.worlds.values().any(is_stranger) {
            return;
        }
        let is_parked = batch
            .iter()
            .any(|entry| matches!(entry.event, Event::Parked { .. }));
        let is_told = remarks
            .iter()
            .any(|line| line.starts_with("changed by someone else"));
        if !is_told || (inputs.kind == Kind::Deploy && !is_parked) {
            self.breach("I10: a stranger's change is overwritten, and nobody was told");
        }
    }

    /// I10: a way back over what a stranger did waits for a person where policy says so.
    pub(super) fn asks_first(
        &self,
        inputs: &Inputs,
        plan: &Plan,
        remarks: &[String],
        batch: &[Entry],
    ) {
        let is_foreign = |line: &String| line.starts_with("changed by someone else");
        let asks = inputs.back_order.foreign_change == ForeignChange::Ask;
        // Where it does not go it overwrites nothing.
        let moves = |target: &String| {
            let own = |phase: &&Phase| phase.target.as_ref() == Some(target);
            let mut own = plan.phases.iter().filter(own);
            own.any(|phase| phase.steps.iter().any(|step| step.effect().is_some()))
        };
        let ground = self.ground(&inputs.scope);
        if !asks || !remarks.iter().any(is_foreign) || !ground.worlds.keys().all(moves) {
            return;
        }
        self.count("foreign changes: a person is asked");
        let is_parked = |entry: &Entry| matches!(entry.event, Event::Parked { .. });
        if !batch.iter().any(is_parked) {
            self.breach("I10: it goes back over what a stranger did, and nobody was asked");
        }
    }

    /// I7: secrets are the newest that are known here.
    pub(super) fn seals(&self, view: &View, goal: &Goal) {
        for (hash, record) in &goal.records {
            if record.hash() != *hash {
                self.breach(format!(
                    "I7: the record of {} is not as it was",
                    record.title()
                ));
            }
        }
        let is_back = goal.record.as_ref().and_then(|hash| {
            let sealed = &goal.records.get(hash)?.sealed;
            Some((sealed, &view.records.get(hash)?.record))
        });
        let was_silent = self
            .story
            .incidents
            .iter()
            .any(|incident| matches!(incident.trouble, Trouble::NoAnswers(..)));
        if let Some((sealed, newest)) = is_back
            && *sealed != newest.sealed
            && !was_silent
        {
            let title = newest.title();
            self.breach(format!(
                "I7: {title} would run with older secrets than there are"
            ));
        }
    }
}
