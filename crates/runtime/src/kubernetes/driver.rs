//! The driver of Kubernetes in this store. Whose it is (the store's name and the key of its digests) is found out when a
//! cluster is asked for the first time: who has no target there needs neither. What takes no look at the world needs neither,
//! too: in a record there are digests already.

use crate::artifacts::chain;
use crate::secrets::Sealed;
use async_trait::async_trait;
use belay_driver::{
    Applied, Artifacts, Capabilities, Capacity, Context, Driver, Error, Remark, Restorability,
    Revision, Settled, Stage,
};
use belay_driver_kubernetes::{Kubernetes, Reached, Side, Unreached};
use belay_model::config::Entrance;
use belay_model::error::Class;
use belay_model::id::RecordHash;
use belay_model::plan::Effect;
use belay_model::release::{Record, Target};
use belay_model::state::{Difference, Goal, State};
use belay_store::AnyStore;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{OnceCell, watch};

/// See the module.
pub(crate) struct Late {
    nobodys: Kubernetes,
    store: Arc<AnyStore>,
    sealed: Arc<Sealed>,
    artifacts: Arc<dyn Artifacts>,
    ours: OnceCell<Kubernetes>,
}

impl Late {
    /// `artifacts`: where charts are.
    pub(crate) fn new(
        store: Arc<AnyStore>,
        sealed: Arc<Sealed>,
        artifacts: Arc<dyn Artifacts>,
    ) -> Self {
        Self {
            nobodys: Kubernetes::new(&[0; 32], "").with_artifacts(artifacts.clone()),
            store,
            sealed,
            artifacts,
            ours: OnceCell::new(),
        }
    }

    pub(super) async fn ours(&self) -> Result<&Kubernetes, Error> {
        let open = async || {
            let unusable = |class, error: &dyn std::error::Error| {
                let message = format!("find out whose targets they are: {}", chain(error));
                Error::not_applied(class, message)
            };
            let blobs = self.sealed.blobs().await;
            let blobs = blobs.map_err(|error| unusable(Class::Unknown, &error))?;
            let identity = self.store.identity().await;
            let identity = identity.map_err(|error| unusable(Class::Connectivity, &error))?;
            let ours = Kubernetes::new(blobs.digest_key(), identity);
            Ok(ours.with_artifacts(self.artifacts.clone()))
        };
        self.ours.get_or_try_init(open).await
    }
}

impl Late {
    /// See [`Kubernetes::reach`].
    pub(crate) async fn reach(
        &self,
        target: &Target,
        record: &Record,
        side: Side,
    ) -> Result<Vec<Reached>, Unreached> {
        self.ours().await?.reach(target, record, side).await
    }

    /// See [`Kubernetes::enter`].
    pub(crate) async fn enter(
        &self,
        target: &Target,
        entrance: &Entrance,
        host: Option<&str>,
    ) -> Result<Vec<Reached>, Unreached> {
        self.ours().await?.enter(target, entrance, host).await
    }
}

#[async_trait]
impl Driver for Late {
    fn capabilities(&self, target: &Target) -> Capabilities {
        self.nobodys.capabilities(target)
    }

    fn desired(&self, record: &Record, target: &Target) -> State {
        self.nobodys.desired(record, target)
    }

    fn plan(
        &self,
        target: &Target,
        from: &State,
        goal: &Goal,
        stage: Stage,
    ) -> Result<Vec<Effect>, Error> {
        self.nobodys.plan(target, from, goal, stage)
    }

    async fn in_shell(
        &self,
        target: &Target,
        from: &State,
        effect: &Effect,
        records: &BTreeMap<RecordHash, Record>,
    ) -> Option<String> {
        self.nobodys.in_shell(target, from, effect, records).await
    }

    fn after(&self, target: &Target, from: &State, effect: &Effect) -> State {
        self.nobodys.after(target, from, effect)
    }

    fn capacity(&self, target: &Target, state: &State) -> Option<Capacity> {
        self.nobodys.capacity(target, state)
    }

    fn scaled(&self, target: &Target, state: &State, instances: u32) -> State {
        self.nobodys.scaled(target, state, instances)
    }

    fn diff(&self, want: &State, have: &State) -> Difference {
        self.nobodys.diff(want, have)
    }

    async fn remarks(
        &self,
        cx: &Context,
        target: &Target,
        from: &State,
        effects: &[Effect],
    ) -> Result<Vec<Remark>, Error> {
        self.ours().await?.remarks(cx, target, from, effects).await
    }

    async fn observe(&self, cx: &Context, target: &Target) -> Result<State, Error> {
        self.ours().await?.observe(cx, target).await
    }

    async fn changes(&self, cx: &Context, target: &Target) -> Option<watch::Receiver<()>> {
        self.ours().await.ok()?.changes(cx, target).await
    }

    async fn apply(
        &self,
        cx: &Context,
        target: &Target,
        effect: &Effect,
        seen: &State,
    ) -> Result<Applied, Error> {
        self.ours().await?.apply(cx, target, effect, seen).await
    }

    async fn settle(
        &self,
        cx: &Context,
        target: &Target,
        effect: &Effect,
        handle: Option<&Value>,
    ) -> Result<Settled, Error> {
        self.ours().await?.settle(cx, target, effect, handle).await
    }

    async fn restorable(
        &self,
        cx: &Context,
        target: &Target,
        goal: &Goal,
    ) -> Result<Restorability, Error> {
        self.ours().await?.restorable(cx, target, goal).await
    }

    async fn history(&self, cx: &Context, target: &Target) -> Result<Vec<Revision>, Error> {
        self.ours().await?.history(cx, target).await
    }
}
