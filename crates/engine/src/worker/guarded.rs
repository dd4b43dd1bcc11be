//! Drivers as a course sees them: a call goes on only while the lease lives. Calls run in tasks beside their course; in a
//! process that was stopped for a while one of them may be woken before the course hears that its lease is over.

use super::term::Hold;
use crate::ports::Drivers;
use async_trait::async_trait;
use belay_driver::{
    Applied, Capabilities, Context, Driver, Error, Restorability, Revision, Settled, Stage,
};
use belay_model::error::Class;
use belay_model::plan::Effect;
use belay_model::release::{Record, Target};
use belay_model::state::{Difference, Goal, State};
use serde_json::Value;
use std::sync::Arc;

/// See the module.
pub(super) struct GuardedDrivers {
    pub(super) inner: Arc<dyn Drivers>,
    pub(super) hold: Arc<Hold>,
}

impl Drivers for GuardedDrivers {
    fn driver(&self, name: &str) -> Option<Arc<dyn Driver>> {
        let inner = self.inner.driver(name)?;
        let hold = self.hold.clone();
        Some(Arc::new(Guarded { inner, hold }))
    }
}

struct Guarded {
    inner: Arc<dyn Driver>,
    hold: Arc<Hold>,
}

impl Guarded {
    async fn call<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        // Nobody acts on this answer: whoever asked has lost the lease, too.
        let over = || {
            Err(Error::maybe_applied(
                Class::Unknown,
                "go on: its lease is over",
            ))
        };
        self.hold.during(call).await.unwrap_or_else(over)
    }
}

#[async_trait]
impl Driver for Guarded {
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

    fn after(&self, target: &Target, from: &State, effect: &Effect) -> State {
        self.inner.after(target, from, effect)
    }

    fn diff(&self, want: &State, have: &State) -> Difference {
        self.inner.diff(want, have)
    }

    async fn observe(&self, cx: &Context, target: &Target) -> Result<State, Error> {
        self.call(self.inner.observe(cx, target)).await
    }

    async fn apply(
        &self,
        cx: &Context,
        target: &Target,
        effect: &Effect,
        seen: &State,
    ) -> Result<Applied, Error> {
        self.call(self.inner.apply(cx, target, effect, seen)).await
    }

    async fn settle(
        &self,
        cx: &Context,
        target: &Target,
        effect: &Effect,
        handle: Option<&Value>,
    ) -> Result<Settled, Error> {
        self.call(self.inner.settle(cx, target, effect, handle))
            .await
    }

    async fn restorable(
        &self,
        cx: &Context,
        target: &Target,
        goal: &Goal,
    ) -> Result<Restorability, Error> {
        self.call(self.inner.restorable(cx, target, goal)).await
    }

    async fn history(&self, cx: &Context, target: &Target) -> Result<Vec<Revision>, Error> {
        self.call(self.inner.history(cx, target)).await
    }
}
