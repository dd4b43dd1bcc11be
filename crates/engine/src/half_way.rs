//! Whether it is known what should be there. A deployment that ended half-way left what it left, and one that went back to
//! that left it so.

use crate::fold::Deployment;
use crate::ports::{Store, StoreError};
use belay_model::event::{Kind, Outcome, RollbackResult};
use belay_model::id::{DeploymentId, Scope};
use belay_model::summary::Summary;

/// How many deployments are looked through.
const LOOKED_THROUGH: usize = 64;

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
    let history = store.history(scope, LOOKED_THROUGH).await?;
    let mut at = 0;
    while let Some(last) = history.get(at) {
        at = match came_to(store, last).await? {
            Left::Nothing => at + 1,
            Left::Whole => return Ok(true),
            Left::HalfWay => return Ok(false),
            Left::AsBefore(of) => before(&history, &of),
        };
    }
    Ok(true)
}

/// The place of what came before a deployment, and before those that it took over from: their baseline is its own.
fn before(history: &[Summary], of: &DeploymentId) -> usize {
    let Some(at) = history.iter().position(|summary| summary.id == *of) else {
        return history.len();
    };
    match &history[at].supersedes {
        Some(from) => before(history, from),
        None => at + 1,
    }
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
