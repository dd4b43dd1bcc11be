//! Reading: everything the port asks for, each in one statement, so that each answer is one consistent moment. What
//! is read of a journal or a stream is checked against its hash chain: nothing is decided on an altered one.

use crate::chain;
use crate::error::unreadable;
use crate::journal::MAX_EVENTS;
use crate::sql::{Sql, optional, query, values};
use belay_engine::ports::{Evidence, Head, MAX_PLANNED, StoreError};
use belay_model::environment;
use belay_model::event;
use belay_model::id::{DeploymentId, EnvironmentName, ReleaseNumber, Scope, ServiceName, StepId};
use belay_model::release::Release;
use belay_model::summary::Summary;
use serde::de::DeserializeOwned;

/// An entry's row: position, time, format, body, hash, and the position at which its chain ends.
type EntryRow = (i64, i64, i64, String, String, Option<i64>);

pub(crate) async fn events(
    tx: &mut dyn Sql,
    id: &DeploymentId,
    after: u64,
) -> Result<Vec<event::Entry>, StoreError> {
    let place = values![id.as_str(), position(after)];
    let mut rows: Vec<EntryRow> = query(
        tx,
        "SELECT seq, at_us, format, body, hash,
           (SELECT head_seq FROM deployments WHERE id = $1)
         FROM events WHERE deployment = $1 AND seq >= $2 ORDER BY seq",
        place,
    )
    .await?;
    if rows.is_empty() {
        // A journal is wholly here or there, and never comes back: two statements see it as one would.
        rows = query(
            tx,
            "SELECT seq, at_us, format, body, hash,
               (SELECT head_seq FROM deployments WHERE id = $1)
             FROM archived_events WHERE deployment = $1 AND seq >= $2 ORDER BY seq",
            place,
        )
        .await?;
    }
    let root = chain::root_of_deployment(id);
    let (_, rows) = chained(rows, after, event::FORMAT, root, id)?;
    let entries = rows.into_iter().map(|(seq, at_us, format, body, ..)| {
        let what = || format!("event {seq} of {id}");
        Ok(event::Entry {
            seq: seq.unsigned_abs(),
            at_us,
            format: known_format(format, event::FORMAT, what)?,
            event: parse(&body, what)?,
        })
    });
    entries.collect()
}

/// A part of an environment's stream, with the hashes of the entries that it follows and that it ends with.
pub(crate) struct Stretch {
    pub(crate) follows: String,
    pub(crate) entries: Vec<environment::Entry>,
    pub(crate) last: String,
}

pub(crate) async fn environment(
    tx: &mut dyn Sql,
    scope: &Scope,
    after: u64,
) -> Result<Stretch, StoreError> {
    let rows: Vec<EntryRow> = query(
        tx,
        "SELECT seq, at_us, format, body, hash,
           (SELECT head_seq FROM environments WHERE service = $1 AND environment = $2)
         FROM environment_events
         WHERE service = $1 AND environment = $2 AND seq >= $3 ORDER BY seq",
        values![
            scope.service.as_str(),
            scope.environment.as_str(),
            position(after)
        ],
    )
    .await?;
    let (follows, rows) = chained(rows, after, 1, chain::root_of_scope(scope), scope)?;
    let last = rows
        .last()
        .map_or_else(|| follows.clone(), |row| row.4.clone());
    let entries = rows.into_iter().map(|(seq, at_us, format, body, ..)| {
        let what = || format!("event {seq} of {scope}");
        Ok(environment::Entry {
            seq: seq.unsigned_abs(),
            at_us,
            format: known_format(format, 1, what)?,
            event: parse(&body, what)?,
        })
    });
    Ok(Stretch {
        follows,
        entries: entries.collect::<Result<_, StoreError>>()?,
        last,
    })
}

pub(crate) async fn scopes(tx: &mut dyn Sql) -> Result<Vec<Scope>, StoreError> {
    let rows: Vec<(String, String)> = query(
        tx,
        "SELECT service, environment FROM environments WHERE head_seq > 0
         UNION SELECT service, environment FROM deployments ORDER BY 1, 2",
        values![],
    )
    .await?;
    let scopes = rows.into_iter().map(|(service, environment)| Scope {
        service: ServiceName::new(service),
        environment: EnvironmentName::new(environment),
    });
    Ok(scopes.collect())
}

pub(crate) async fn open(tx: &mut dyn Sql) -> Result<Vec<Summary>, StoreError> {
    let rows = query(
        tx,
        "SELECT summary FROM deployments WHERE ended = 0 ORDER BY created_seq",
        values![],
    )
    .await?;
    summaries(rows)
}

