//! Where progress and evidence of a deployment go.

use crate::ports::{Evidence, Ledger, Ports};
use async_trait::async_trait;
use belay_driver::Progress;
use belay_model::id::DeploymentId;

/// Progress lines into the store.
pub(super) struct Lines {
    pub(super) ports: Ports,
    pub(super) id: DeploymentId,
}

impl Progress for Lines {
    fn line(&self, text: &str) {
        let (ports, id, text) = (self.ports.clone(), self.id.clone(), text.to_owned());
        tokio::spawn(async move {
            let at_us = ports.clock.now_us();
            if let Err(error) = ports.store.progress(&id, at_us, &text).await {
                tracing::debug!(%error, "a progress line was lost");
            }
        });
    }
}

/// Evidence into the ledger.
pub(super) struct Keeper {
    pub(super) ports: Ports,
    pub(super) id: DeploymentId,
}

#[async_trait]
impl Ledger for Keeper {
    async fn keep(&self, evidence: Evidence) {
        if let Err(error) = self.ports.store.evidence(&self.id, vec![evidence]).await {
            tracing::warn!(%error, deployment = %self.id, "evidence was lost");
        }
    }
}
