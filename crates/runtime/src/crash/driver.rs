//! Drivers with points before and after their calls, and the ports that they use with points inside.

use super::Points;
use async_trait::async_trait;
use belay_driver::{
    Applied, Artifacts, Capabilities, Capacity, Context, Driver, Error, Moved, Progress, Remark,
    Restorability, Revision, Route, RouteState, Router, Settled, Stage,
};
use belay_model::id::{ArtifactDigest, RecordHash};
use belay_model::plan::Effect;
use belay_model::release::{Record, Target};
use belay_model::state::{Difference, Goal, State};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;

tokio::task_local! {
    /// The driver's call that this task is in: ports are asked outside of one, too.
    static CALL: &'static str;
}

/// The same driver, with points where a test asks for them.
pub(crate) fn driver(inner: Arc<dyn Driver>) -> Arc<dyn Driver> {
    match super::points() {
        Some(points) => Arc::new(Pointed { inner, points }),
        None => inner,
    }
}

/// The same router, with points inside the calls of drivers.
pub(crate) fn router(inner: Arc<dyn Router>) -> Arc<dyn Router> {
    match super::points() {
        Some(points) => Arc::new(Pointed { inner, points }),
        None => inner,
    }
}

/// The same artifacts, with points inside the calls of drivers.
pub(crate) fn artifacts(inner: Arc<dyn Artifacts>) -> Arc<dyn Artifacts> {
    match super::points() {
        Some(points) => Arc::new(Pointed { inner, points }),
        None => inner,
    }
}

struct Pointed<P: ?Sized> {
    inner: Arc<P>,
    points: &'static Points,
}

impl Points {
    async fn around<T>(
        &self,
        call: &'static str,
        about: &str,
        calling: impl Future<Output = T>,
    ) -> T {
        self.pass(&format!("{call}.before"), about);
        let answer = CALL.scope(call, calling).await;
        self.pass(&format!("{call}.after"), about);
        answer
    }

    fn inside(&self, about: &str) {
        if let Ok(call) = CALL.try_with(|call| *call) {
            self.pass(&format!("{call}.inside"), about);
        }
    }
}

#[async_trait]
impl Driver for Pointed<dyn Driver> {
    fn capabilities(&self, target: &Target) -> Capabilities {
        self.inner.capabilities(target)
    }

    fn desired(&self, record: &Record, target: &Target) -> State {
        self.inner.desired(record, target)
    }

    fn plan(
        &self,
        target: &Target,
        from: &State,
        goal: &Goal,
        stage: Stage,
    ) -> Result<Vec<Effect>, Error> {
        self.inner.plan(target, from, goal, stage)
    }

    async fn in_shell(
        &self,
        target: &Target,
        from: &State,
        effect: &Effect,
        records: &BTreeMap<RecordHash, Record>,
    ) -> Option<String> {
        self.inner.in_shell(target, from, effect, records).await
    }

    fn after(&self, target: &Target, from: &State, effect: &Effect) -> State {
        self.inner.after(target, from, effect)
    }

    fn capacity(&self, target: &Target, state: &State) -> Option<Capacity> {
        self.inner.capacity(target, state)
    }

    fn scaled(&self, target: &Target, state: &State, instances: u32) -> State {
        self.inner.scaled(target, state, instances)
    }

    fn diff(&self, want: &State, have: &State) -> Difference {
        self.inner.diff(want, have)
    }

    async fn remarks(
        &self,
        cx: &Context,
        target: &Target,
        from: &State,
        effects: &[Effect],
    ) -> Result<Vec<Remark>, Error> {
        self.inner.remarks(cx, target, from, effects).await
    }

    async fn observe(&self, cx: &Context, target: &Target) -> Result<State, Error> {
        let call = self.inner.observe(cx, target);
        self.points.around("observe", &target.name, call).await
    }

    async fn changes(&self, cx: &Context, target: &Target) -> Option<watch::Receiver<()>> {
        self.inner.changes(cx, target).await
    }

    async fn apply(
        &self,
        cx: &Context,
        target: &Target,
        effect: &Effect,
        seen: &State,
    ) -> Result<Applied, Error> {
        let mut cx = cx.clone();
        cx.progress = Arc::new(Told {
            inner: cx.progress,
            points: self.points,
        });
        let call = self.inner.apply(&cx, target, effect, seen);
        self.points.around("apply", &effect.title, call).await
    }

    async fn settle(
        &self,
        cx: &Context,
        target: &Target,
        effect: &Effect,
        handle: Option<&Value>,
    ) -> Result<Settled, Error> {
        let call = self.inner.settle(cx, target, effect, handle);
        self.points.around("settle", &effect.title, call).await
    }

    async fn restorable(
        &self,
        cx: &Context,
        target: &Target,
        goal: &Goal,
    ) -> Result<Restorability, Error> {
        let call = self.inner.restorable(cx, target, goal);
        self.points.around("restorable", &goal.title, call).await
    }

    async fn history(&self, cx: &Context, target: &Target) -> Result<Vec<Revision>, Error> {
        let call = self.inner.history(cx, target);
        self.points.around("history", &target.name, call).await
    }
}

/// What a driver tells, it tells between its effects.
struct Told {
    inner: Arc<dyn Progress>,
    points: &'static Points,
}

impl Progress for Told {
    fn line(&self, text: &str) {
        self.points.inside(text);
        self.inner.line(text);
    }
}

#[async_trait]
impl Router for Pointed<dyn Router> {
    async fn observe(&self, name: &str) -> Result<Option<RouteState>, Error> {
        let seen = self.inner.observe(name).await;
        self.points.inside("the route was looked at");
        seen
    }

    async fn set(&self, name: &str, seen: Option<&Route>, want: &Route) -> Result<Moved, Error> {
        let moved = self.inner.set(name, seen, want).await;
        self.points.inside("the route is set");
        moved
    }

    async fn remove(&self, name: &str) -> Result<(), Error> {
        let removed = self.inner.remove(name).await;
        self.points.inside("the route is removed");
        removed
    }

    async fn drain(&self, name: &str, group: &str, deadline_ms: u64) -> Result<u64, Error> {
        let left = self.inner.drain(name, group, deadline_ms).await;
        self.points.inside("the group is drained");
        left
    }

    // Only reads, and how often is a matter of time: no point would be the same twice.
    async fn times(&self, name: &str, group: &str) -> Result<BTreeMap<String, i64>, Error> {
        self.inner.times(name, group).await
    }
}

#[async_trait]
impl Artifacts for Pointed<dyn Artifacts> {
    async fn directory(&self, digest: &ArtifactDigest) -> Result<PathBuf, Error> {
        let directory = self.inner.directory(digest).await;
        self.points.inside("the artifact was looked at");
        directory
    }
}
