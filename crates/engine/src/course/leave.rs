//! Ends that leave there what was done, and what is said then of what is there.

use super::run::Course;
use crate::ports::StoreError;
use crate::{conclude, goal};
use belay_model::environment::View;
use belay_model::event::{Cause, Outcome, RollbackResult};
use belay_model::release::Record;

impl Course {
    /// Policy says so: someone wants to look at what failed.
    pub(super) async fn leave(&mut self, cause: &Cause, policy: &str) -> Result<(), StoreError> {
        self.say_what_is_left(Some(cause)).await?;
        let there: Vec<_> = self.state().left.keys().cloned().collect();
        let mut residue = self.state().left_behind();
        let line = format!(
            "{} stays as it is, as `{policy}` says: {}",
            self.inputs()
                .record
                .as_ref()
                .map_or_else(|| "what was begun".to_owned(), Record::title),
            there.join(", ")
        );
        residue.insert(0, line);
        let rollback = RollbackResult::Limited;
        self.push_end(Outcome::Failed { rollback, residue });
        self.journal.flush().await.map(drop)
    }

    /// A move was left out, as a rule or a person said, and what was asked for is not there: that is no success, and nobody
    /// wanted it taken back.
    pub(super) async fn leave_unmet(&mut self, unmet: &[String]) -> Result<(), StoreError> {
        self.say_what_is_left(None).await?;
        let state = self.state();
        let unmet = unmet.iter();
        let unmet = unmet.map(|line| format!("the goal is not met: {line}"));
        let left = state.residue.iter().cloned().chain(state.left_behind());
        let residue = unmet.chain(left).collect();
        let rollback = RollbackResult::Limited;
        self.push_end(Outcome::Failed { rollback, residue });
        self.journal.flush().await.map(drop)
    }

    async fn say_what_is_left(&mut self, cause: Option<&Cause>) -> Result<(), StoreError> {
        let view = self.view().await?;
        let events = conclude::on_left(self.state(), self.inputs(), cause, &view);
        let half_way = self.half_way(&view);
        self.journal.conclude();
        for event in events.into_iter().chain(half_way) {
            self.journal.push_environment(event);
        }
        Ok(())
    }

    /// What serves by now, where a deployment ends that has not come to its end.
    pub(super) fn half_way(&self, view: &View) -> Option<belay_model::environment::Event> {
        let targets = self.targets().ok()?;
        let there = goal::there(&targets, view, &self.state().left);
        conclude::on_half_way(self.state(), there, view)
    }
}