pub(crate) async fn heads(tx: &mut dyn Sql) -> Result<Vec<Head>, StoreError> {
    let rows: Vec<(String, String, String, i64)> = query(
        tx,
        "SELECT service, environment, id, head_seq FROM deployments
         WHERE ended = 0 ORDER BY created_seq",
        values![],
    )
    .await?;
    let heads = rows
        .into_iter()
        .map(|(service, environment, id, seq)| Head {
            scope: Scope {
                service: ServiceName::new(service),
                environment: EnvironmentName::new(environment),
            },
            deployment: DeploymentId::new(id),
            seq: seq.unsigned_abs(),
        });
    Ok(heads.collect())
}

pub(crate) async fn summary(
    tx: &mut dyn Sql,
    id: &DeploymentId,
) -> Result<Option<Summary>, StoreError> {
    let rows: Vec<(String,)> = query(
        tx,
        "SELECT summary FROM deployments WHERE id = $1",
        values![id.as_str()],
    )
    .await?;
    Ok(summaries(rows)?.pop())
}

pub(crate) async fn oldest_open(
    tx: &mut dyn Sql,
    scope: &Scope,
) -> Result<Option<Summary>, StoreError> {
    let rows = query(
        tx,
        "SELECT summary FROM deployments
         WHERE service = $1 AND environment = $2 AND ended = 0 ORDER BY created_seq LIMIT 1",
        values![scope.service.as_str(), scope.environment.as_str()],
    )
    .await?;
    Ok(summaries(rows)?.pop())
}

pub(crate) async fn history(
    tx: &mut dyn Sql,
    scope: &Scope,
    limit: usize,
) -> Result<Vec<Summary>, StoreError> {
    let rows: Vec<(String,)> = query(
        tx,
        "SELECT summary FROM deployments WHERE service = $1 AND environment = $2
         ORDER BY created_seq DESC LIMIT $3",
        values![
            scope.service.as_str(),
            scope.environment.as_str(),
            i64::try_from(limit).unwrap_or(i64::MAX)
        ],
    )
    .await?;
    summaries(rows)
}

pub(crate) async fn epoch(tx: &mut dyn Sql, id: &DeploymentId) -> Result<u64, StoreError> {
    let row: Option<(i64,)> = optional(
        tx,
        "SELECT e.epoch FROM deployments d
         JOIN environments e ON e.service = d.service AND e.environment = d.environment
         WHERE d.id = $1",
        values![id.as_str()],
    )
    .await?;
    let (epoch,) = row.ok_or_else(|| StoreError::Missing(format!("deployment {id}")))?;
    Ok(epoch.unsigned_abs())
}

pub(crate) async fn evidence(
    tx: &mut dyn Sql,
    id: &DeploymentId,
) -> Result<Vec<Evidence>, StoreError> {
    let rows: Vec<(String, i64, String, String)> = query(
        tx,
        "SELECT step, at_us, cursor, counts FROM evidence WHERE deployment = $1 ORDER BY seq",
        values![id.as_str()],
    )
    .await?;
    let what = || format!("evidence of {id}");
    let evidence = rows.into_iter().map(|(step, at_us, cursor, counts)| {
        let step: StepId = serde_json::from_value(serde_json::Value::String(step))
            .map_err(|e| unreadable(what(), &e))?;
        let counts = parse(&counts, what)?;
        Ok(Evidence {
            step,
            at_us,
            cursor,
            counts,
        })
    });
    evidence.collect()
}

pub(crate) async fn release(
    tx: &mut dyn Sql,
    service: &ServiceName,
    number: ReleaseNumber,
) -> Result<Option<Release>, StoreError> {
    let row: Option<(String,)> = optional(
        tx,
        "SELECT body FROM releases WHERE service = $1 AND number = $2",
        values![service.as_str(), i64::from(number.0)],
    )
    .await?;
    let what = || format!("release {number} of {service}");
    row.map(|(body,)| parse(&body, what)).transpose()
}

pub(crate) async fn releases(
    tx: &mut dyn Sql,
    service: &ServiceName,
) -> Result<Vec<Release>, StoreError> {
    let rows: Vec<(String,)> = query(
        tx,
        "SELECT body FROM releases WHERE service = $1 ORDER BY number DESC",
        values![service.as_str()],
    )
    .await?;
    let what = || format!("a release of {service}");
    rows.iter().map(|(body,)| parse(body, what)).collect()
}

/// Releases of all services.
pub(crate) async fn all_releases(tx: &mut dyn Sql) -> Result<Vec<Release>, StoreError> {
    let rows: Vec<(String,)> = query(
        tx,
        "SELECT body FROM releases ORDER BY service, number",
        values![],
    )
    .await?;
    let what = || "a release".to_owned();
    rows.iter().map(|(body,)| parse(body, what)).collect()
}

/// The sealed bytes of a blob.
pub(crate) async fn blob(tx: &mut dyn Sql, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let row: Option<(Vec<u8>,)> =
        optional(tx, "SELECT sealed FROM blobs WHERE id = $1", values![id]).await?;
    Ok(row.map(|(sealed,)| sealed))
}

