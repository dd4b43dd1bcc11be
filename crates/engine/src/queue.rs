//! How a deployment gets into the queue of its scope, and what becomes of those that wait there.
//!
//! What has not begun has changed nothing: it can be ended by whoever comes later, in the transaction that writes the new
//! one down. Whether it has begun is what its journal said when it was looked at; if that has moved on meanwhile, nothing
//! is written and everything is looked at again.

use crate::decide::{Command, decide};
use crate::fold::Deployment;
use crate::ports::{Batch, Store, StoreError, Writer};
use belay_model::back::Back;
use belay_model::config::Queue;
use belay_model::environment;
use belay_model::event::{Ask, Event, Inputs, Kind, Outcome};
use belay_model::id::DeploymentId;
use std::collections::BTreeSet;

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

/// What became of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entered {
    /// Those whose place it took, in the order in which they were asked for.
    pub replaces: Vec<DeploymentId>,
    /// The one that was told to make way for it.
    pub supersedes: Option<DeploymentId>,
}

/// Why it was not written down.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A hotfix does not supersede what goes back: that leads to what is known to work, and soon.
    #[error("supersede {0}: it goes back")]
    GoesBack(DeploymentId),
    /// Too many are open, or the store cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Writes a deployment down. A hotfix tells what runs to make way for it.
///
/// # Errors
/// Nothing was changed.
pub async fn enter(store: &dyn Store, new: &Entrant, queue: Queue) -> Result<Entered, Error> {
    let mut tries = 0;
    loop {
        let open = open(store, &new.inputs, queue).await?;
        let (batches, entered) = transaction(new, &open, queue)?;
        match store.append_all(batches).await {
            Ok(()) => return Ok(entered),
            Err(StoreError::Moved(_) | StoreError::Missing(_)) if tries < TRIES => tries += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Tells a deployment something. One that waits for its turn and shall not have it holds nothing and has changed nothing: it
/// ends at once, in the same transaction. Where it begins meanwhile, nothing is written, and it is told as one that runs.
///
/// # Errors
/// It has ended, or the store cannot be written.
pub async fn tell(
    store: &dyn Store,
    id: &DeploymentId,
    at_us: i64,
    signal: &Event,
) -> Result<(), StoreError> {
    let mut tries = 0;
    loop {
        let entries = store.events(id, 0).await?;
        let mut deployment = Deployment::of(id.clone(), &entries);
        let mut batch = Batch {
            deployment: id.clone(),
            writer: Writer::Anyone,
            events: vec![(at_us, signal.clone())],
            environment: Vec::new(),
            unmoved: Vec::new(),
        };
        if deployment.ended.is_none() && deployment.plans.is_empty() {
            let after = deployment.seq;
            deployment.take(at_us, signal);
            let decision = decide(&deployment, &BTreeSet::new(), at_us);
            if let [Command::End(outcome)] = decision.commands.as_slice() {
                batch.writer = Writer::Seen { after };
                batch.events.push((at_us, Event::ended(outcome.clone())));
            }
        }
        match store.append(batch).await {
            Err(StoreError::Moved(_)) if tries < TRIES => tries += 1,
            done => return done.map(drop),
        }
    }
}

/// What is open in the scope, where that matters to the new one.
async fn open(
    store: &dyn Store,
    new: &Inputs,
    queue: Queue,
) -> Result<Vec<Deployment>, StoreError> {
    let waits_for_all = queue == Queue::All && new.hotfix.is_none();
    if waits_for_all || new.kind != Kind::Deploy {
        return Ok(Vec::new());
    }
    let mut open = Vec::new();
    for summary in store.open().await? {
        if summary.scope == new.scope {
            let entries = store.events(&summary.id, 0).await?;
            open.push(Deployment::of(summary.id, &entries));
        }
    }
    Ok(open)
}

fn transaction(
    new: &Entrant,
    open: &[Deployment],
    queue: Queue,
) -> Result<(Vec<Batch>, Entered), Error> {
    let mut batches = Vec::new();
    let mut entered = Entered::default();
    let is_hotfix = new.inputs.hotfix.is_some();
    for old in open {
        let (writer, event) = if has_not_begun(old) {
            if !(is_hotfix || queue == Queue::Latest && !waits_for_nobody(old)) {
                continue;
            }
            entered.replaces.push(old.id.clone());
            let outcome = Outcome::Replaced { by: new.id.clone() };
            (Writer::Seen { after: old.seq }, Event::ended(outcome))
        } else if !is_hotfix || old.ended.is_some() {
            continue;
        } else if old.goes_back() || old.abort.is_some() {
            return Err(Error::GoesBack(old.id.clone()));
        } else {
            entered.supersedes = Some(old.id.clone());
            let ask = Ask::Supersede {
                by: Some(new.id.clone()),
            };
            let signal = Event::Signal {
                actor: new.inputs.actor.clone(),
                ask,
                reason: new.inputs.reason.clone(),
                back: Back::default(),
            };
            (Writer::Anyone, signal)
        };
        batches.push(Batch {
            deployment: old.id.clone(),
            writer,
            events: vec![(new.at_us, event)],
            environment: Vec::new(),
            unmoved: Vec::new(),
        });
    }
    let environment = new.environment.iter().cloned();
    batches.push(Batch {
        deployment: new.id.clone(),
        writer: Writer::New { limit: new.limit },
        events: vec![(new.at_us, Event::Created(Box::new(new.inputs.clone())))],
        environment: environment.map(|event| (new.at_us, event)).collect(),
        unmoved: Vec::new(),
    });
    Ok((batches, entered))
}

/// A release that has not begun: it has changed nothing, and may be replaced. A rollback is not what a newer release was
/// asked for instead of.
pub(crate) fn has_not_begun(old: &Deployment) -> bool {
    let is_deploy = |inputs: &Inputs| inputs.kind == Kind::Deploy;
    old.inputs.as_ref().is_some_and(is_deploy) && old.plans.is_empty() && old.ended.is_none()
}

fn waits_for_nobody(old: &Deployment) -> bool {
    old.inputs
        .as_ref()
        .is_some_and(|inputs| inputs.hotfix.is_some())
}
