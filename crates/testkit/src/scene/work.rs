//! Workers at work, and what is waited for meanwhile.

use super::Scene;
use crate::oracle::check_journal;
use belay_engine::fold::Deployment;
use belay_engine::ports::{Clock, Store};
use belay_engine::worker::Worker;
use belay_model::event::Outcome;
use belay_model::id::{DeploymentId, StepId};
use belay_model::summary::Phase;
use std::time::Duration;

/// Longest that anything may take here, by the test's clock: what would wait for ever fails.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Scene {
    /// The scene in which a release went out to its end, and is good.
    ///
    /// # Panics
    /// It is not.
    pub async fn with_good(self, release: u32) -> Self {
        let id = self.deploy_and_work(release).await;
        assert_eq!(self.outcome(&id).await, Some(Outcome::Succeeded));
        self
    }

    /// A release goes out, to its end or until it waits for a person.
    pub async fn deploy_and_work(&self, release: u32) -> DeploymentId {
        let id = self.deploy(release).await;
        self.work().await;
        check_journal(&self.store.journal(&id));
        id
    }

    /// Works until everything ended or waits for a person, over kills; answers how many workers were killed.
    pub async fn work(&self) -> u32 {
        in_a_day("it comes to rest", self.work_over_kills()).await
    }

    /// The same; a worker stands still at the n-th point from now while something else happens. Answers what came of that,
    /// and how many workers were killed; none: nobody came to that point.
    pub async fn work_and_hold<T>(
        &self,
        point: usize,
        meanwhile: impl Future<Output = T>,
    ) -> Option<(T, u32)> {
        self.crashes.hold_at(point);
        let working = self.work();
        tokio::pin!(working);
        tokio::select! {
            biased;
            () = self.crashes.held() => {}
            _ = &mut working => return None,
        }
        let done = meanwhile.await;
        self.crashes.let_go();
        Some((done, working.await))
    }

    async fn work_over_kills(&self) -> u32 {
        let mut killed = 0;
        loop {
            let worker = Worker::new(self.ports(), self.owner());
            let mut running = tokio::spawn(async move { worker.run().await });
            let resting = self.at_rest();
            tokio::select! {
                biased;
                () = self.crashes.killed() => {
                    running.abort();
                    let _ = running.await;
                    killed += 1;
                    assert!(killed < 100, "killed for ever");
                    self.crashes.revive();
                }
                () = resting => {
                    running.abort();
                    let _ = running.await;
                    return killed;
                }
                done = &mut running => {
                    let done = done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
                    done.expect("a worker goes on as long as there is something to do");
                }
            }
        }
    }

    /// Works for that long, and stops.
    pub async fn work_for(&self, ms: u64) {
        let worker = Worker::new(self.ports(), "worker");
        tokio::select! {
            _ = worker.run() => {}
            () = self.clock.sleep_ms(ms) => {}
        }
    }

    /// Resolves when nothing is open but what waits for a person, and no clean-up is owed.
    pub async fn at_rest(&self) {
        loop {
            let generation = self.store.generation();
            let open = self.store.open().await.expect("memory");
            let parked = !open.is_empty() && open[0].phase == Phase::NeedsOperator;
            if parked || (open.is_empty() && self.view().cleanups.is_empty()) {
                return;
            }
            self.store.changed(generation).await;
        }
    }

    /// Resolves when a deployment waits for a person.
    pub async fn until_parked(&self, id: &DeploymentId) {
        self.until(id, Phase::NeedsOperator).await;
    }

    /// Resolves when a deployment stands there.
    pub async fn until(&self, id: &DeploymentId, phase: Phase) {
        let stands = async || (self.summary(id).await.phase == phase).then_some(());
        self.until_so(&format!("{id} is {phase:?}"), stands).await;
    }

    /// Resolves when time is what a deployment waits for, at another step than that one.
    pub async fn until_time(&self, id: &DeploymentId, other: Option<StepId>) -> Option<StepId> {
        let waits = async || {
            let deployment = Deployment::of(id.clone(), &self.store.journal(id));
            let step = self.summary(id).await.step;
            (deployment.waits_for_time() && step != other).then_some(step)
        };
        self.until_so(&format!("{id} waits for time"), waits).await
    }

    /// Resolves when a deployment waits on a target for people to say yes.
    pub async fn until_asked(&self, id: &DeploymentId, target: &str) {
        let asks = async || {
            let deployment = Deployment::of(id.clone(), &self.store.journal(id));
            let summary = self.summary(id).await;
            let here = summary.step.and_then(|step| deployment.target_of(step)) == Some(target);
            (here && summary.phase == Phase::Waiting).then_some(())
        };
        self.until_so(&format!("{id} waits for people on {target}"), asks)
            .await;
    }

    async fn until_so<T>(&self, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
        let found = async {
            loop {
                let generation = self.store.generation();
                if let Some(found) = look().await {
                    return found;
                }
                self.store.changed(generation).await;
            }
        };
        in_a_day(what, found).await
    }
}

async fn in_a_day<T>(what: &str, happens: impl Future<Output = T>) -> T {
    let happens = tokio::time::timeout(DAY, happens).await;
    happens.unwrap_or_else(|_| panic!("in a day, by the test's clock: {what}"))
}
