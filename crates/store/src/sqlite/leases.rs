//! Leases on SQLite: there is one worker at a time (a file lock says so), so whoever comes new takes over at once, and
//! whoever was replaced hears of it.

use crate::error::{Fault, Refusal};
use crate::leases::{Claim, leases, of_owner};
use crate::sql::{Sql, optional, query, values};
use belay_engine::lease::Lease;
use belay_engine::ports::StoreError;

/// Workers that were, and are remembered: one that was forgotten would take over again.
const REMEMBERED: i64 = 10_000;

/// Scopes with work, in the order in which they are served. `$1`: now, Unix milliseconds.
const FREE: &str = "
    SELECT service, environment, epoch FROM (
      SELECT w.*, row_number() OVER (PARTITION BY service ORDER BY served_us, environment) AS turn,
        (SELECT MAX(x.served_us) FROM environments x WHERE x.service = w.service) AS service_us
      FROM (
        SELECT e.service, e.environment, e.epoch, e.owner, e.served_us,
          (SELECT d.phase FROM deployments d
           WHERE d.service = e.service AND d.environment = e.environment AND d.ended = 0
           ORDER BY d.created_seq LIMIT 1) AS phase,
          (SELECT MIN(c.due_ms) FROM cleanups c
           WHERE c.service = e.service AND c.environment = e.environment) AS due_ms
        FROM environments e
        WHERE (e.service, e.environment) IN (
          SELECT service, environment FROM deployments WHERE ended = 0
          UNION SELECT service, environment FROM cleanups)
      ) w
      WHERE CASE WHEN phase IS NULL THEN due_ms <= $1 ELSE phase <> 'needs_operator' END
    )
    ORDER BY turn, service_us, served_us, service, environment";

pub(crate) async fn is_worth_it(tx: &mut dyn Sql, claim: &Claim) -> Result<bool, Fault> {
    Ok(!free(tx, claim).await?.is_empty())
}

/// Those that it does not hold, whoever's name is on them: others are dead, and what is its own was let go.
async fn free(tx: &mut dyn Sql, claim: &Claim) -> Result<Vec<Lease>, Fault> {
    let rows = query(tx, FREE, values![claim.now_us / 1000]).await?;
    let mut free = leases(rows);
    free.retain(|lease| !claim.holds(lease));
    free.truncate(claim.at_most);
    Ok(free)
}

pub(crate) async fn claim(tx: &mut dyn Sql, claim: &Claim) -> Result<Vec<Lease>, Refusal> {
    register(tx, &claim.owner.name).await?;
    for lease in of_owner(tx, &claim.owner.name).await? {
        if !claim.holds(&lease) {
            set(tx, &lease, lease.epoch, None, 0).await?;
        }
    }
    let mut claimed = free(tx, claim).await?;
    for lease in &mut claimed {
        let epoch = lease.epoch + 1;
        set(tx, lease, epoch, Some(&claim.owner.name), claim.now_us).await?;
        lease.epoch = epoch;
    }
    Ok(claimed)
}

async fn register(tx: &mut dyn Sql, name: &str) -> Result<(), Refusal> {
    let known: Option<(i64, i64)> = optional(
        tx,
        "SELECT since, (SELECT MAX(since) FROM workers) FROM workers WHERE name = $1",
        values![name],
    )
    .await?;
    match known {
        Some((since, last)) if since == last => return Ok(()),
        Some(_) => return Err(StoreError::Fenced(format!("the work of {name}")).into()),
        None => {}
    }
    tx.execute("INSERT INTO workers (name) VALUES ($1)", values![name])
        .await?;
    tx.execute(
        "DELETE FROM workers WHERE since <= (SELECT MAX(since) FROM workers) - $1",
        values![REMEMBERED],
    )
    .await?;
    Ok(())
}

async fn set(
    tx: &mut dyn Sql,
    lease: &Lease,
    epoch: u64,
    owner: Option<&str>,
    served_us: i64,
) -> Result<(), Fault> {
    tx.execute(
        "UPDATE environments SET epoch = $3, owner = $4, served_us = MAX(served_us, $5)
         WHERE service = $1 AND environment = $2",
        values![
            lease.scope.service.as_str(),
            lease.scope.environment.as_str(),
            i64::try_from(epoch).unwrap_or(i64::MAX),
            owner,
            served_us,
        ],
    )
    .await
    .map(drop)
}
