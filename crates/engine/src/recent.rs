//! What happened last in a scope, newest first. Most questions are answered by the first few, so not all are read at once.

use crate::ports::{Store, StoreError};
use belay_model::id::{DeploymentId, Scope};
use belay_model::summary::Summary;

/// How many deployments are read first.
const FEW: usize = 4;
/// How many are looked through at most; as many more as are asked for meanwhile.
const MOST: usize = 64;

/// See the module.
pub(crate) struct Recent<'a> {
    store: &'a dyn Store,
    scope: &'a Scope,
    read: Vec<Summary>,
    is_all: bool,
}

impl<'a> Recent<'a> {
    pub(crate) async fn of(store: &'a dyn Store, scope: &'a Scope) -> Result<Self, StoreError> {
        let read = store.history(scope, FEW).await?;
        Ok(Self {
            store,
            scope,
            is_all: read.len() < FEW,
            read,
        })
    }

    /// One by its place; the newest has 0.
    pub(crate) async fn get(&mut self, at: usize) -> Result<Option<&Summary>, StoreError> {
        if at >= self.read.len() && !self.is_all {
            self.read_on().await?;
        }
        Ok(self.read.get(at))
    }

    /// The place of one.
    pub(crate) async fn place(&mut self, id: &DeploymentId) -> Result<Option<usize>, StoreError> {
        let mut at = 0;
        while let Some(summary) = self.get(at).await? {
            if summary.id == *id {
                return Ok(Some(at));
            }
            at += 1;
        }
        Ok(None)
    }

    /// Others may have been asked for meanwhile: what was read keeps its place, and what came before it comes behind it.
    async fn read_on(&mut self) -> Result<(), StoreError> {
        let last = self.read.last().map(|summary| summary.id.clone());
        let mut most = MOST;
        loop {
            let history = self.store.history(self.scope, most).await?;
            let known = history.iter().position(|it| Some(&it.id) == last.as_ref());
            let rest = known.map_or(history.len(), |at| at + 1);
            let found = self.read.len() + history.len() - rest;
            if history.len() < most || found >= MOST {
                self.read.extend(history.into_iter().skip(rest));
                self.is_all = true;
                return Ok(());
            }
            most *= 2;
        }
    }
}
