//! Whether the server keeps what it acknowledges, and is what it seems to be.

use super::Postgres;
use super::connection::connect;
use super::error::store_error;
use super::options::Purpose;
use crate::database::Health;
use belay_engine::ports::StoreError;
use sqlx::Connection;

/// What is asked in one statement: settings that lose commits, and replicas.
const SETTINGS: &str = "SELECT current_setting('fsync'), current_setting('full_page_writes'),
    current_setting('synchronous_standby_names'), pg_is_in_recovery(),
    (SELECT COUNT(*) FROM pg_stat_replication WHERE sync_state = 'async'),
    (SELECT COUNT(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum'))";

pub(super) async fn health(database: &Postgres) -> Result<Vec<Health>, StoreError> {
    let mut connection = database
        .readers
        .acquire()
        .await
        .map_err(|e| store_error(&e))?;
    let row: (String, String, String, bool, i64, i64) = sqlx::query_as(SETTINGS)
        .fetch_one(&mut *connection)
        .await
        .map_err(|e| store_error(&e))?;
    let (fsync, pages, names, is_replica, alone, together) = row;
    let mut found = Vec::new();
    let mut say = |about, ok, text: &str| {
        let text = text.to_owned();
        found.push(Health { about, ok, text });
    };
    match is_replica {
        false => say("server", true, "it is a primary"),
        true => say(
            "server",
            false,
            "it is a replica and takes no writes: name the primary",
        ),
    }
    match (fsync.as_str(), pages.as_str()) {
        ("on", "on") => say("durability", true, "what is committed is on its disk"),
        ("on", _) => say(
            "durability",
            false,
            "full_page_writes is off: a crash of the machine may destroy the store; set it to on",
        ),
        _ => say(
            "durability",
            false,
            "fsync is off: a crash of the machine loses what was acknowledged; set it to on",
        ),
    }
    match (alone, together, names.is_empty()) {
        (0, 0, true) => say("replicas", true, "there are none"),
        (_, 0, false) => say(
            "replicas",
            false,
            "synchronous_standby_names is set and no synchronous replica is connected: commits wait for one",
        ),
        (_, _, true) => say(
            "replicas",
            false,
            &format!(
                "{alone} asynchronous: if one is promoted, it lacks events that were acknowledged; name one in synchronous_standby_names, or never promote one"
            ),
        ),
        (0, _, false) => say("replicas", true, "all that are connected are synchronous"),
        (_, _, false) => say(
            "replicas",
            true,
            &format!(
                "{together} synchronous, {alone} asynchronous: promote a synchronous one only"
            ),
        ),
    }
    let ssl = "SELECT CASE WHEN ssl THEN version END FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let secured: Option<(Option<String>,)> = sqlx::query_as(ssl)
        .fetch_optional(&mut *connection)
        .await
        .map_err(|e| store_error(&e))?;
    match secured.and_then(|(version,)| version) {
        Some(version) => say("encryption", true, &version),
        None => say(
            "encryption",
            true,
            "none: right for this machine or a network that you trust, else set sslmode=verify-full",
        ),
    }
    // A pooler that lends sessions by the transaction gives one connection two of them, or two connections one.
    let mut other = connect(&database.server, Purpose::Read).await?;
    let mut pids = Vec::new();
    for nth in 0..3 {
        let connection = if nth == 1 {
            &mut other
        } else {
            &mut *connection
        };
        let pid: (i32,) = sqlx::query_as("SELECT pg_backend_pid()")
            .fetch_one(connection)
            .await
            .map_err(|e| store_error(&e))?;
        pids.push(pid.0);
    }
    let _ = other.close().await;
    match pids[0] == pids[2] && pids[0] != pids[1] {
        true => say("connection", true, "it is a session of its own"),
        false => say(
            "connection",
            false,
            "a pooler changes the session between statements: name the server itself, or set the pooler to session mode",
        ),
    }
    Ok(found)
}
