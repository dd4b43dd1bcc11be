//! Whose results a way back leaves: what people had run with them is taken back, too.

use crate::fold::Deployment;
use crate::ports::{Store, StoreError};
use crate::taken_back::Gone;
use belay_model::event::{Kind, Outcome, RollbackResult};
use belay_model::id::{DeploymentId, RecordHash, Scope};
use belay_model::summary::Summary;

/// How many deployments are looked through.
const LOOKED_THROUGH: usize = 64;

/// The deployments that ended, whose results are left on the way to that record, and that have something to take back
/// beside moves; the newest first.
///
/// # Errors
/// The store cannot be read.
pub async fn left(
    store: &dyn Store,
    scope: &Scope,
    kind: &Kind,
    goal: Option<&RecordHash>,
) -> Result<Vec<Deployment>, StoreError> {
    let history = match kind {
        Kind::Deploy => return Ok(Vec::new()),
        Kind::Undo { of } => with_superseded(store, of).await?,
        Kind::Return { .. } => store.history(scope, LOOKED_THROUGH).await?,
    };
    let ended = history.iter().filter(|summary| summary.outcome.is_some());
    let is_goal = |summary: &&Summary| {
        let is_there = summary.outcome == Some(Outcome::Succeeded);
        is_there && summary.record.is_some() && summary.record.as_ref() == goal
    };
    let is_undo = matches!(kind, Kind::Undo { .. });
    let since = ended.take_while(|summary| is_undo || !is_goal(summary));
    let mut left = Vec::new();
    for summary in since.filter(|summary| is_left(summary)) {
        let entries = store.events(&summary.id, 0).await?;
        let deployment = Deployment::of(summary.id.clone(), &entries);
        if Gone::of(&deployment).is_some_and(|gone| gone.is_told()) {
            left.push(deployment);
        }
    }
    Ok(left)
}

/// A deployment, and those that it superseded half-way: their baseline is its own.
async fn with_superseded(store: &dyn Store, of: &DeploymentId) -> Result<Vec<Summary>, StoreError> {
    let mut found = Vec::new();
    let mut next = Some(of.clone());
    while let Some(id) = next {
        let entries = store.events(&id, 0).await?;
        next = Deployment::of(id.clone(), &entries)
            .takes_over
            .map(|over| over.from);
        found.extend(store.summary(&id).await?);
    }
    Ok(found)
}

/// Of others nothing is left, or nobody knows what.
fn is_left(summary: &Summary) -> bool {
    let is_there = match &summary.outcome {
        Some(Outcome::Succeeded | Outcome::Stopped) => true,
        Some(Outcome::Failed { rollback, .. }) => *rollback == RollbackResult::Limited,
        Some(Outcome::Replaced { .. }) | None => false,
    };
    summary.kind == "deploy" && is_there
}
