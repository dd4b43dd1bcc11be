//! The targets of records, asked for people: nothing here changes one.

use crate::{Belay, Error};
use belay_driver::{Context, Progress, Restorability};
use belay_engine::targets::Targets;
use belay_engine::undone;
use belay_model::error::Failure;
use belay_model::id::{DeploymentId, Scope};
use belay_model::release::Record;
use belay_model::state::{Goal, States};
use std::sync::Arc;

/// How long a call that only looks may take, milliseconds.
const LOOK_MS: u64 = 10_000;

impl Belay {
    /// All targets of the records, each once.
    pub(crate) fn targets<'a>(
        &self,
        records: impl IntoIterator<Item = &'a Record>,
    ) -> Result<Targets, Error> {
        let targets = records.into_iter().flat_map(|record| &record.targets);
        let targets: Vec<_> = targets.collect();
        let drivers = self.ports().drivers;
        for target in &targets {
            if drivers.driver(&target.driver).is_none() {
                return Err(Error::NoDriver(target.driver.clone()));
            }
        }
        Targets::of(drivers.as_ref(), targets).map_err(|failure| wrong("its targets", &failure))
    }

    /// The targets that a goal is about, and those of the deployment that is taken back: where nothing was there before it,
    /// the goal names none.
    pub(crate) async fn targets_of(
        &self,
        goal: &Goal,
        gone: Option<&DeploymentId>,
    ) -> Result<Targets, Error> {
        let gone = match gone {
            Some(id) => undone::undone(self.store().as_ref(), id).await?,
            None => Vec::new(),
        };
        let own = goal.record.as_ref().and_then(|hash| goal.records.get(hash));
        let records = own.into_iter().chain(goal.records.values());
        let records = records.chain(undone::records(&gone));
        let targets = self.targets(records)?;
        if targets.iter().next().is_none() {
            return Err(Error::Target {
                target: goal.title.clone(),
                why: "no record names it".to_owned(),
            });
        }
        Ok(targets)
    }

    /// The first target that only another machine can look at. On a store that is not shared every target is here,
    /// however this machine was called when it was made.
    pub(crate) fn elsewhere(&self, targets: &Targets) -> Option<Error> {
        if !self.is_shared() {
            return None;
        }
        targets.iter().find_map(|place| {
            let host = place.target.host.clone();
            let host = host.filter(|host| host != self.host())?;
            let target = place.target.name.clone();
            Some(Error::Elsewhere { target, host })
        })
    }

    /// The machine that a new record of a scope belongs to. Where machines share a store it is that of what serves
    /// there, or was put out last: another one's worker would only see that nothing is there.
    pub(crate) async fn host_for(&self, scope: &Scope) -> Result<String, Error> {
        let own = || self.host().to_owned();
        if !self.is_shared() {
            return Ok(own());
        }
        let view = self.view(scope).await?;
        let newest = || view.records.values().max_by_key(|known| known.since_us);
        let known = view.serving().or_else(newest);
        let host = known.and_then(|known| known.record.host());
        Ok(host.map_or_else(own, str::to_owned))
    }

    /// The machine whose workers do a deployment, if it is another one.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn done_by(&self, id: &DeploymentId) -> Result<Option<String>, Error> {
        if !self.is_shared() {
            return Ok(None);
        }
        let host = self.database().host_of(id).await?;
        Ok(host.filter(|host| host != self.host()))
    }

    /// What is there, for planning and for people.
    pub(crate) async fn observe(&self, targets: &Targets) -> Result<States, Error> {
        if let Some(error) = self.elsewhere(targets) {
            return Err(error);
        }
        let (states, failures) = targets.observe(&looking()).await;
        match failures.into_iter().next() {
            Some((target, failure)) => Err(wrong(&target, &failure)),
            None => Ok(states),
        }
    }

    /// Whether a goal can be reached right now, as far as it can be seen from here.
    pub(crate) async fn restorable(
        &self,
        targets: &Targets,
        goal: &Goal,
    ) -> Result<Restorability, Error> {
        if let Some(error) = self.elsewhere(targets) {
            return Ok(Restorability::Partial(vec![format!(
                "not known here: failed to {error}"
            )]));
        }
        let answer = targets.restorable(&looking(), goal).await;
        answer.map_err(|(target, failure)| wrong(&target, &failure))
    }
}

/// The context of calls that only look.
pub(crate) fn looking() -> Context {
    Context {
        deployment: DeploymentId::new("none"),
        step: None,
        attempt: 0,
        epoch: 0,
        deadline_ms: LOOK_MS,
        material: Arc::default(),
        progress: Arc::new(Silent),
    }
}

fn wrong(target: &str, failure: &Failure) -> Error {
    Error::Target {
        target: target.to_owned(),
        why: failure.message.clone(),
    }
}

/// A plan is impossible.
pub(crate) fn unplanned(scope: &Scope, error: belay_driver::Error) -> Error {
    wrong(&scope.to_string(), &error.into())
}

struct Silent;

impl Progress for Silent {
    fn line(&self, _: &str) {}
}
