//! The writing half of the journal: who may append, where, and the projection that goes with it. Runs inside the writer's transaction; it never commits, and never changes a stored entry.

use crate::chain;
use crate::error::{Refusal, unreadable};
use crate::plans::Plans;
use crate::sql::{Sql, locking, one, optional, values};
use crate::stream;
use belay_engine::ports::{Batch, StoreError, Writer, most_bytes};
use belay_model::environment;
use belay_model::event::{self, Entry, Event};
use belay_model::id::{DeploymentId, EnvironmentName, Scope, ServiceName};
use belay_model::summary::{Phase, Summary};
use serde::Serialize;

/// Events per deployment at most (I11).
pub(crate) const MAX_EVENTS: i64 = 10_000;

/// Where signals stop being taken, so that a flood of them leaves a deployment the room to end.
const MAX_EVENTS_OF_SIGNALS: i64 = 9_000;

/// Where a stream ends: its last position and hash.
struct Head {
    seq: i64,
    hash: String,
}

pub(crate) async fn create(
    tx: &mut dyn Sql,
    id: &DeploymentId,
    at_us: i64,
    created: &Event,
    environment: &[(i64, environment::Event)],
    limit: usize,
) -> Result<(), Refusal> {
    let entry = Entry {
        seq: 1,
        at_us,
        format: event::FORMAT,
        event: created.clone(),
    };
    let Some(summary) = Summary::begin(id.clone(), &entry) else {
        return Err(
            StoreError::Damaged(format!("deployment {id} does not begin with `created`")).into(),
        );
    };
    let scope = summary.scope.clone();
    stream::make(tx, &scope).await?;
    refuse_too_many(tx, &scope, limit).await?;
    let known: Option<(i64,)> = optional(
        tx,
        "SELECT head_seq FROM deployments WHERE id = $1",
        values![id.as_str()],
    )
    .await?;
    if known.is_some() {
        return Err(StoreError::Moved(id.clone()).into());
    }
    let mut head = Head {
        seq: 0,
        hash: chain::root_of_deployment(id),
    };
    insert_event(tx, id, &mut head, &entry).await?;
    tx.execute(
        "INSERT INTO deployments
           (id, service, environment, phase, ended, epoch, summary, head_seq, head_hash, host)
         VALUES ($1, $2, $3, $4, 0, 0, $5, $6, $7, $8)",
        values![
            id.as_str(),
            scope.service.as_str(),
            scope.environment.as_str(),
            &word(&summary.phase)?,
            &json("a summary", &summary)?,
            head.seq,
            &head.hash,
            host_of(created),
        ],
    )
    .await?;
    stream::append(tx, &scope, environment).await
}

async fn refuse_too_many(tx: &mut dyn Sql, scope: &Scope, limit: usize) -> Result<(), Refusal> {
    let (open,): (i64,) = one(
        tx,
        "SELECT COUNT(*) FROM deployments WHERE service = $1 AND environment = $2 AND ended = 0",
        values![scope.service.as_str(), scope.environment.as_str()],
    )
    .await?;
    if usize::try_from(open).unwrap_or(usize::MAX) < limit {
        return Ok(());
    }
    Err(StoreError::TooLarge(format!(
        "{open} deployments of {scope} are open, {limit} may be"
    ))
    .into())
}

/// A deployment's row: service, environment, ended, owner, epoch, last position, last hash, summary; and the epoch of its
/// scope.
type Row = (
    String,
    String,
    i64,
    Option<String>,
    i64,
    i64,
    String,
    String,
    i64,
);

pub(crate) async fn append(
    tx: &mut dyn Sql,
    plans: &mut Plans,
    batch: &Batch,
) -> Result<Vec<Entry>, Refusal> {
    let id = &batch.deployment;
    let sql = locking!(
        tx,
        "SELECT d.service, d.environment, d.ended, d.owner, d.epoch, d.head_seq, d.head_hash,
           d.summary, e.epoch
         FROM deployments d
         JOIN environments e ON e.service = d.service AND e.environment = d.environment
         WHERE d.id = $1"
    );
    let row: Option<Row> = optional(tx, sql, values![id.as_str()]).await?;
    let Some((service, environment, ended, owner, epoch, seq, hash, summary, leased)) = row else {
        return Err(StoreError::Missing(format!("deployment {id}")).into());
    };
    if ended != 0 && !batch.events.is_empty() {
        return Err(StoreError::Missing(format!("open deployment {id}: it has ended")).into());
    }
    let mut head = Head { seq, hash };
    let (owner, epoch) = admit(batch, owner, epoch, leased, head.seq)?;
    stream::require_unmoved(tx, &batch.unmoved).await?;
    let mut summary: Summary = serde_json::from_str(&summary)
        .map_err(|e| unreadable(format!("the summary of {id}"), &e))?;
    plans.complete(tx, &mut summary).await?;
    let mut entries = Vec::with_capacity(batch.events.len());
    for (at_us, event) in &batch.events {
        let entry = Entry {
            seq: (head.seq + 1).unsigned_abs(),
            at_us: *at_us,
            format: event::FORMAT,
            event: event.clone(),
        };
        insert_event(tx, id, &mut head, &entry).await?;
        summary.apply(&entry);
        entries.push(entry);
    }
    tx.execute(
        "UPDATE deployments SET phase = $2, ended = $3, owner = $4, epoch = $5, summary = $6,
           head_seq = $7, head_hash = $8
         WHERE id = $1",
        values![
            id.as_str(),
            &word(&summary.phase)?,
            i64::from(summary.phase == Phase::Ended),
            owner.as_deref(),
            epoch,
            &json("a summary", &summary)?,
            head.seq,
            &head.hash
        ],
    )
    .await?;
    let scope = Scope {
        service: ServiceName::new(service),
        environment: EnvironmentName::new(environment),
    };
    stream::append(tx, &scope, &batch.environment).await?;
    plans.remember(&summary);
    Ok(entries)
}

