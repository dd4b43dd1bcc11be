//! Going back inside a deployment: the goal is chosen, the plan frozen, and the end compared with the goal.

use super::run::Course;
use crate::ports::StoreError;
use crate::{conclude, decide, goal, planning};
use belay_model::environment::View;
use belay_model::event::{Cause, Event, Outcome, RollbackResult};
use belay_model::id::StepId;
use belay_model::plan::{Action, Plan};
use belay_model::release::Record;
use belay_model::state::{Goal, State};

impl Course {
    pub(super) async fn roll_back(&mut self, cause: Cause) -> Result<(), StoreError> {
        let view = self.view().await?;
        let before = self.observe().await.ok();
        let number = u16::try_from(self.state().plans.len()).expect("rollbacks are bounded");
        let planned = self.way_back(&view, before.as_ref());
        let (goal, plan, mut remarks) = planned;
        if before.is_none() {
            remarks.push(
                "what is there now could not be observed, so this rollback cannot be taken back"
                    .to_owned(),
            );
        }
        for event in conclude::on_rollback(&self.id, self.inputs(), &cause, goal.as_ref(), &view) {
            self.journal.push_environment(event);
        }
        let why = remarks.last().cloned();
        let stuck = goal.is_none();
        let goal = goal.map(Box::new);
        self.journal.push(Event::RollbackPlanned {
            number,
            cause,
            goal,
            plan,
            before,
            remarks,
        });
        if stuck {
            let why = why.unwrap_or_else(|| "there is nothing to go back to".to_owned());
            self.journal.push(Event::Parked { step: None, why });
        }
        Ok(())
    }

    /// `on_first_failure: leave`: nothing was there before, and someone wants to look at what failed.
    pub(super) fn leave(&mut self, cause: &Cause) {
        for event in conclude::on_left(self.state(), self.inputs(), cause) {
            self.journal.push_environment(event);
        }
        let there: Vec<_> = self.state().left.resources.keys().cloned().collect();
        let line = format!(
            "{} stays as it is, as `on_first_failure: leave` says: {}",
            self.inputs()
                .record
                .as_ref()
                .map_or_else(|| "what was begun".to_owned(), Record::title),
            there.join(", ")
        );
        self.journal.push(Event::Ended {
            outcome: Outcome::Failed {
                rollback: RollbackResult::Limited,
                residue: vec![line],
            },
        });
    }

    fn way_back(&self, view: &View, before: Option<&State>) -> (Option<Goal>, Plan, Vec<String>) {
        let nothing = Plan::empty();
        let driver = match self.driver() {
            Ok(driver) => driver,
            Err(failure) => return (None, nothing, vec![failure.message]),
        };
        let (goal, mut remarks) = goal::undo(driver.as_ref(), view, self.state());
        if let Some(before) = before {
            let foreign = driver.diff(&self.state().left, before).lines();
            remarks.extend(
                foreign
                    .iter()
                    .map(|line| format!("changed by someone else: {line}")),
            );
        }
        let Some(mut goal) = goal else {
            return (None, nothing, remarks);
        };
        goal::take_newest_seals(view, &mut goal);
        let from = before.unwrap_or(&self.state().left);
        match planning::back(
            driver.as_ref(),
            &self.target(),
            from,
            &goal,
            &self.inputs().checks,
        ) {
            Ok(plan) => (Some(goal), plan, remarks),
            Err(error) => {
                remarks.push(format!("failed to plan the way back: {error}"));
                (None, nothing, remarks)
            }
        }
    }

    /// I5: restored only when what is there equals the goal.
    pub(super) async fn confirm(&mut self) -> Result<(), StoreError> {
        let unmet = match (self.driver(), self.observe().await) {
            (Ok(driver), Ok(now)) => {
                let (_, run) = self.state().current().expect("confirming a plan");
                let goal = run.goal.as_ref().expect("a plan with a goal");
                driver.diff(&goal.want, &now).lines()
            }
            (Err(failure), _) | (_, Err(failure)) => vec![failure.message],
        };
        let skipped = !self.state().residue.is_empty();
        if unmet.is_empty() || skipped {
            let outcome = decide::ending(self.state());
            return self.end(outcome).await;
        }
        let why = format!("the goal is not met: {}", unmet.join("; "));
        self.journal.push(Event::Parked {
            step: self.last_effect(),
            why,
        });
        Ok(())
    }

    /// The step that a retry repeats when the goal is not met though every step was done.
    fn last_effect(&self) -> Option<StepId> {
        let (plan, run) = self.state().current()?;
        let index = run
            .plan
            .steps()
            .position(|step| matches!(step.action, Action::Effect(_)))?;
        Some(StepId {
            plan,
            index: u16::try_from(index).ok()?,
        })
    }
}
