//! Drivers as a course sees them: a call goes on only while the lease lives, and not beyond its deadline (I11). Calls run
//! in tasks beside their course; in a process that was stopped for a while one of them may be woken before the course
//! hears that its lease is over.

use super::term::Hold;
use crate::ports::{Clock, Drivers};
use async_trait::async_trait;
use belay_driver::{
    Applied, Capabilities, Capacity, Context, Driver, Error, Remark, Restorability, Revision,
    Settled, Stage,
};
use belay_model::config::Duration;
use belay_model::error::Class;
use belay_model::id::RecordHash;
use belay_model::plan::Effect;
use belay_model::release::{Record, Target};
use belay_model::state::{Difference, Goal, State};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// See the module.
pub(super) struct GuardedDrivers {
    pub(super) inner: Arc<dyn Drivers>,
    pub(super) hold: Arc<Hold>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Drivers for GuardedDrivers {
    fn driver(&self, name: &str) -> Option<Arc<dyn Driver>> {
        let inner = self.inner.driver(name)?;
        Some(Arc::new(Guarded {
            inner,
            hold: self.hold.clone(),
            clock: self.clock.clone(),
        }))
    }
}

struct Guarded {
    inner: Arc<dyn Driver>,
    hold: Arc<Hold>,
    clock: Arc<dyn Clock>,
}

impl Guarded {
    async fn call<T>(
        &self,
        cx: &Context,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let call = async {
            tokio::select! {
                biased;
                done = call => done,
                () = self.clock.sleep_ms(cx.deadline_ms) => Err(late(cx.deadline_ms)),
            }
        };
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

/// The call is dropped; what it had begun goes on or not, and `settle` tells.
fn late(deadline_ms: u64) -> Error {
    let after = Duration::from_ms(deadline_ms);
    let message = format!("get an answer: there was none after {after}");
    Error::maybe_applied(Class::Timeout, message)
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
        self.call(cx, self.inner.remarks(cx, target, from, effects))
            .await
    }

    async fn observe(&self, cx: &Context, target: &Target) -> Result<State, Error> {
        self.call(cx, self.inner.observe(cx, target)).await
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
        self.call(cx, self.inner.apply(cx, target, effect, seen))
            .await
    }

    async fn settle(
        &self,
        cx: &Context,
        target: &Target,
        effect: &Effect,
        handle: Option<&Value>,
    ) -> Result<Settled, Error> {
        self.call(cx, self.inner.settle(cx, target, effect, handle))
            .await
    }

    async fn restorable(
        &self,
        cx: &Context,
        target: &Target,
        goal: &Goal,
    ) -> Result<Restorability, Error> {
        self.call(cx, self.inner.restorable(cx, target, goal)).await
    }

    async fn history(&self, cx: &Context, target: &Target) -> Result<Vec<Revision>, Error> {
        self.call(cx, self.inner.history(cx, target)).await
    }
}
