//! The archive: journals of deployments that ended long ago lie elsewhere, and nobody who reads them notices.

mod support;

use belay_engine::ports::{Batch, Store, StoreError, Writer};
use belay_model::environment::{Event as Moved, Standing};
use belay_model::event::{Entry, Event};
use belay_model::id::DeploymentId;
use belay_store::{AnyStore, ArtifactOptions, Artifacts, PostgresOptions, PostgresStore, Tables};
use belay_testbed::Version;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::path::Path;
use support::postgres::Database;
use support::{created, deployment, ended, record, scope, signal};

const DAY: i64 = 24 * 60 * 60 * 1_000_000;

/// Where a store is, and a way to it beside the store.
enum Place {
    Sqlite(tempfile::TempDir),
    Postgres(Database),
}

impl Place {
    async fn all() -> [Place; 3] {
        [
            Place::Sqlite(tempfile::tempdir().unwrap()),
            Place::Postgres(Database::new(Version::V15).await),
            Place::Postgres(Database::new(Version::V18).await),
        ]
    }

    async fn open(&self) -> AnyStore {
        match self {
            Place::Sqlite(dir) => support::open(dir.path()).await.any(),
            Place::Postgres(database) => database.open().await.any(),
        }
    }

    async fn sql(&self, sql: &'static str) -> Result<(), sqlx::Error> {
        match self {
            Place::Sqlite(dir) => support::sql(dir.path(), sql).await,
            Place::Postgres(database) => database.sql(sql).await,
        }
    }

    /// As `sql`, with nothing that guards the journal.
    async fn tamper(&self, sql: &'static str) {
        let (before, after) = match self {
            Place::Sqlite(_) => (
                "DROP TRIGGER archived_events_no_update; DROP TRIGGER archived_events_no_delete",
                "SELECT 1",
            ),
            Place::Postgres(_) => (
                "ALTER TABLE archived_events DISABLE TRIGGER USER",
                "ALTER TABLE archived_events ENABLE TRIGGER USER",
            ),
        };
        for sql in [before, sql, after] {
            self.sql(sql).await.unwrap();
        }
    }
}

async fn append(store: &AnyStore, id: &DeploymentId, at_us: i64, events: Vec<Event>) {
    let batch = Batch {
        deployment: id.clone(),
        writer: Writer::Anyone,
        events: events.into_iter().map(|event| (at_us, event)).collect(),
        environment: Vec::new(),
        unmoved: Vec::new(),
    };
    store.append(batch).await.unwrap();
}

/// A deployment of three events that began and ended on that day.
async fn over(store: &AnyStore, name: &str, day: i64) -> DeploymentId {
    let id = deployment(name);
    let made = store.create(&id, day * DAY, created("shop"), vec![], 100);
    made.await.unwrap();
    append(store, &id, day * DAY, vec![signal(name), ended()]).await;
    id
}

