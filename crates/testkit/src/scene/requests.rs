//! What is asked for: releases, ways back.

use super::Scene;
use super::ports::Worlds;
use belay_engine::fold::Deployment;
use belay_engine::goal;
use belay_engine::ports::Clock;
use belay_engine::queue::{self, Entrant};
use belay_engine::targets::Targets;
use belay_model::back::Back;
use belay_model::environment;
use belay_model::event::{Event, Inputs, Kind};
use belay_model::id::{DeploymentId, ReleaseNumber};
use belay_model::release::Record;
use belay_model::state::Goal;
use belay_model::takeover::Hotfix;
use std::sync::atomic::Ordering;

impl Scene {
    /// Asks for a release.
    pub async fn deploy(&self, release: u32) -> DeploymentId {
        self.create(Kind::Deploy, Some(self.record(release)), None)
            .await
    }

    /// Asks for a release that waits for nobody.
    ///
    /// # Errors
    /// What runs goes back.
    pub async fn hotfix(&self, release: u32) -> Result<DeploymentId, queue::Error> {
        let hotfix = Hotfix {
            passes_freeze: self.hotfix_passes_freeze,
        };
        self.enter(Kind::Deploy, Some(self.record(release)), None, Some(hotfix))
            .await
    }

    /// Asks to return to a release; what the command does when nothing runs.
    pub async fn go_back(&self, to: Option<u32>) -> DeploymentId {
        let view = self.view();
        let record = goal::choose(&view, to.map(ReleaseNumber)).record;
        let leaves = view.serving_since().cloned();
        self.create(
            Kind::Return { leaves },
            Some(record.expect("something good to return to")),
            None,
        )
        .await
    }

    /// What a deployment found when a record served.
    pub fn before(&self, id: &DeploymentId, record: &Record) -> goal::Before {
        let deployment = Deployment::of(id.clone(), &self.store.journal(id));
        let drivers = Worlds(self.worlds.clone());
        let targets = Targets::of(&drivers, &record.targets).expect("each has a driver");
        let before = deployment.baseline_goal.expect("it was planned");
        goal::by_hand(&targets, &self.view(), record, &before)
    }

    /// Asks to return to a record as it was found; what the command does when it had been changed by hand.
    pub async fn return_to(&self, record: &Record, goal: Goal) -> DeploymentId {
        let leaves = self.view().serving_since().cloned();
        let kind = Kind::Return { leaves };
        self.create(kind, Some(record.clone()), Some(goal)).await
    }

    /// Asks to take a deployment back to its baseline.
    pub async fn undo(&self, of: &DeploymentId) -> DeploymentId {
        let journal = self.store.journal(of);
        let goal = journal.iter().find_map(|entry| match &entry.event {
            Event::Planned { baseline_goal, .. } => Some((**baseline_goal).clone()),
            _ => None,
        });
        let goal = goal.expect("it was planned");
        let record = goal
            .record
            .as_ref()
            .and_then(|hash| goal.records.get(hash))
            .cloned();
        self.create(Kind::Undo { of: of.clone() }, record, Some(goal))
            .await
    }

    async fn create(&self, kind: Kind, record: Option<Record>, goal: Option<Goal>) -> DeploymentId {
        let entered = self.enter(kind, record, goal, None).await;
        entered.expect("created")
    }

    async fn enter(
        &self,
        kind: Kind,
        record: Option<Record>,
        goal: Option<Goal>,
        hotfix: Option<Hotfix>,
    ) -> Result<DeploymentId, queue::Error> {
        let id = DeploymentId::new(format!("dep_{}", self.next.fetch_add(1, Ordering::SeqCst)));
        let recorded = record.iter().map(|record| environment::Event::Recorded {
            record: Box::new(record.clone()),
        });
        let environment = recorded.collect();
        let promotion = self.promotion.clone().filter(|_| kind == Kind::Deploy);
        let inputs = Inputs {
            kind,
            scope: self.scope(),
            record,
            goal,
            strategy: self.strategy.clone(),
            parallel: self.parallel,
            phases: self.phases.clone(),
            back_order: self.back_order,
            approve: self.approve.clone(),
            on_failure: self.on_failure.clone(),
            checks: self.checks.clone(),
            bake_ms: self.bake_ms,
            warm_ms: 10_000,
            keep_good: 5,
            inconclusive: self.inconclusive,
            on_first_failure: self.on_first_failure,
            hotfix,
            promotion,
            actor: "test".to_owned(),
            reason: None,
            back: Back::default(),
        };
        let new = Entrant {
            id,
            at_us: self.clock.now_us(),
            inputs,
            environment,
            limit: 100,
        };
        queue::enter(&*self.store, &new, self.queue).await?;
        Ok(new.id)
    }
}
