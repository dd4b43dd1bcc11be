//! Leases on PostgreSQL: of many workers that live by the server's clock. A worker has one row that it renews; all of its
//! leases live as long as that row says. A scope is free when no living worker's name is on it.
//!
//! Claims are made one after the other (an advisory lock), so that bounds hold; they wait for nobody else: a scope that
//! somebody writes in at the moment is left for next time (SKIP LOCKED).
//!
//! The bound of an environment is for what goes forward. What only waits or bakes changes nothing and would keep others out for hours;
//! what goes back is never kept waiting, and comes first.

use crate::error::Fault;
use crate::leases::{Claim, leases, of_owner};
use crate::sql::{Sql, one, query, values};
use belay_engine::lease::{Lease, Owner};

/// Whether a scope is busy, by `head`, its open deployment if there is one: not with one that waits, bakes or goes back.
/// A summary is JSON text, so that what is looked for cannot come from what people wrote in it.
macro_rules! needs_room {
    () => {
        "COALESCE(head.phase IN ('queued', 'running')
             AND head.summary LIKE '%\"kind\":\"deploy\"%', TRUE)"
    };
}

/// Scopes with work for workers of the host `$2` that no living worker has, numbered in the order in which they are
/// served; not more that need room of an environment name than may still be claimed. `$1`: now, Unix milliseconds, for
/// clean-ups; `$3`: living leases per environment name of scopes that need room.
macro_rules! free {
    () => {
        concat!(
            "busy AS (
           SELECT x.environment, COUNT(*) AS n FROM environments x
           JOIN workers v ON v.name = x.owner
           LEFT JOIN LATERAL (
             SELECT phase, summary FROM deployments d
             WHERE d.service = x.service AND d.environment = x.environment AND d.ended = 0
             ORDER BY d.created_seq LIMIT 1) head ON TRUE
           WHERE v.until > clock_timestamp() AND ",
            needs_room!(),
            "
           GROUP BY x.environment),
         free AS (
           SELECT * FROM (
             SELECT o.*, row_number() OVER (PARTITION BY o.environment, o.needs_room
                 ORDER BY o.turn, o.service_us, o.served_us, o.service) AS nth,
               $3 - COALESCE((SELECT n FROM busy b WHERE b.environment = o.environment), 0) AS room
             FROM (
               SELECT w.*, row_number() OVER (PARTITION BY w.service
                   ORDER BY w.served_us, w.environment) AS turn,
                 (SELECT MAX(x.served_us) FROM environments x WHERE x.service = w.service)
                   AS service_us
               FROM (
                 SELECT e.service, e.environment, e.epoch, e.served_us, ",
            needs_room!(),
            " AS needs_room FROM environments e
                 CROSS JOIN LATERAL (
                   SELECT phase, host, summary FROM deployments d
                   WHERE d.service = e.service AND d.environment = e.environment AND d.ended = 0
                   ORDER BY d.created_seq LIMIT 1) head
                 WHERE (e.service, e.environment) IN
                     (SELECT service, environment FROM deployments WHERE ended = 0)
                   AND head.phase <> 'needs_operator' AND COALESCE(head.host, $2) = $2
                   AND NOT EXISTS (SELECT 1 FROM workers v
                     WHERE v.name = e.owner AND v.until > clock_timestamp())
                 UNION
                 SELECT e.service, e.environment, e.epoch, e.served_us, TRUE FROM environments e
                 JOIN cleanups c ON c.service = e.service AND c.environment = e.environment
                 LEFT JOIN deployments l ON l.id = c.deployment
                 WHERE c.due_ms <= $1 AND COALESCE(l.host, $2) = $2
                   AND NOT EXISTS (SELECT 1 FROM deployments d WHERE d.ended = 0
                     AND d.service = e.service AND d.environment = e.environment)
                   AND NOT EXISTS (SELECT 1 FROM workers v
                     WHERE v.name = e.owner AND v.until > clock_timestamp())
               ) w
             ) o
           ) p WHERE p.nth <= p.room OR NOT p.needs_room
         )"
        )
    };
}

