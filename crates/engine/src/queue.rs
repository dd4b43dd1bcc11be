//! How a deployment gets into the queue of its scope, and what becomes of those that wait there.
//!
//! What has not begun has changed nothing: it can be ended by whoever comes later, in the transaction that writes the new
//! one down. Whether it has begun is what its journal said when it was looked at; if that has moved on meanwhile, nothing
//! is written and everything is looked at again.

use crate::fold::Deployment;
use crate::ports::{Batch, Store, StoreError, Writer};
use belay_model::config::Queue;
use belay_model::environment;
use belay_model::event::{Event, Inputs, Kind, Outcome};
use belay_model::id::DeploymentId;

/// How often it is looked again because something moved on meanwhile.
const TRIES: u32 = 100;

/// A deployment that someone asks for.
#[derive(Clone, Debug)]
pub struct Entrant {
    /// Its id.
    pub id: DeploymentId,
    /// When, Unix microseconds.
    pub at_us: i64,
    /// What it starts from.
    pub inputs: Inputs,
    /// What goes into the stream of its environment with it.
    pub environment: Vec<environment::Event>,
    /// How many may be open in the scope, this one included and those that it replaces not (I11).
    pub limit: usize,
}

/// Writes a deployment down; answers which ones it replaced, in the order in which they were asked for.
///
/// # Errors
/// Too many are open, or the store cannot be written. Nothing was changed then.
pub async fn enter(
    store: &dyn Store,
    new: &Entrant,
    queue: Queue,
) -> Result<Vec<DeploymentId>, StoreError> {
    let mut tries = 0;
    loop {
        let waiting = waiting(store, &new.inputs, queue).await?;
        let ended = Event::Ended {
            outcome: Outcome::Replaced { by: new.id.clone() },
        };
        let replaced = waiting.iter().map(|old| Batch {
            deployment: old.id.clone(),
            writer: Writer::Seen { after: old.seq },
            events: vec![(new.at_us, ended.clone())],
            environment: Vec::new(),
        });
        let environment = new.environment.iter().cloned();
        let created = Batch {
            deployment: new.id.clone(),
            writer: Writer::New { limit: new.limit },
            events: vec![(new.at_us, Event::Created(Box::new(new.inputs.clone())))],
            environment: environment.map(|event| (new.at_us, event)).collect(),
        };
        let batches = replaced.chain([created]).collect();
        match store.append_all(batches).await {
            Ok(()) => return Ok(waiting.into_iter().map(|old| old.id).collect()),
            Err(StoreError::Moved(_) | StoreError::Missing(_)) if tries < TRIES => tries += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Those whose place a new one takes.
async fn waiting(
    store: &dyn Store,
    new: &Inputs,
    queue: Queue,
) -> Result<Vec<Deployment>, StoreError> {
    if queue == Queue::All || new.kind != Kind::Deploy {
        return Ok(Vec::new());
    }
    let mut waiting = Vec::new();
    for summary in store.open().await? {
        if summary.scope != new.scope {
            continue;
        }
        let entries = store.events(&summary.id, 0).await?;
        let old = Deployment::of(summary.id, &entries);
        if may_be_replaced(&old) {
            waiting.push(old);
        }
    }
    Ok(waiting)
}

/// A release that has not begun. A rollback is not what the newer one was asked for instead of.
fn may_be_replaced(old: &Deployment) -> bool {
    let is_deploy = |inputs: &Inputs| inputs.kind == Kind::Deploy;
    old.inputs.as_ref().is_some_and(is_deploy) && old.plans.is_empty() && old.ended.is_none()
}
