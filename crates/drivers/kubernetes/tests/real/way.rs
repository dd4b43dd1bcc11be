//! Releases there and back, as the engine moves them: planned from what is seen, step by step.

use crate::place::{Place, Told, context, record};
use belay_driver::{Applied, Context, Driver, Error, Material, Settled, Stage};
use belay_driver_kubernetes::Kubernetes;
use belay_model::plan::Effect;
use belay_model::release::Target;
use belay_model::state::{Goal, State, States};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const FORWARD: Stage = Stage {
    overwrites: false,
    ..Stage::BACK
};

/// A service with what its pods are given, which has a name of its own in each version.
pub(crate) fn shop(image: &str, config: u32) -> String {
    format!(
        "
apiVersion: v1
kind: ConfigMap
metadata: {{name: config-{config}}}
data: {{LEVEL: '{config}'}}
---
apiVersion: v1
kind: Secret
metadata: {{name: secret-{config}}}
stringData: {{TOKEN: 'token {config}'}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: api}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: api}}}}
  template:
    metadata: {{labels: {{app: api}}}}
    spec:
      containers:
      - name: app
        image: '{image}'
        envFrom: [{{configMapRef: {{name: config-{config}}}}}, {{secretRef: {{name: secret-{config}}}}}]
"
    )
}

impl Place {
    /// The goal of a release at a target.
    pub(crate) fn goal(&self, target: &Target) -> Goal {
        let record = record(target);
        Goal {
            want: States::one(&target.name, self.desired(target)),
            records: BTreeMap::from([(record.hash(), record.clone())]),
            title: record.title(),
            record: Some(record.hash()),
        }
    }

    /// Back to what was there; `of`: the release whose record tells how it was made.
    pub(crate) fn as_before(&self, target: &Target, want: State, of: &Target) -> Goal {
        Goal {
            want: States::one(&target.name, want),
            ..self.goal(of)
        }
    }

    pub(crate) async fn planned(&self, target: &Target, goal: &Goal, stage: Stage) -> Vec<Effect> {
        let from = self.observe(target).await;
        let effects = self.driver.plan(target, &from, goal, stage);
        effects.expect("planned")
    }

    /// All of it; the titles of the steps, or the step that failed and how.
    pub(crate) async fn go(
        &self,
        target: &Target,
        goal: &Goal,
        stage: Stage,
    ) -> Result<Vec<String>, (String, Error)> {
        let mut titles = Vec::new();
        for effect in self.planned(target, goal, stage).await {
            let seen = self.observe(target).await;
            let title = effect.title.clone();
            let done = perform(&self.driver, target, &effect, &seen, goal).await;
            done.map_err(|error| (title.clone(), error))?;
            titles.push(title);
        }
        Ok(titles)
    }

    /// The step of the workload, after those before it are done; and what is there then.
    pub(crate) async fn up_to_the_roll(&self, target: &Target, goal: &Goal) -> (Effect, State) {
        for effect in self.planned(target, goal, FORWARD).await {
            let seen = self.observe(target).await;
            if effect.title.contains(".apps/") {
                return (effect, seen);
            }
            let done = perform(&self.driver, target, &effect, &seen, goal).await;
            done.expect("done");
        }
        panic!("nothing runs");
    }

    /// Rolls to a release beside the test, which hears what is told.
    pub(crate) async fn rolls(
        &self,
        manifest: &str,
        deadline: Duration,
    ) -> (Arc<Told>, JoinHandle<Result<(), Error>>) {
        let target = self.target(manifest);
        let goal = self.goal(&target);
        let (effect, seen) = self.up_to_the_roll(&target, &goal).await;
        let told = Arc::new(Told::default());
        let cx = Context {
            progress: told.clone(),
            deadline_ms: u64::try_from(deadline.as_millis()).expect("a time"),
            ..equipped(&goal)
        };
        let driver = self.another_driver();
        let rolls =
            tokio::spawn(async move { perform_as(&cx, &driver, &target, &effect, &seen).await });
        (told, rolls)
    }

    /// Forward to a release that works; what is there then.
    pub(crate) async fn deploy(&self, manifest: &str) -> (Target, State) {
        let target = self.target(manifest);
        let done = self.go(&target, &self.goal(&target), FORWARD).await;
        done.expect("deployed");
        let state = self.observe(&target).await;
        let lines = self.driver.diff(&self.desired(&target), &state).lines();
        assert!(lines.is_empty(), "{lines:#?}");
        (target, state)
    }

    /// Back to what was there, whatever is now.
    pub(crate) async fn back(&self, to: &Target, want: &State) -> Vec<String> {
        let goal = self.as_before(to, want.clone(), to);
        let titles = self.go(to, &goal, Stage::BACK).await.expect("gone back");
        let lines = self.driver.diff(want, &self.observe(to).await).lines();
        assert!(lines.is_empty(), "{lines:#?}");
        titles
    }

    /// The first step that makes something run, accepted and not followed: how to ask about it.
    pub(crate) async fn begun(&self, target: &Target, goal: &Goal) -> (Effect, serde_json::Value) {
        for effect in self.planned(target, goal, FORWARD).await {
            let seen = self.observe(target).await;
            let cx = equipped(goal);
            let applied = self.driver.apply(&cx, target, &effect, &seen).await;
            if let Applied::Accepted { handle } = applied.expect("applied") {
                return (effect, handle);
            }
        }
        panic!("nothing was accepted");
    }

    pub(crate) async fn settled_as(
        &self,
        target: &Target,
        effect: &Effect,
        handle: Option<&serde_json::Value>,
    ) -> Settled {
        let cx = context();
        let settled = self.driver.settle(&cx, target, effect, handle);
        in_time(settled).await.expect("settled")
    }
}

pub(crate) async fn perform(
    driver: &Kubernetes,
    target: &Target,
    effect: &Effect,
    seen: &State,
    goal: &Goal,
) -> Result<(), Error> {
    perform_as(&equipped(goal), driver, target, effect, seen).await
}

/// The same in a context of one's own: see [`equipped`].
pub(crate) async fn perform_as(
    cx: &Context,
    driver: &Kubernetes,
    target: &Target,
    effect: &Effect,
    seen: &State,
) -> Result<(), Error> {
    match in_time(driver.apply(cx, target, effect, seen)).await? {
        Applied::Done { .. } => Ok(()),
        Applied::Accepted { handle } => {
            let settled = driver.settle(cx, target, effect, Some(&handle));
            in_time(settled).await.map(|_| ())
        }
    }
}

pub(crate) fn equipped(goal: &Goal) -> Context {
    let material = goal.records.iter().map(|(hash, record)| {
        let (record, secrets) = (record.clone(), BTreeMap::new());
        (hash.clone(), Material { record, secrets })
    });
    Context {
        deployment: belay_model::id::DeploymentId::new("dep_way"),
        material: Arc::new(material.collect()),
        ..context()
    }
}

pub(crate) async fn in_time<T>(call: impl Future<Output = T>) -> T {
    let answer = tokio::time::timeout(PATIENCE, call).await;
    answer.expect("an answer, whatever it is")
}
