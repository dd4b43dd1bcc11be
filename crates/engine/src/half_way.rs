//! Whether it is known what should be there. A deployment that ended half-way left what it left, and one that went back to
//! that left it so.

use crate::fold::Deployment;
use crate::ports::{Store, StoreError};
use crate::recent::Recent;
use belay_model::event::{Kind, Outcome, RollbackResult};
use belay_model::id::{DeploymentId, Scope};
use belay_model::summary::Summary;

/// What a deployment left.
enum Left {
    /// It changed nothing.
    Nothing,
    /// What it should.
    Whole,
    /// A part of it.
    HalfWay,
    /// What was there before that deployment, whatever it was.
    AsBefore(DeploymentId),
}

/// Whether the last deployment of a scope left what it should.
///
/// # Errors
/// The store cannot be read.
pub async fn is_left_whole(store: &dyn Store, scope: &Scope) -> Result<bool, StoreError> {
    let mut recent = Recent::of(store, scope).await?;
    let mut at = 0;
    while let Some(last) = recent.get(at).await? {
        at = match came_to(store, last).await? {
            Left::Nothing => at + 1,
            Left::Whole => return Ok(true),
            Left::HalfWay => return Ok(false),
            Left::AsBefore(of) => match before(&mut recent, of).await? {
                Some(at) => at,
                None => return Ok(true),
            },
        };
    }
    Ok(true)
}

/// The place of what came before a deployment, and before those that it took over from: their baseline is its own.
async fn before(recent: &mut Recent<'_>, of: DeploymentId) -> Result<Option<usize>, StoreError> {
    let mut id = of;
    while let Some(at) = recent.place(&id).await? {
        match recent.get(at).await?.and_then(|it| it.supersedes.clone()) {
            Some(from) => id = from,
            None => return Ok(Some(at + 1)),
        }
    }
    Ok(None)
}

async fn came_to(store: &dyn Store, summary: &Summary) -> Result<Left, StoreError> {
    let Some(outcome) = &summary.outcome else {
        return Ok(Left::Nothing);
    };
    Ok(match outcome {
        Outcome::Replaced { .. } => Left::Nothing,
        // Its turn had not come.
        Outcome::Stopped if summary.locked_us.is_none() => Left::Nothing,
        Outcome::Stopped => Left::HalfWay,
        Outcome::Succeeded if summary.kind == "deploy" => Left::Whole,
        Outcome::Succeeded => {
            let inputs = folded(store, summary).await?.inputs;
            match inputs.map(|inputs| inputs.kind) {
                Some(Kind::Undo { of }) => Left::AsBefore(of),
                _ => Left::Whole,
            }
        }
        Outcome::Failed { rollback, .. } => match rollback {
            RollbackResult::None => Left::Nothing,
            RollbackResult::Complete if went_elsewhere(&folded(store, summary).await?) => {
                Left::Whole
            }
            RollbackResult::Complete => Left::AsBefore(summary.id.clone()),
            RollbackResult::Limited | RollbackResult::Incomplete => Left::HalfWay,
        },
    })
}

async fn folded(store: &dyn Store, summary: &Summary) -> Result<Deployment, StoreError> {
    let entries = store.events(&summary.id, 0).await?;
    Ok(Deployment::of(summary.id.clone(), &entries))
}

/// Whether it went back to another release than what was there before, on all of its targets.
fn went_elsewhere(deployment: &Deployment) -> bool {
    let run = deployment.plans.last();
    let was_told = run
        .and_then(|run| run.cause.as_ref())
        .is_some_and(|cause| cause.leads_to().is_some());
    let goal = run.and_then(|run| run.goal.as_ref());
    let baseline = deployment.baseline_goal.as_ref();
    was_told || goal.map(|goal| &goal.record) != baseline.map(|goal| &goal.record)
}