/// Free ones, or own ones that are to be handed back.
pub(crate) async fn is_worth_it(tx: &mut dyn Sql, claim: &Claim) -> Result<bool, Fault> {
    let own = of_owner(tx, &claim.owner.name).await?;
    if own.iter().any(|lease| !claim.holds(lease)) {
        return Ok(true);
    }
    if claim.at_most == 0 {
        return Ok(false);
    }
    let (free,): (i64,) = one(
        tx,
        concat!("WITH ", free!(), " SELECT COUNT(*) FROM free"),
        values![claim.now_us / 1000, claim.owner.host.as_str(), bound(claim)],
    )
    .await?;
    Ok(free > 0)
}

pub(crate) async fn claim(tx: &mut dyn Sql, claim: &Claim) -> Result<Vec<Lease>, Fault> {
    let name = claim.owner.name.as_str();
    tx.rows(
        "SELECT pg_advisory_xact_lock(hashtextextended('belay claims', 0))",
        values![],
    )
    .await?;
    // The dead, this one perhaps among them: who is renewing just now is not dead.
    tx.execute(
        "DELETE FROM workers WHERE name IN
           (SELECT name FROM workers WHERE until <= clock_timestamp() FOR UPDATE SKIP LOCKED)",
        values![],
    )
    .await?;
    // What the worker has already lives no longer than it was told; who has nothing begins anew.
    let register = if claim.held.is_empty() {
        "INSERT INTO workers (name, host, until)
         VALUES ($1, $2, clock_timestamp() + $3 * INTERVAL '1 microsecond')
         ON CONFLICT (name) DO UPDATE SET until = excluded.until"
    } else {
        "INSERT INTO workers (name, host, until)
         VALUES ($1, $2, clock_timestamp() + $3 * INTERVAL '1 microsecond')
         ON CONFLICT (name) DO NOTHING"
    };
    let values = values![name, claim.owner.host.as_str(), claim.lives_us];
    tx.execute(register, values).await?;
    for lease in of_owner(tx, name).await? {
        if !claim.holds(&lease) {
            hand_back(tx, name, &lease).await?;
        }
    }
    if claim.at_most == 0 {
        return Ok(Vec::new());
    }
    let rows = query(
        tx,
        concat!(
            "WITH ",
            free!(),
            ", picked AS (
               SELECT e.service, e.environment FROM environments e
               JOIN free f ON f.service = e.service AND f.environment = e.environment
               WHERE e.epoch = f.epoch
               ORDER BY f.needs_room, f.turn, f.service_us, f.served_us, f.service, f.environment
               LIMIT $5 FOR UPDATE OF e SKIP LOCKED)
             UPDATE environments e SET owner = $4, epoch = e.epoch + 1,
               served_us = (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT
             FROM picked p WHERE p.service = e.service AND p.environment = e.environment
             RETURNING e.service, e.environment, e.epoch"
        ),
        values![
            claim.now_us / 1000,
            claim.owner.host.as_str(),
            bound(claim),
            name,
            i64::try_from(claim.at_most).unwrap_or(i64::MAX),
        ],
    )
    .await?;
    Ok(leases(rows))
}

fn bound(claim: &Claim) -> i64 {
    i64::try_from(claim.per_environment).unwrap_or(i64::MAX)
}

async fn hand_back(tx: &mut dyn Sql, name: &str, lease: &Lease) -> Result<(), Fault> {
    tx.execute(
        "UPDATE environments SET owner = NULL
         WHERE service = $1 AND environment = $2 AND epoch = $3 AND owner = $4",
        values![
            lease.scope.service.as_str(),
            lease.scope.environment.as_str(),
            i64::try_from(lease.epoch).unwrap_or(i64::MAX),
            name,
        ],
    )
    .await
    .map(drop)
}

/// Answers what the owner has; nothing once it was taken for dead.
pub(crate) async fn renew(
    tx: &mut dyn Sql,
    owner: &Owner,
    lives_us: i64,
) -> Result<Vec<Lease>, Fault> {
    let renewed = tx
        .execute(
            "UPDATE workers SET until = clock_timestamp() + $2 * INTERVAL '1 microsecond'
             WHERE name = $1",
            values![owner.name.as_str(), lives_us],
        )
        .await?;
    if renewed == 0 {
        return Ok(Vec::new());
    }
    of_owner(tx, &owner.name).await
}

/// Its scopes are free with it.
pub(crate) async fn resign(tx: &mut dyn Sql, owner: &Owner) -> Result<(), Fault> {
    let gone = "DELETE FROM workers WHERE name = $1";
    tx.execute(gone, values![owner.name.as_str()])
        .await
        .map(drop)
}
