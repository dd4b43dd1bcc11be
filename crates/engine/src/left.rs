//! Whose results a way back leaves: what people had run with them is taken back, too.

use crate::fold::Deployment;
use crate::ports::{Store, StoreError};
use crate::recent::Recent;
use crate::taken_back::Gone;
use belay_model::event::{Kind, Outcome, RollbackResult};
use belay_model::id::{DeploymentId, RecordHash, Scope};
use belay_model::summary::Summary;

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
    let ended = match kind {
        Kind::Deploy => return Ok(Vec::new()),
        Kind::Undo { of } => with_superseded(store, of).await?,
        Kind::Return { .. } => since(store, scope, goal).await?,
    };
    let mut left = Vec::new();
    for summary in ended.iter().filter(|summary| is_left(summary)) {
        let entries = store.events(&summary.id, 0).await?;
        let deployment = Deployment::of(summary.id.clone(), &entries);
        if Gone::of(&deployment).is_some_and(|gone| gone.is_told()) {
            left.push(deployment);
        }
    }
    Ok(left)
}

/// What ended since that record was put out.
async fn since(
    store: &dyn Store,
    scope: &Scope,
    goal: Option<&RecordHash>,
) -> Result<Vec<Summary>, StoreError> {
    let mut recent = Recent::of(store, scope).await?;
    let mut since = Vec::new();
    while let Some(summary) = recent.get(since.len()).await? {
        let is_there = summary.outcome == Some(Outcome::Succeeded);
        if is_there && summary.record.is_some() && summary.record.as_ref() == goal {
            break;
        }
        since.push(summary.clone());
    }
    Ok(since)
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

/// Of others nothing is left, or nobody knows what, or they have not ended.
fn is_left(summary: &Summary) -> bool {
    let is_there = match &summary.outcome {
        Some(Outcome::Succeeded | Outcome::Stopped) => true,
        Some(Outcome::Failed { rollback, .. }) => *rollback == RollbackResult::Limited,
        Some(Outcome::Replaced { .. }) | None => false,
    };
    summary.kind == "deploy" && is_there
}
