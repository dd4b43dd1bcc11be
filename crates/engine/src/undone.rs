//! What an undo takes back. A goal names its targets by the records in it, and one in which nothing was there has none: then those
//! of the deployment that is taken back tell where it was, or, as that may be an undo to nothing itself, of what that took back.

use crate::ports::{Store, StoreError};
use belay_model::event::{Event, Inputs, Kind};
use belay_model::id::DeploymentId;
use belay_model::release::Record;
use belay_model::state::Goal;

/// How many deployments are looked through.
const LOOKED_THROUGH: usize = 64;

/// What a deployment started from; where it was an undo, then what that took back started from, and so on.
///
/// # Errors
/// The store cannot be read.
pub async fn undone(store: &dyn Store, of: &DeploymentId) -> Result<Vec<Inputs>, StoreError> {
    let (mut found, mut next) = (Vec::new(), Some(of.clone()));
    while let Some(id) = next.filter(|_| found.len() < LOOKED_THROUGH) {
        let entries = store.events(&id, 0).await?;
        let inputs = entries.into_iter().find_map(|entry| match entry.event {
            Event::Created(inputs) => Some(*inputs),
            _ => None,
        });
        next = inputs.as_ref().and_then(|inputs| match &inputs.kind {
            Kind::Undo { of } => Some(of.clone()),
            Kind::Deploy | Kind::Return { .. } => None,
        });
        found.extend(inputs);
    }
    Ok(found)
}

/// All records that these tell of, the nearest first.
pub fn records(undone: &[Inputs]) -> impl Iterator<Item = &Record> {
    undone.iter().flat_map(|inputs| {
        let goal = inputs.goal.iter().flat_map(|goal| goal.records.values());
        inputs.record.iter().chain(goal)
    })
}

/// Gives the goal those of them that tell of a target of which none of its own does.
pub(crate) fn name_targets<'a>(goal: &mut Goal, records: impl IntoIterator<Item = &'a Record>) {
    for record in records {
        let names = |known: &Record, name: &str| known.target(name).is_some();
        let mut meant = goal.want.iter().map(|(name, _)| name);
        let is_needed = meant.any(|name| {
            let mut own = goal.records.values();
            names(record, name) && !own.any(|own| names(own, name))
        });
        if is_needed {
            goal.records.insert(record.hash(), record.clone());
        }
    }
}
