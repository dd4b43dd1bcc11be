//! The tables: made by many at once, refused when they are newer, and what they refuse.

use crate::support::postgres::{Database, with_deployments};
use crate::support::{deployment, scope};
use belay_engine::ports::{Store, StoreError};
use belay_model::event::Event;
use belay_store::{OpenError, PostgresOptions, PostgresStore, Tables};
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

/// A server that greets as PostgreSQL 14 does, and says nothing more.
fn old_server() -> u16 {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = [0; 4];
        stream.read_exact(&mut asked).unwrap();
        let mut rest = vec![0; u32::from_be_bytes(asked) as usize - 4];
        stream.read_exact(&mut rest).unwrap();
        if rest == 80_877_103_u32.to_be_bytes() {
            // Whether it speaks TLS: no. Then it is asked as usual.
            stream.write_all(b"N").unwrap();
            stream.read_exact(&mut asked).unwrap();
            let mut rest = vec![0; u32::from_be_bytes(asked) as usize - 4];
            stream.read_exact(&mut rest).unwrap();
        }
        let mut greeting = b"R\0\0\0\x08\0\0\0\0S\0\0\0\x18server_version\x0014.5\0".to_vec();
        greeting.extend(b"Z\0\0\0\x05I");
        stream.write_all(&greeting).unwrap();
        let _ = stream.read(&mut asked);
    });
    port
}

#[tokio::test]
async fn an_old_server_is_refused() {
    let url = format!("postgres://belay@127.0.0.1:{}/x", old_server());
    let opened = PostgresStore::connect(PostgresOptions::new(url), Tables::Made).await;
    let refused = opened.err().unwrap();
    assert!(matches!(refused, OpenError::TooOld(_)), "{refused}");
    assert!(refused.to_string().contains("PostgreSQL 14"), "{refused}");
}

#[tokio::test]
async fn who_only_looks_makes_no_tables_and_nobody_changes_old_ones_unasked() {
    let database = Database::new(Version::V15).await;
    let connect = |tables| PostgresStore::connect(PostgresOptions::new(&database.url), tables);
    let found = connect(Tables::Found).await.err();
    assert!(matches!(found, Some(OpenError::NoTables)), "{found:?}");
    connect(Tables::Made).await.unwrap();
    connect(Tables::Found).await.unwrap();
    // As a store of an older version.
    database
        .sql("DELETE FROM _sqlx_migrations WHERE version > 0; INSERT INTO _sqlx_migrations
              (version, description, success, checksum, execution_time) VALUES (0, 'before', true, '', 0)")
        .await
        .unwrap();
    for tables in [Tables::Found, Tables::Made] {
        let old = connect(tables).await.err();
        assert!(
            matches!(old, Some(OpenError::OldTables { found: 0, .. })),
            "{old:?}"
        );
    }
}

#[tokio::test]
async fn what_is_left_is_said_for_the_workers_of_a_host() {
    let database = Database::new(Version::V15).await;
    let store = database.open().await;
    for (service, host) in [("0", Some("here")), ("1", Some("there")), ("2", None)] {
        let mut created = crate::support::created(service);
        let Event::Created(inputs) = &mut created else {
            panic!("created")
        };
        let record = inputs.record.as_mut().expect("a record");
        record.targets[0].host = host.map(str::to_owned);
        let id = deployment(service);
        store.create(&id, 1, created, vec![], 1).await.unwrap();
        let kept = store.host_of(&id).await.unwrap();
        assert_eq!(kept.as_deref(), host);
    }
    for (host, open) in [("here", 2), ("there", 2), ("elsewhere", 1)] {
        assert_eq!(store.work(host).await.unwrap().open, open, "{host}");
    }
}