/// What is larger than anything that was ever accepted (I11), one line each.
pub(crate) async fn over_bounds(tx: &mut dyn Sql) -> Result<Vec<String>, StoreError> {
    let mut found = Vec::new();
    let many: Vec<(String, i64)> = query(
        tx,
        "SELECT deployment, COUNT(*) FROM
           (SELECT deployment FROM events UNION ALL SELECT deployment FROM archived_events) AS every
         GROUP BY deployment HAVING COUNT(*) > $1
         ORDER BY deployment",
        values![MAX_EVENTS],
    )
    .await?;
    for (id, count) in many {
        found.push(format!("{id} has {count} events, {MAX_EVENTS} may be"));
    }
    let large: Vec<(String, i64)> = query(
        tx,
        "SELECT deployment, seq FROM events WHERE LENGTH(body) > $1
         UNION ALL SELECT deployment, seq FROM archived_events WHERE LENGTH(body) > $1
         ORDER BY deployment, seq",
        values![i64::try_from(MAX_PLANNED).unwrap_or(i64::MAX)],
    )
    .await?;
    for (id, seq) in large {
        found.push(format!(
            "event {seq} of {id} has more than {MAX_PLANNED} bytes"
        ));
    }
    Ok(found)
}

/// Whose workers a deployment is for.
pub(crate) async fn host(
    tx: &mut dyn Sql,
    id: &DeploymentId,
) -> Result<Option<String>, StoreError> {
    let row: Option<(Option<String>,)> = optional(
        tx,
        "SELECT host FROM deployments WHERE id = $1",
        values![id.as_str()],
    )
    .await?;
    Ok(row.and_then(|(host,)| host))
}

/// A fact kept under a name.
pub(crate) async fn meta(tx: &mut dyn Sql, name: &str) -> Result<Option<String>, StoreError> {
    let row: Option<(String,)> =
        optional(tx, "SELECT value FROM meta WHERE name = $1", values![name]).await?;
    Ok(row.map(|(value,)| value))
}

/// All deployments, in the order of their creation.
pub(crate) async fn deployments(tx: &mut dyn Sql) -> Result<Vec<DeploymentId>, StoreError> {
    let rows: Vec<(String,)> = query(
        tx,
        "SELECT id FROM deployments ORDER BY created_seq",
        values![],
    )
    .await?;
    Ok(rows
        .into_iter()
        .map(|(id,)| DeploymentId::new(id))
        .collect())
}

/// The rows after a position and the hash that they follow, when each links to the one before and the last is the last.
fn chained(
    mut rows: Vec<EntryRow>,
    after: u64,
    newest: u16,
    root: String,
    of: &dyn std::fmt::Display,
) -> Result<(String, Vec<EntryRow>), StoreError> {
    let broken = |seq: i64, why: &str| {
        StoreError::Damaged(format!(
            "event {seq} of {of} was altered: {why}; nothing was changed: keep a copy of `.belay`, and restore `belay.db` from a backup"
        ))
    };
    let mut expected = position(after);
    let mut previous = root;
    if after > 0 {
        // The row that the first one links to.
        if rows.first().is_none_or(|row| row.0 != expected) {
            return Err(broken(expected, "it is missing"));
        }
        previous = rows.remove(0).4;
    }
    let follows = previous.clone();
    for (seq, at_us, format, body, hash, head) in &rows {
        expected += 1;
        if *seq != expected {
            return Err(broken(expected, "it is missing"));
        }
        // A newer version may link in another way.
        known_format(*format, newest, || format!("event {seq} of {of}"))?;
        if chain::link(&previous, *seq, *at_us, *format, body) != *hash {
            return Err(broken(*seq, "its content does not fit its hash"));
        }
        previous.clone_from(hash);
        if head.is_none_or(|head| head < *seq) {
            return Err(broken(*seq, "it was added past the end"));
        }
    }
    match rows.last() {
        Some((seq, .., Some(head))) if seq < head => Err(broken(seq + 1, "it is missing")),
        _ => Ok((follows, rows)),
    }
}

fn position(after: u64) -> i64 {
    i64::try_from(after).unwrap_or(i64::MAX)
}

fn summaries(rows: Vec<(String,)>) -> Result<Vec<Summary>, StoreError> {
    let what = || "a summary".to_owned();
    rows.iter().map(|(summary,)| parse(summary, what)).collect()
}

fn parse<T: DeserializeOwned>(body: &str, what: impl Fn() -> String) -> Result<T, StoreError> {
    serde_json::from_str(body).map_err(|e| unreadable(what(), &e))
}

/// Old formats are read for ever, newer ones never guessed at.
fn known_format(format: i64, newest: u16, what: impl Fn() -> String) -> Result<u16, StoreError> {
    match u16::try_from(format) {
        Ok(format) if (1..=newest).contains(&format) => Ok(format),
        Ok(format) if format > newest => {
            Err(StoreError::Newer(format!("{} has format {format}", what())))
        }
        _ => Err(StoreError::Damaged(format!(
            "{} has format {format}",
            what()
        ))),
    }
}