/// Whether this writer may append now; answers owner and epoch as they are afterwards. `stored`: the deployment's epoch,
/// `leased`: its scope's.
fn admit(
    batch: &Batch,
    owner: Option<String>,
    stored: i64,
    leased: i64,
    head: i64,
) -> Result<(Option<String>, i64), StoreError> {
    let id = &batch.deployment;
    let at_end = |after: u64| {
        if i64::try_from(after) == Ok(head) {
            Ok(())
        } else {
            Err(StoreError::Moved(id.clone()))
        }
    };
    let fenced = || Err(StoreError::Fenced(format!("deployment {id}")));
    match &batch.writer {
        Writer::Worker { epoch, after } => {
            let epoch = i64::try_from(*epoch).unwrap_or(-1);
            if epoch != leased || epoch != stored {
                return fenced();
            }
            at_end(*after)?;
            Ok((owner, stored))
        }
        Writer::Claim { epoch, after } => {
            if i64::try_from(*epoch) != Ok(leased) || leased <= stored {
                return fenced();
            }
            at_end(*after)?;
            let claimed = batch.events.iter().find_map(|(_, event)| match event {
                Event::Claimed { owner, epoch: new } if new == epoch => Some(owner.clone()),
                _ => None,
            });
            match claimed {
                Some(owner) => Ok((Some(owner), leased)),
                None => Err(StoreError::Damaged(format!(
                    "a claim of {id} comes without its `claimed`"
                ))),
            }
        }
        Writer::Anyone => {
            if head >= MAX_EVENTS_OF_SIGNALS {
                return Err(StoreError::TooLarge(format!("signals to deployment {id}")));
            }
            Ok((owner, stored))
        }
        Writer::Seen { after } => {
            at_end(*after)?;
            Ok((owner, stored))
        }
        Writer::New { .. } => Err(StoreError::Moved(id.clone())),
    }
}

async fn insert_event(
    tx: &mut dyn Sql,
    id: &DeploymentId,
    head: &mut Head,
    entry: &Entry,
) -> Result<(), Refusal> {
    let body = json("an event", &entry.event)?;
    if head.seq >= MAX_EVENTS {
        return Err(
            StoreError::TooLarge(format!("deployment {id} has {MAX_EVENTS} events")).into(),
        );
    }
    if body.len() > most_bytes(&entry.event) {
        let size = body.len();
        return Err(StoreError::TooLarge(format!("an event of {id} has {size} bytes")).into());
    }
    let seq = head.seq + 1;
    let format = i64::from(entry.format);
    let hash = chain::link(&head.hash, seq, entry.at_us, format, &body);
    tx.execute(
        "INSERT INTO events (deployment, seq, at_us, format, body, hash)
         VALUES ($1, $2, $3, $4, $5, $6)",
        values![id.as_str(), seq, entry.at_us, format, &body, &hash],
    )
    .await?;
    *head = Head { seq, hash };
    Ok(())
}

pub(crate) fn json(what: &str, value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| unreadable(what, &e))
}

/// Whose workers may touch the target of a deployment: that of its record, or of what the goal of an undo runs.
fn host_of(created: &Event) -> Option<&str> {
    let Event::Created(inputs) = created else {
        return None;
    };
    let goal = inputs.goal.as_ref();
    let of_goal = || goal.and_then(|goal| goal.records.values().next());
    let record = inputs.record.as_ref().or_else(of_goal);
    record.and_then(|record| record.host())
}

/// The stored word of a phase.
fn word(phase: &Phase) -> Result<String, StoreError> {
    Ok(json("a phase", phase)?.trim_matches('"').to_owned())
}
