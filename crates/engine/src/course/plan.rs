//! The forward plan, or that of a rollback on request: frozen with the baseline, before anything changes.

use super::run::Course;
use crate::fold::Deployment;
use crate::mutant::{self, Mutant};
use crate::ports::StoreError;
use crate::targets::Targets;
use crate::{conclude, freeze, goal, left, planning, taken_back};
use belay_model::environment::View;
use belay_model::error::Failure;
use belay_model::event::{Event, Inputs, Kind, Outcome, RollbackResult};
use belay_model::plan::Plan;
use belay_model::release::Record;
use belay_model::state::{Goal, States};

/// How many deployments are looked through for the last one that ended.
const LOOKED_THROUGH: usize = 64;

impl Course {
    /// The lock is ours: capture what is there, freeze the plan.
    pub(super) async fn plan(&mut self) -> Result<(), StoreError> {
        let view = self.view().await?;
        if let Some(why) = conclude::refusal(self.inputs(), &view) {
            self.end_unchanged(why);
            return Ok(());
        }
        if let Some(why) = self.frozen().await? {
            self.end_unchanged(why);
            return Ok(());
        }
        let left = self.left().await?;
        let undone = self.undone().await?;
        let planned = match self.survey(&view, undone.as_ref()).await {
            Ok((targets, baseline)) => self
                .forward_plan(&targets, &view, &baseline, &left)
                .map(|(plan, goal)| (targets, plan, goal, baseline)),
            Err(failure) => Err(failure),
        };
        let (targets, plan, goal, baseline) = match planned {
            Ok(planned) => planned,
            Err(failure) => {
                self.end_unchanged(format!("could not plan: {}", failure.message));
                return Ok(());
            }
        };
        let foreign = self.foreign_since(&targets, &view, &baseline).await?;
        let baseline_goal = Box::new(goal::of_states(&view, &baseline));
        let inputs = self.inputs();
        for event in conclude::on_planned(&self.id, inputs, &goal, undone.as_ref(), &view) {
            self.journal.push_environment(event);
        }
        let remarks = foreign.iter();
        let remarks = remarks.map(|line| format!("changed by someone else: {line}"));
        let stays = taken_back::left_behind(&left).into_iter();
        let remarks = remarks.chain(stays.map(|line| format!("stays behind: {line}")));
        self.journal.push(Event::Planned {
            plan,
            baseline,
            baseline_goal,
            goal: Box::new(goal),
            remarks: remarks.collect(),
        });
        if !foreign.is_empty() && self.inputs().kind == Kind::Deploy {
            // I10: forward, what someone else changed is theirs to judge; going back, it is reported and overwritten.
            let why = format!(
                "someone else changed the target since the last deployment: {}; `retry` goes on with it as it is",
                foreign.join("; ")
            );
            self.journal.push(Event::parked(None, why));
        }
        Ok(())
    }

    /// Freezes hold up releases, and never a way back.
    async fn frozen(&self) -> Result<Option<String>, StoreError> {
        if self.inputs().kind != Kind::Deploy {
            return Ok(None);
        }
        let mut views = Vec::new();
        for scope in self.inputs().scope.frozen_by() {
            let entries = self.ports.store.environment(&scope, 0).await?;
            views.push((scope, View::of(&entries)));
        }
        let views = views.iter().map(|(scope, view)| (scope, view));
        let held = freeze::frozen(views, self.journal.now_us() / 1000);
        Ok(held.map(|held| held.why))
    }

    /// The targets of what shall serve, of what serves and of what is taken back, and what is there on them.
    async fn survey(
        &self,
        view: &View,
        undone: Option<&Inputs>,
    ) -> Result<(Targets, States), Failure> {
        let serving = view.serving().map(|known| &known.record);
        let undone = undone.and_then(|undone| undone.record.as_ref());
        let targets = self.targets_with(serving.into_iter().chain(undone))?;
        let (states, failures) = self.observe(&targets).await;
        match failures.into_iter().next() {
            Some(failure) => Err(failure),
            None => Ok((targets, states)),
        }
    }

    /// How what is there differs from what the last deployment left, where that is known: one that ended half-way left
    /// what it left.
    async fn foreign_since(
        &self,
        targets: &Targets,
        view: &View,
        now: &States,
    ) -> Result<Vec<String>, StoreError> {
        let history = self
            .ports
            .store
            .history(&self.inputs().scope, LOOKED_THROUGH)
            .await?;
        let last = history.iter().find_map(|summary| summary.outcome.as_ref());
        let is_known = last.is_none_or(|outcome| {
            matches!(
                outcome,
                Outcome::Succeeded
                    | Outcome::Failed {
                        rollback: RollbackResult::Complete | RollbackResult::None,
                        ..
                    }
            )
        });
        if !is_known || mutant::is(Mutant::Overwrites) {
            return Ok(Vec::new());
        }
        Ok(goal::foreign(targets, view, now))
    }

    fn forward_plan(
        &self,
        targets: &Targets,
        view: &View,
        baseline: &States,
        left: &[Deployment],
    ) -> Result<(Plan, Goal), Failure> {
        let inputs = self.inputs();
        let mut goal = match (&inputs.goal, &inputs.record) {
            (Some(goal), _) => goal.clone(),
            (None, Some(record)) => goal::of_record(targets, record),
            (None, None) => goal::of_states(view, &States::default()),
        };
        let plan = if inputs.kind == Kind::Deploy {
            // What serves elsewhere is removed once it is not kept warm any more.
            let own = targets.only(|name| {
                let record = inputs.record.as_ref();
                record.is_some_and(|record| record.target(name).is_some())
            });
            planning::forward(&own, baseline, &goal, inputs)
        } else {
            goal::take_newest_seals(view, &mut goal);
            let own = left
                .iter()
                .filter_map(|left| left.inputs.as_ref()?.record.as_ref());
            // What they run is in the files of their releases.
            goal.records
                .extend(own.map(|record| (record.hash(), record.clone())));
            let moves = planning::back(targets, baseline, &goal, &inputs.checks, inputs.parallel);
            moves.map(|plan| taken_back::over(plan, left))
        };
        Ok((plan.map_err(Failure::from)?, goal))
    }

    /// The deployments whose results this one leaves.
    async fn left(&self) -> Result<Vec<Deployment>, StoreError> {
        let inputs = self.inputs();
        let goal = inputs.record.as_ref().map(Record::hash);
        let store = self.ports.store.as_ref();
        left::left(store, &inputs.scope, &inputs.kind, goal.as_ref()).await
    }

    /// What the deployment started from that this one takes back.
    async fn undone(&self) -> Result<Option<Inputs>, StoreError> {
        let Kind::Undo { of } = &self.inputs().kind else {
            return Ok(None);
        };
        let entries = self.ports.store.events(of, 0).await?;
        Ok(entries.into_iter().find_map(|entry| match entry.event {
            Event::Created(inputs) => Some(*inputs),
            _ => None,
        }))
    }

    /// Nothing was changed and nothing will be.
    fn end_unchanged(&mut self, why: String) {
        let outcome = Outcome::Failed {
            rollback: RollbackResult::None,
            residue: vec![why],
        };
        self.journal.push(Event::Ended { outcome });
    }
}
