//! The tables: made by many at once, refused when they are newer, and what they refuse.

use crate::support::postgres::{Database, with_deployments};
use crate::support::{deployment, scope};
use belay_engine::ports::{Store, StoreError};
use belay_store::{PostgresOptions, PostgresStore};
use belay_testbed::Version;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_processes_may_start_at_once() {
    for version in [Version::V15, Version::V18] {
        let database = Database::new(version).await;
        let openers: Vec<_> = (0..8)
            .map(|n| {
                let url = database.url.clone();
                tokio::spawn(async move {
                    let store = PostgresStore::open(PostgresOptions::new(url))
                        .await
                        .unwrap();
                    let id = deployment(&n.to_string());
                    let created = crate::support::created("shop");
                    store.create(&id, 1, created, vec![], 8).await.unwrap();
                })
            })
            .collect();
        for opener in openers {
            opener.await.unwrap();
        }
        assert_eq!(database.open().await.open().await.unwrap().len(), 8);
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let database = Database::new(Version::V15).await;
    database.open().await;
    database
        .sql(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
              VALUES (9999, 'later', true, '', 0)",
        )
        .await
        .unwrap();
    let newer = PostgresStore::open(PostgresOptions::new(&database.url)).await;
    let newer = newer.err().unwrap();
    assert!(
        matches!(&newer, StoreError::Newer(why) if why.contains("9999")),
        "{newer}"
    );
}

#[tokio::test]
async fn stored_events_cannot_be_changed() {
    let database = Database::new(Version::V15).await;
    let store = database.open().await;
    with_deployments(&store, 1).await;
    store
        .append_environment(&scope("0"), None, vec![crate::support::recorded("0", 1)])
        .await
        .unwrap();
    for forbidden in [
        "UPDATE events SET body = 'x'",
        "DELETE FROM events",
        "TRUNCATE events",
        "UPDATE environment_events SET at_us = 0",
        "DELETE FROM environment_events",
        "TRUNCATE environment_events",
    ] {
        let refused = database.sql(forbidden).await.unwrap_err().to_string();
        assert!(
            refused.contains("never rewritten"),
            "{forbidden}: {refused}"
        );
    }
    assert!(store.check().await.unwrap().is_empty());
    // Where someone did all the same, it shows: that they could, and what they did.
    database
        .sql("ALTER TABLE events DISABLE TRIGGER events_no_change; UPDATE events SET at_us = 77")
        .await
        .unwrap();
    let found = store.check().await.unwrap();
    assert!(found[0].contains("events_no_change"), "{found:?}");
    assert!(found[1].starts_with("event 1 of dep_0"), "{found:?}");
    let altered = store.events(&deployment("0"), 0).await;
    assert!(
        matches!(altered, Err(StoreError::Damaged(_))),
        "{altered:?}"
    );
}

#[tokio::test]
async fn connections_are_set_up_for_what_is_promised() {
    let database = Database::new(Version::V18).await;
    database
        .sql("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); END $$")
        .await
        .unwrap();
    let store = database.open().await;
    with_deployments(&store, 1).await;
    database
        .sql(
            "CREATE TABLE seen (name TEXT, setting TEXT);
             CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               INSERT INTO seen SELECT name, setting FROM pg_settings;
               RETURN NULL;
             END $$;
             CREATE TRIGGER look AFTER INSERT ON evidence FOR EACH ROW EXECUTE FUNCTION look()",
        )
        .await
        .unwrap();
    let evidence = belay_engine::ports::Evidence {
        step: belay_model::id::StepId { plan: 1, index: 1 },
        at_us: 1,
        cursor: String::new(),
        counts: serde_json::Value::Null,
    };
    store
        .evidence(&deployment("0"), vec![evidence])
        .await
        .unwrap();
    let mut connection = database.connect().await;
    for (name, expected) in [
        ("synchronous_commit", "on"),
        ("application_name", "belay"),
        ("transaction_isolation", "read committed"),
        ("lock_timeout", "10000"),
        ("statement_timeout", "20000"),
        ("idle_in_transaction_session_timeout", "10000"),
        ("tcp_keepalives_idle", "10"),
    ] {
        let (setting,): (String,) = sqlx::query_as("SELECT setting FROM seen WHERE name = $1")
            .bind(name)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(setting, expected, "{name}");
    }
}

/// What is progress, and what is nobody's business after a crash.
#[tokio::test]
async fn progress_is_cut_pruned_and_not_logged() {
    let database = Database::new(Version::V15).await;
    let store = database.open().await;
    let id = deployment("a");
    store.progress(&id, 1, "with \0 in it").await.unwrap();
    store.progress(&id, 5, &"é".repeat(4_000)).await.unwrap();
    let lines = store.progress_of(&id, 0).await.unwrap();
    assert_eq!(lines[0].2, "with \u{fffd} in it");
    assert_eq!(lines[1].2.len(), 4096);
    assert_eq!(store.prune_progress(5).await.unwrap(), 1);
    let mut connection = database.connect().await;
    let (kind,): (String,) =
        sqlx::query_as("SELECT relpersistence::text FROM pg_class WHERE relname = 'progress'")
            .fetch_one(&mut connection)
            .await
            .unwrap();
    assert_eq!(kind, "u");
}
