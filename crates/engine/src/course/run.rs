//! The loop, and what all its parts ask: the fold, the target and its driver, what is there now.

use super::sinks::Lines;
use crate::conclude;
use crate::decide::{Command, decide};
use crate::fold::Deployment;
use crate::journal::Journal;
use crate::ports::{Materials, Ports, StoreError};
use belay_driver::{Context, Driver};
use belay_model::environment::View;
use belay_model::error::{Class, Failure};
use belay_model::event::{Event, Inputs, Outcome};
use belay_model::id::{DeploymentId, StepId};
use belay_model::plan::{Action, Effect};
use belay_model::release::Target;
use belay_model::state::State;
use std::sync::Arc;

/// Longest time that one attempt of an effect may take, milliseconds, beyond what the driver waits for itself.
pub const DEADLINE_MS: u64 = 30 * 60 * 1000;

/// How a course left the worker.
#[derive(Debug, PartialEq)]
pub enum Left {
    /// It ended.
    Ended,
    /// It waits for a person; its lock stays.
    Parked,
}

/// See the module.
pub struct Course {
    pub(super) ports: Ports,
    pub(super) journal: Journal,
    pub(super) id: DeploymentId,
}

impl Course {
    /// Takes a deployment over.
    pub async fn take(ports: Ports, owner: &str, id: &DeploymentId) -> Result<Self, StoreError> {
        let journal = Journal::open(ports.store.clone(), ports.clock.clone(), owner, id).await?;
        Ok(Self {
            ports,
            journal,
            id: id.clone(),
        })
    }

    /// Goes on until it ends or waits for a person.
    ///
    /// # Errors
    /// The store cannot be used, or another worker has taken over; the deployment is as the journal says.
    pub async fn run(&mut self) -> Result<Left, StoreError> {
        loop {
            let command = decide(self.journal.state(), self.journal.now_us());
            tracing::debug!(deployment = %self.id, ?command, "decided");
            match command {
                Command::Plan => self.plan().await?,
                Command::Perform(step) => self.perform(step).await?,
                Command::Settle(step) => self.settle(step).await?,
                Command::Verify(step) => self.verify(step).await?,
                Command::Rollback(cause) => self.roll_back(cause).await?,
                Command::Leave(cause) => self.leave(&cause),
                Command::Confirm => self.confirm().await?,
                Command::Park { step, why } => self.journal.push(Event::Parked { step, why }),
                Command::End(outcome) => self.end(outcome).await?,
                Command::WaitUntil(at_us) => self.wait_until(at_us).await?,
                Command::Rest => {
                    if !self.journal.is_only_claimed() {
                        self.journal.flush().await?;
                    }
                    let ended = self.journal.state().ended.is_some();
                    return Ok(if ended { Left::Ended } else { Left::Parked });
                }
            }
        }
    }

    pub(super) fn state(&self) -> &Deployment {
        self.journal.state()
    }

    pub(super) fn inputs(&self) -> &Inputs {
        self.state()
            .inputs
            .as_ref()
            .expect("decided on after Created")
    }

    pub(super) async fn view(&self) -> Result<View, StoreError> {
        Ok(View::of(
            &self
                .ports
                .store
                .environment(&self.inputs().scope, 0)
                .await?,
        ))
    }

    /// The target: that of the record, or of what the goal of an undo runs.
    pub(super) fn target(&self) -> Target {
        let inputs = self.inputs();
        let from_goal = || {
            let goals = [inputs.goal.as_ref(), self.state().baseline_goal.as_ref()];
            goals
                .into_iter()
                .flatten()
                .find_map(|goal| goal.records.values().next())
        };
        let record = inputs.record.as_ref().or_else(from_goal);
        record.expect("a deployment names a record").target.clone()
    }

    pub(super) fn driver(&self) -> Result<Arc<dyn Driver>, Failure> {
        let name = self.target().driver;
        self.ports.drivers.driver(&name).ok_or_else(|| {
            let message = format!("find the driver `{name}`: this belay was built without it");
            belay_driver::Error::not_applied(Class::Unknown, message).into()
        })
    }

    pub(super) fn context(
        &self,
        step: Option<StepId>,
        attempt: u32,
        material: Materials,
    ) -> Context {
        Context {
            deployment: self.id.clone(),
            step,
            attempt,
            epoch: self.state().epoch,
            deadline_ms: DEADLINE_MS,
            material,
            progress: Arc::new(Lines {
                ports: self.ports.clone(),
                id: self.id.clone(),
            }),
        }
    }

    pub(super) async fn observe(&self) -> Result<State, Failure> {
        let driver = self.driver()?;
        let cx = self.context(None, 0, Arc::default());
        driver
            .observe(&cx, &self.target())
            .await
            .map_err(Failure::from)
    }

    pub(super) async fn end(&mut self, outcome: Outcome) -> Result<(), StoreError> {
        let view = self.view().await?;
        for event in conclude::on_end(self.journal.state(), &outcome, &view) {
            self.journal.push_environment(event);
        }
        self.journal.push(Event::Ended { outcome });
        self.journal.flush().await
    }

    pub(super) async fn wait_until(&mut self, at_us: i64) -> Result<(), StoreError> {
        self.journal.flush().await?;
        let rest_ms = u64::try_from((at_us - self.journal.now_us()).max(0) / 1000 + 1).unwrap_or(1);
        tokio::select! {
            biased;
            () = self.ports.clock.sleep_ms(rest_ms) => {}
            () = self.ports.store.changed(self.journal.generation()) => { self.journal.refresh().await?; }
        }
        Ok(())
    }

    pub(super) fn effect(&self, id: StepId) -> Effect {
        match &self.state().step(id).0.action {
            Action::Effect(effect) => effect.clone(),
            Action::Verify { .. } => unreachable!("only effect steps are performed"),
        }
    }
}
