//! The forward plan, or that of a rollback on request: frozen with the baseline, before anything changes.

use super::run::Course;
use crate::ports::StoreError;
use crate::{conclude, goal, planning};
use belay_model::environment::View;
use belay_model::error::Failure;
use belay_model::event::{Event, Inputs, Kind, Outcome, RollbackResult};
use belay_model::plan::Plan;
use belay_model::state::{Goal, State};

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
        let planned = match self.observe().await {
            Ok(baseline) => self
                .forward_plan(&view, &baseline)
                .map(|(plan, goal)| (plan, goal, baseline)),
            Err(failure) => Err(failure),
        };
        let planned = match planned {
            Ok((plan, goal, baseline)) => self
                .foreign_since(&view, &baseline)
                .await?
                .map(|foreign| (plan, goal, baseline, foreign)),
            Err(failure) => Err(failure),
        };
        let (plan, goal, baseline, foreign) = match planned {
            Ok(planned) => planned,
            Err(failure) => {
                self.end_unchanged(format!("could not plan: {}", failure.message));
                return Ok(());
            }
        };
        let baseline_goal = Box::new(goal::of_state(&view, &baseline));
        let undone = self.undone().await?;
        let inputs = self.inputs();
        for event in conclude::on_planned(&self.id, inputs, &goal, undone.as_ref(), &view) {
            self.journal.push_environment(event);
        }
        let remarks = foreign.iter();
        let remarks = remarks.map(|line| format!("changed by someone else: {line}"));
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
            self.journal.push(Event::Parked { step: None, why });
        }
        Ok(())
    }

    /// How what is there differs from what the last deployment left, where that is known: one that ended half-way left
    /// what it left.
    async fn foreign_since(
        &self,
        view: &View,
        now: &State,
    ) -> Result<Result<Vec<String>, Failure>, StoreError> {
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
        if !is_known {
            return Ok(Ok(Vec::new()));
        }
        let driver = match self.driver() {
            Ok(driver) => driver,
            Err(failure) => return Ok(Err(failure)),
        };
        Ok(Ok(goal::foreign(driver.as_ref(), view, now)))
    }

    fn forward_plan(&self, view: &View, baseline: &State) -> Result<(Plan, Goal), Failure> {
        let driver = self.driver()?;
        let inputs = self.inputs();
        let target = self.target();
        let mut goal = match (&inputs.goal, &inputs.record) {
            (Some(goal), _) => goal.clone(),
            (None, Some(record)) => goal::of_record(driver.as_ref(), record),
            (None, None) => goal::of_state(view, &State::default()),
        };
        if inputs.kind != Kind::Deploy {
            goal::take_newest_seals(view, &mut goal);
        }
        let plan = if inputs.kind == Kind::Deploy {
            planning::forward(driver.as_ref(), &target, baseline, &goal, inputs)
        } else {
            planning::back(driver.as_ref(), &target, baseline, &goal, &inputs.checks)
        };
        Ok((plan.map_err(Failure::from)?, goal))
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