/// Whose journals lie in a table, as far as a copy of the store shows.
async fn lie_in(store: &AnyStore, table: &str) -> Vec<String> {
    let mut lines = Vec::new();
    belay_store::export(store, &mut lines).await.unwrap();
    let lines = String::from_utf8(lines).unwrap();
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str::<Map<String, Value>>(line).unwrap());
    let mut names: Vec<_> = lines
        .filter(|line| line["table"] == table && line["seq"] == 1)
        .map(|line| line["deployment"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

async fn journals(store: &AnyStore, ids: &[DeploymentId]) -> Vec<Vec<Entry>> {
    let mut journals = Vec::new();
    for id in ids {
        journals.push(store.events(id, 0).await.unwrap());
    }
    journals
}

#[tokio::test]
async fn what_ended_long_ago_goes_and_is_read_as_before() {
    for place in Place::all().await {
        let store = place.open().await;
        // The second began before the bound and ended after it; the third is open.
        let old = over(&store, "a", 1).await;
        let lasting = deployment("b");
        let made = store.create(&lasting, DAY, created("shop"), vec![], 100);
        made.await.unwrap();
        let open = deployment("c");
        let made = store.create(&open, DAY, created("shop"), vec![], 100);
        made.await.unwrap();
        append(&store, &lasting, 80 * DAY, vec![signal("b"), ended()]).await;
        let young = over(&store, "d", 75).await;
        let ids = [old.clone(), lasting, open, young];
        let (before, listed) = (
            journals(&store, &ids).await,
            store.history(&scope("shop"), 10).await.unwrap(),
        );

        // Of 100 days 30 are kept whole.
        assert_eq!(store.archive(100 * DAY, 30, 0).await.unwrap(), 1);
        assert_eq!(lie_in(&store, "archived_events").await, ["dep_a"]);
        assert_eq!(lie_in(&store, "events").await, ["dep_b", "dep_c", "dep_d"]);
        assert_eq!(journals(&store, &ids).await, before);
        assert_eq!(store.events(&old, 2).await.unwrap(), before[0][2..]);
        assert_eq!(store.history(&scope("shop"), 10).await.unwrap(), listed);
        assert_eq!(store.check().await.unwrap(), [""; 0]);
        assert_eq!(store.archive(100 * DAY, 30, 0).await.unwrap(), 0, "once");
        // What has ended is not taken up again, wherever it lies.
        let late = Batch {
            deployment: old.clone(),
            writer: Writer::Anyone,
            events: vec![(1, signal("late"))],
            environment: Vec::new(),
            unmoved: Vec::new(),
        };
        let refused = store.append(late).await;
        assert!(
            matches!(refused, Err(StoreError::Missing(_))),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn what_a_rollback_may_need_stays() {
    for place in Place::all().await {
        let store = place.open().await;
        for name in ["a", "b", "c", "d", "e", "f"] {
            over(&store, name, 1).await;
        }
        let recorded = |number| Moved::Recorded {
            record: Box::new(record("shop", number)),
        };
        let hash = |number| record("shop", number).hash();
        let serves = |number, name| Moved::Serves {
            record: Some(hash(number)),
            deployment: deployment(name),
        };
        let stands = |number, standing, name| Moved::Stands {
            record: hash(number),
            standing,
            deployment: Some(deployment(name)),
            actor: None,
            reason: None,
        };
        // `a` put out what was rolled back, `b` what is good, `c` brought that back, `d` owes a clean-up.
        let events = vec![
            recorded(1),
            serves(1, "a"),
            stands(1, Standing::Quarantined, "a"),
            recorded(2),
            serves(2, "b"),
            stands(2, Standing::Good, "b"),
            serves(2, "c"),
            Moved::CleanupDue {
                deployment: deployment("d"),
                record: hash(3),
                due_ms: 0,
            },
        ];
        let events = events.into_iter().map(|event| (DAY, event)).collect();
        store
            .append_environment(&scope("shop"), None, events)
            .await
            .unwrap();

        // The newest one stays, too.
        assert_eq!(store.archive(100 * DAY, 30, 1).await.unwrap(), 2);
        assert_eq!(lie_in(&store, "archived_events").await, ["dep_a", "dep_e"]);
        let done = vec![(99 * DAY, Moved::CleanupDone { record: hash(3) })];
        store
            .append_environment(&scope("shop"), None, done)
            .await
            .unwrap();
        assert_eq!(store.archive(100 * DAY, 30, 0).await.unwrap(), 2);
        assert_eq!(lie_in(&store, "events").await, ["dep_b", "dep_c"]);
    }
}

#[tokio::test]
async fn an_archive_is_not_rewritten_and_where_someone_did_it_shows() {
    for place in Place::all().await {
        let store = place.open().await;
        over(&store, "a", 1).await;
        over(&store, "b", 1).await;
        store.archive(100 * DAY, 30, 1).await.unwrap();
        let mut forbidden = vec![
            "UPDATE archived_events SET at_us = 0",
            "DELETE FROM archived_events",
            // Only what is in the archive may go, as it is there.
            "DELETE FROM events WHERE seq = 3",
            "BEGIN; INSERT INTO archived_events
               SELECT deployment, seq, at_us, format, 'another', hash FROM events;
             DELETE FROM events; COMMIT",
        ];
        if matches!(place, Place::Postgres(_)) {
            forbidden.push("TRUNCATE archived_events");
        }
        for sql in forbidden {
            let refused = place.sql(sql).await.unwrap_err().to_string();
            assert!(refused.contains("never rewritten"), "{sql}: {refused}");
        }
    }
}

#[tokio::test]
async fn the_chain_is_checked_across_the_archive() {
    let cases = [
        (
            "UPDATE archived_events SET body = replace(body, '\"a\"', '\"x\"') WHERE seq = 2",
            "event 2 of dep_a: its content does not fit its hash",
        ),
        (
            "DELETE FROM archived_events WHERE seq = 3",
            "event 3 of dep_a: it is missing at the end",
        ),
        (
            "DELETE FROM archived_events",
            "event 1 of dep_a: it is missing at the end",
        ),
        (
            "INSERT INTO events SELECT deployment, seq, at_us, format, body, hash FROM archived_events",
            "event 1 of dep_a: it is there twice",
        ),
    ];
    for (tamper, found) in cases {
        for place in Place::all().await {
            let store = place.open().await;
            over(&store, "a", 1).await;
            assert_eq!(store.archive(100 * DAY, 30, 0).await.unwrap(), 1);
            assert_eq!(store.check().await.unwrap(), [""; 0]);
            place.tamper(tamper).await;
            assert_eq!(store.check().await.unwrap(), [found], "{tamper}");
        }
    }
}

#[tokio::test]
async fn what_fails_in_the_middle_has_moved_nothing() {
    for place in Place::all().await {
        let store = place.open().await;
        let ids = [over(&store, "a", 1).await, over(&store, "b", 1).await];
        let before = journals(&store, &ids).await;
        // The second one cannot leave.
        let break_it = match &place {
            Place::Sqlite(_) => {
                "CREATE TRIGGER broken BEFORE DELETE ON events WHEN OLD.deployment = 'dep_b'
                 BEGIN SELECT RAISE(ABORT, 'broken'); END"
            }
            Place::Postgres(_) => {
                "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS
                   'BEGIN RAISE EXCEPTION ''broken''; END';
                 CREATE TRIGGER broken BEFORE DELETE ON events FOR EACH ROW
                   WHEN (OLD.deployment = 'dep_b') EXECUTE FUNCTION broken()"
            }
        };
        place.sql(break_it).await.unwrap();
        let refused = store.archive(100 * DAY, 30, 0).await;
        assert!(refused.is_err(), "{refused:?}");
        assert_eq!(lie_in(&store, "archived_events").await, [""; 0]);
        assert_eq!(lie_in(&store, "events").await, ["dep_a", "dep_b"]);
        assert_eq!(journals(&store, &ids).await, before);
        let mend = match &place {
            Place::Sqlite(_) => "DROP TRIGGER broken",
            Place::Postgres(_) => "DROP TRIGGER broken ON events",
        };
        place.sql(mend).await.unwrap();
        assert_eq!(store.archive(100 * DAY, 30, 0).await.unwrap(), 2);
        assert_eq!(journals(&store, &ids).await, before);
        assert_eq!(store.check().await.unwrap(), [""; 0]);
    }
}

/// Portions of a thousand events, and a journal with more than that.
#[tokio::test]
async fn long_journals_go_in_portions() {
    let place = Place::Sqlite(tempfile::tempdir().unwrap());
    let store = place.open().await;
    let mut ids = Vec::new();
    for (name, events) in [("a", 400), ("b", 300), ("c", 1_500), ("d", 2)] {
        let id = deployment(name);
        let made = store.create(&id, DAY, created("shop"), vec![], 100);
        made.await.unwrap();
        let mut all = vec![signal("again"); events];
        all.push(ended());
        append(&store, &id, DAY, all).await;
        ids.push(id);
    }
    let before = journals(&store, &ids).await;
    let commits = store.stats().commits;
    assert_eq!(store.archive(100 * DAY, 30, 0).await.unwrap(), 4);
    // The first two together.
    assert_eq!(store.stats().commits - commits, 3);
    assert_eq!(lie_in(&store, "archived_events").await.len(), 4);
    assert_eq!(journals(&store, &ids).await, before);
    assert_eq!(store.check().await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn two_workers_move_each_journal_once() {
    let database = Database::new(Version::V15).await;
    let stores = [database.open().await.any(), database.open().await.any()];
    let mut ids = Vec::new();
    for n in 0..40 {
        ids.push(over(&stores[0], &n.to_string(), 1).await);
    }
    let before = journals(&stores[0], &ids).await;
    let [one, two] = &stores;
    let moved = tokio::join!(one.archive(100 * DAY, 30, 0), two.archive(100 * DAY, 30, 0));
    assert_eq!(moved.0.unwrap() + moved.1.unwrap(), 40);
    assert_eq!(journals(one, &ids).await, before);
    assert_eq!(lie_in(one, "events").await, [""; 0]);
    assert_eq!(one.check().await.unwrap(), [""; 0]);
}

/// As a backup was written before there was an archive: the same lines under another number.
fn of_the_first_form(backup: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(backup.to_vec()).unwrap();
    let (body, end) = text.trim_end().rsplit_once('\n').unwrap();
    let body = body.replace("{\"belay_backup\":2}", "{\"belay_backup\":1}") + "\n";
    let mut end: Map<String, Value> = serde_json::from_str(end).unwrap();
    let sum = hex::encode(Sha256::digest(&body));
    end.insert("sha256".to_owned(), sum.into());
    format!("{body}{}\n", Value::Object(end)).into_bytes()
}

async fn restored(to: &Place, backup: &[u8], dir: &Path) -> AnyStore {
    let store = to.open().await;
    let artifacts = Artifacts::open(dir, ArtifactOptions::default()).unwrap();
    let copied = belay_store::restore(&store, &artifacts, &mut &*backup).await;
    assert_eq!(copied.unwrap().deployments, 2);
    store
}

#[tokio::test]
async fn copies_carry_the_archive() {
    let dir = tempfile::tempdir().unwrap();
    for place in Place::all().await {
        let store = place.open().await;
        let ids = [over(&store, "a", 1).await, over(&store, "b", 99).await];
        let before = journals(&store, &ids).await;
        let mut old = Vec::new();
        belay_store::backup(&store, None, &mut old).await.unwrap();
        store.archive(100 * DAY, 30, 0).await.unwrap();
        let mut new = Vec::new();
        belay_store::backup(&store, None, &mut new).await.unwrap();
        for to in Place::all().await {
            let store = restored(&to, &new, dir.path()).await;
            assert_eq!(lie_in(&store, "archived_events").await, ["dep_a"]);
            assert_eq!(journals(&store, &ids).await, before);
            assert_eq!(store.check().await.unwrap(), [""; 0]);
        }
        let to = Place::Sqlite(tempfile::tempdir().unwrap());
        let store = restored(&to, &of_the_first_form(&old), dir.path()).await;
        assert_eq!(lie_in(&store, "events").await, ["dep_a", "dep_b"]);
        assert_eq!(journals(&store, &ids).await, before);
    }
}

/// A store as the version before had it.
async fn is_old(place: &Place) {
    let undo = match place {
        Place::Sqlite(_) => {
            "DROP TABLE archived_events; DROP INDEX events_begun; DROP TRIGGER events_no_delete;
             CREATE TRIGGER events_no_delete BEFORE DELETE ON events
             BEGIN SELECT RAISE(ABORT, 'the journal is never rewritten'); END;
             DELETE FROM _sqlx_migrations WHERE version = 3"
        }
        Place::Postgres(_) => {
            "DROP TABLE archived_events; DROP INDEX events_begun; DROP TRIGGER events_no_change ON events;
             DROP FUNCTION journal_only_moves_to_the_archive;
             CREATE TRIGGER events_no_change BEFORE UPDATE OR DELETE ON events
               FOR EACH ROW EXECUTE FUNCTION journal_is_never_rewritten();
             DELETE FROM _sqlx_migrations WHERE version = 3"
        }
    };
    place.sql(undo).await.unwrap();
}

#[tokio::test]
async fn a_store_from_before_gets_an_archive() {
    for place in Place::all().await {
        let store = place.open().await;
        let ids = [over(&store, "a", 1).await];
        let before = journals(&store, &ids).await;
        store.close().await;
        is_old(&place).await;
        let store = match &place {
            Place::Sqlite(_) => place.open().await,
            Place::Postgres(database) => {
                let open =
                    |tables| PostgresStore::connect(PostgresOptions::new(&database.url), tables);
                assert!(open(Tables::Made).await.is_err(), "nobody asked for it");
                open(Tables::Migrated).await.unwrap().any()
            }
        };
        assert_eq!(journals(&store, &ids).await, before);
        assert_eq!(store.archive(100 * DAY, 30, 0).await.unwrap(), 1);
        assert_eq!(journals(&store, &ids).await, before);
        assert_eq!(store.check().await.unwrap(), [""; 0]);
    }
}
