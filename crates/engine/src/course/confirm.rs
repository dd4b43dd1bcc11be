//! What a plan came to: what is there is compared with the goal before a deployment ends (I5).

use super::run::Course;
use crate::decide;
use crate::mutant::{self, Mutant};
use crate::ports::StoreError;
use crate::targets::Targets;
use belay_model::error::Failure;
use belay_model::event::{Event, Outcome};

impl Course {
    /// I5: restored only when what is there equals the goal; and released, where a move was left out.
    pub(super) async fn confirm(&mut self) -> Result<(), StoreError> {
        let (unmet, unseen) = match self.targets() {
            Ok(targets) => self.unmet(&targets).await,
            Err(failure) => (vec![failure.message], None),
        };
        if let Some(failure) = unseen
            && self.may_look_again(&failure).await?
        {
            return Ok(());
        }
        self.has_looked();
        if !self.state().goes_back() {
            if unmet.is_empty() {
                return self.end(Outcome::Succeeded).await;
            }
            return self.leave_unmet(&unmet).await;
        }
        let skipped = !self.state().residue.is_empty() || mutant::is(Mutant::CallsItDone);
        if unmet.is_empty() || skipped {
            let outcome = decide::ending(self.state());
            return self.end(outcome).await;
        }
        let why = format!(
            "the goal is not met: {}; `retry` goes there from what is there now",
            unmet.join("; ")
        );
        self.journal.push(Event::parked(None, why));
        Ok(())
    }

    /// What keeps what is meant from being the goal, and why some of it could not be seen.
    async fn unmet(&self, targets: &Targets) -> (Vec<String>, Option<Failure>) {
        let (_, run) = self.state().current().expect("confirming a plan");
        let goal = run.goal.as_ref().expect("a plan with a goal");
        let is_back = self.state().goes_back();
        let leads_back = self.state().leads_back();
        let touched = self.state().touched();
        // Forward, all that the release has a place on; what else is there is removed later.
        let record = self.inputs().record.as_ref();
        let has_place = |name: &str| record.is_some_and(|record| record.target(name).is_some());
        let meant = targets.only(|name| {
            let is_meant = if is_back {
                leads_back || touched.contains(&name)
            } else {
                has_place(name)
            };
            is_meant && goal.want.get(name).is_some()
        });
        let (now, failures) = self.observe(&meant).await;
        let mut unmet = match is_back {
            true => meant.diff(&goal.want, &now),
            // What is there and never became ready serves nobody.
            false => [
                meant.lacks(&goal.want, &now),
                meant.unwell(&goal.want, &now),
            ]
            .concat(),
        };
        unmet.extend(failures.iter().map(|failure| failure.message.clone()));
        (unmet, failures.into_iter().next())
    }
}
