//! The writing half of the environment streams, and what is projected from them: clean-ups that are owed. Runs inside a
//! writer's transaction.

use crate::chain;
use crate::change::MAX_BODY;
use crate::error::{Fault, Refusal};
use crate::journal::json;
use crate::sql::{Sql, locking, optional, values};
use belay_engine::ports::StoreError;
use belay_model::environment::Event;
use belay_model::id::{RecordHash, Scope};

/// Format of environment events that is written now.
const FORMAT: i64 = 1;

/// Makes the scope's row, if there is none: it is what leases are of, and what writers lock.
pub(crate) async fn make(tx: &mut dyn Sql, scope: &Scope) -> Result<(), Fault> {
    tx.execute(
        "INSERT INTO environments (service, environment, head_seq, head_hash)
         VALUES ($1, $2, 0, '') ON CONFLICT (service, environment) DO NOTHING",
        values![scope.service.as_str(), scope.environment.as_str()],
    )
    .await
    .map(drop)
}

/// Appends for a worker, if it still has the scope, or for anyone.
pub(crate) async fn append_as(
    tx: &mut dyn Sql,
    scope: &Scope,
    epoch: Option<u64>,
    events: &[(i64, Event)],
) -> Result<(), Refusal> {
    if let Some(epoch) = epoch {
        let sql = locking!(
            tx,
            "SELECT epoch FROM environments WHERE service = $1 AND environment = $2"
        );
        let place = values![scope.service.as_str(), scope.environment.as_str()];
        let leased: Option<(i64,)> = optional(tx, sql, place).await?;
        let leased = leased.map_or(0, |(leased,)| leased);
        if i64::try_from(epoch) != Ok(leased) {
            return Err(StoreError::Fenced(scope.to_string()).into());
        }
    }
    append(tx, scope, events).await
}

/// Whether streams end where someone has seen them end. On PostgreSQL their rows are locked by now (`scopes.rs`), so that
/// this stays true until the transaction is over.
pub(crate) async fn require_unmoved(
    tx: &mut dyn Sql,
    streams: &[(Scope, u64)],
) -> Result<(), Refusal> {
    for (scope, seen) in streams {
        let sql = "SELECT head_seq FROM environments WHERE service = $1 AND environment = $2";
        let place = values![scope.service.as_str(), scope.environment.as_str()];
        let head: Option<(i64,)> = optional(tx, sql, place).await?;
        let head = head.map_or(0, |(head,)| head);
        if i64::try_from(*seen) != Ok(head) {
            return Err(StoreError::Stale(scope.clone()).into());
        }
    }
    Ok(())
}

pub(crate) async fn append(
    tx: &mut dyn Sql,
    scope: &Scope,
    events: &[(i64, Event)],
) -> Result<(), Refusal> {
    if events.is_empty() {
        return Ok(());
    }
    make(tx, scope).await?;
    let (service, environment) = (scope.service.as_str(), scope.environment.as_str());
    let sql = locking!(
        tx,
        "SELECT head_seq, head_hash FROM environments WHERE service = $1 AND environment = $2"
    );
    let row: Option<(i64, String)> = optional(tx, sql, values![service, environment]).await?;
    let (mut seq, mut hash) = row.unwrap_or_default();
    if seq == 0 {
        // The row may be there before the stream is.
        hash = chain::root_of_scope(scope);
    }
    for (at_us, event) in events {
        let body = json("an environment event", event)?;
        if body.len() > MAX_BODY {
            return Err(StoreError::TooLarge(format!("an environment event of {scope}")).into());
        }
        seq += 1;
        hash = chain::link(&hash, seq, *at_us, FORMAT, &body);
        tx.execute(
            "INSERT INTO environment_events (service, environment, seq, at_us, format, body, hash)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            values![service, environment, seq, *at_us, FORMAT, &body, &hash],
        )
        .await?;
        project(tx, scope, event).await?;
    }
    tx.execute(
        "UPDATE environments SET head_seq = $3, head_hash = $4
         WHERE service = $1 AND environment = $2",
        values![service, environment, seq, &hash],
    )
    .await?;
    Ok(())
}

/// The same as `View` does with its clean-ups.
async fn project(tx: &mut dyn Sql, scope: &Scope, event: &Event) -> Result<(), Fault> {
    match event {
        Event::CleanupDue {
            deployment,
            record,
            due_ms,
        } => {
            tx.execute(
                "INSERT INTO cleanups (service, environment, record, deployment, due_ms)
                 VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (service, environment, record)
                 DO UPDATE SET deployment = excluded.deployment, due_ms = excluded.due_ms",
                values![
                    scope.service.as_str(),
                    scope.environment.as_str(),
                    record.as_str(),
                    deployment.as_str(),
                    *due_ms,
                ],
            )
            .await?;
        }
        Event::Serves {
            record: Some(record),
            ..
        }
        | Event::CleanupDone { record }
        | Event::CleanupCancelled { record, .. } => settle(tx, scope, record).await?,
        Event::Serves { record: None, .. }
        | Event::Recorded { .. }
        | Event::Stands { .. }
        | Event::WentBack { .. }
        | Event::Frozen { .. }
        | Event::Thawed { .. }
        | Event::BudgetRenewed { .. }
        | Event::CleanupStarted { .. } => {}
    }
    Ok(())
}

async fn settle(tx: &mut dyn Sql, scope: &Scope, record: &RecordHash) -> Result<(), Fault> {
    tx.execute(
        "DELETE FROM cleanups WHERE service = $1 AND environment = $2 AND record = $3",
        values![
            scope.service.as_str(),
            scope.environment.as_str(),
            record.as_str(),
        ],
    )
    .await
    .map(drop)
}
