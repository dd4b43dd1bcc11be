//! A hotfix supersedes what runs. The old deployment ends as it is, and the new one gets the lock, the baseline and what
//! has to be taken back, in one transaction: at every moment one of the two answers for what was changed.
//!
//! The hotfix is planned before anything ends. Where it cannot go out, it ends, and the old one goes on.

use super::foreseen::Foreseen;
use super::run::Course;
use crate::fold::Deployment;
use crate::mutant::{self, Mutant};
use crate::ports::{Batch, StoreError, Writer};
use crate::targets::Targets;
use crate::{conclude, queue, taken_back};
use belay_model::back::Back;
use belay_model::event::{Ask, Event, Outcome};
use belay_model::id::DeploymentId;
use belay_model::release::Record;
use belay_model::state::{Goal, States};
use belay_model::takeover::Debt;

/// What a superseded deployment hands over.
pub(super) struct Legacy {
    pub(super) from: DeploymentId,
    pub(super) baseline: States,
    pub(super) baseline_goal: Goal,
    /// What it left, as far as it knows.
    pub(super) left: Foreseen,
    /// Nothing of that is half-way: all of it is its release, and serves; or it has moved nothing yet.
    pub(super) is_whole: bool,
    /// The last that was there and not half-way, before it began.
    pub(super) whole: States,
    /// Records that know its targets.
    pub(super) records: Vec<Record>,
    pub(super) touched: Vec<String>,
    pub(super) debts: Vec<Debt>,
    pub(super) residue: Vec<String>,
}

impl Legacy {
    fn of(state: &Deployment, targets: &Targets, whole: States) -> Option<Self> {
        let baseline_goal = state.baseline_goal.clone()?;
        let found = state.takes_over.iter().map(|over| &*over.found);
        let goals = [&baseline_goal].into_iter().chain(found);
        let own = state.inputs.iter().flat_map(|inputs| &inputs.record);
        let has_moved_nothing = state.touched().is_empty() && state.takes_over.is_none();
        let records = own.chain(goals.flat_map(|goal| goal.records.values()));
        Some(Self {
            from: state.id.clone(),
            baseline: state.baseline.clone(),
            records: records.cloned().collect(),
            baseline_goal,
            left: Foreseen::of(state, targets),
            is_whole: state.promoted_to().is_some() || has_moved_nothing,
            whole,
            touched: state.touched().into_iter().map(str::to_owned).collect(),
            debts: match mutant::is(Mutant::PaysNoDebts) {
                true => Vec::new(),
                false => taken_back::debts(state),
            },
            residue: state.left_behind(),
        })
    }
}

impl Course {
    /// Nothing of this deployment is in flight any more.
    pub(super) async fn hand_over(&mut self, by: &DeploymentId) -> Result<(), StoreError> {
        if !self.journal.flush().await? {
            return Ok(());
        }
        let others = match self.others_before(by).await? {
            Ok(others) => others,
            Err(why) => return self.go_on(&why).await,
        };
        let owner = self.journal.owner().to_owned();
        let mut next = Self::take(self.ports.clone(), &owner, by).await?;
        if next.is_called_off() {
            return self.go_on("it was called off").await;
        }
        let targets = match self.targets() {
            Ok(targets) => targets,
            Err(failure) => return self.go_on(&failure.message).await,
        };
        let whole = self.whole().await?;
        let legacy = Legacy::of(self.state(), &targets, whole).expect("it is planned");
        if let Some(why) = next.plan_with(Some(legacy)).await? {
            next.end_unchanged(why.clone());
            next.journal.flush().await?;
            return self.go_on(&why).await;
        }
        let now_us = self.journal.now_us();
        let view = self.view().await?;
        let said = conclude::on_superseded(&self.id, self.inputs(), by, &view);
        let ended = |outcome| vec![(now_us, Event::ended(outcome))];
        // What it was decided on is looked at before anything is said: by its end this one moves the stream, too.
        let mut taken = next.journal.batch();
        let own = Batch {
            events: vec![(now_us, self.ended(Outcome::Stopped))],
            environment: said.into_iter().map(|event| (now_us, event)).collect(),
            unmoved: std::mem::take(&mut taken.unmoved),
            ..self.journal.batch()
        };
        let replaced = others.iter().map(|other| Batch {
            deployment: other.id.clone(),
            writer: Writer::Seen { after: other.seq },
            events: ended(Outcome::Replaced { by: by.clone() }),
            environment: Vec::new(),
            unmoved: Vec::new(),
        });
        let batches = [own].into_iter().chain(replaced);
        let mut batches: Vec<Batch> = batches.chain([taken]).collect();
        if mutant::is(Mutant::LetsGoFirst) {
            self.ports.store.append(batches.remove(0)).await?;
        }
        match self.ports.store.append_all(batches).await {
            // What moved on meanwhile may say otherwise: it is decided again.
            Ok(()) | Err(StoreError::Moved(_) | StoreError::Stale(_) | StoreError::Missing(_)) => {
                self.journal.refresh().await.map(drop)
            }
            Err(error) => Err(error),
        }
    }

    /// What was there when this deployment began. It may have taken over itself: from one that was promoted, and all of what it
    /// found served; or from one half-way, and then it is what was there before that.
    async fn whole(&self) -> Result<States, StoreError> {
        let mut next = self.state().takes_over.clone();
        while let Some(over) = next {
            let entries = self.ports.store.events(&over.from, 0).await?;
            let from = Deployment::of(over.from.clone(), &entries);
            if from.promoted_to().is_some() {
                return Ok(over.found.want);
            }
            next = from.takes_over;
        }
        Ok(self.state().baseline.clone())
    }

    /// Deployments that were asked for between this one and the hotfix: what they bring was made before the fix. Or why the
    /// hotfix does not take over.
    async fn others_before(
        &self,
        by: &DeploymentId,
    ) -> Result<Result<Vec<Deployment>, String>, StoreError> {
        let mut others = Vec::new();
        for summary in self.ports.store.open().await? {
            if summary.id == *by {
                return Ok(Ok(others));
            }
            if summary.scope != self.inputs().scope || summary.id == self.id {
                continue;
            }
            let entries = self.ports.store.events(&summary.id, 0).await?;
            let other = Deployment::of(summary.id, &entries);
            if !queue::has_not_begun(&other) {
                return Ok(Err(format!("{} comes before it", other.id)));
            }
            others.push(other);
        }
        Ok(Err("it has ended".to_owned()))
    }

    /// It does not take over: this one is as it was before it was told to.
    async fn go_on(&mut self, why: &str) -> Result<(), StoreError> {
        let state = self.state();
        let by = state.supersede.as_ref();
        let by = by.map_or_else(String::new, ToString::to_string);
        let called_off = Event::Signal {
            actor: "belay".to_owned(),
            ask: Ask::Supersede { by: None },
            reason: Some(format!("{by} does not take over: {why}")),
            back: Back::default(),
        };
        // Lists show that someone was asked, or asked for a pause, by the last of these events.
        let paused = state.paused.as_ref().map(|request| Event::Signal {
            actor: request.actor.clone(),
            ask: Ask::Pause,
            reason: request.reason.clone(),
            back: Back::default(),
        });
        let parked = state.parked.as_ref().map(|parked| Event::Parked {
            step: parked.step,
            why: parked.why.clone(),
            until_ms: parked.until_us.map(|us| us / 1000),
            then: parked.then.clone(),
        });
        for event in [Some(called_off), paused, parked].into_iter().flatten() {
            self.journal.push(event);
        }
        self.journal.flush().await.map(drop)
    }
}
