//! Connections that end in the middle of a transaction, and at its commit.

use crate::proxy::{At, Proxy};
use crate::support::postgres::{Database, with_deployments};
use crate::support::{LONG, batch, deployment, recorded, scope, signal};
use belay_engine::ports::{Store, StoreError, Writer};
use belay_store::{PostgresOptions, PostgresStore};
use belay_testbed::Version;
use std::sync::Arc;
use std::time::Duration;

/// A store whose way to its database can lose commits, and one whose way is straight.
async fn through_proxy() -> (Database, Proxy, PostgresStore) {
    let database = Database::new(Version::V18).await;
    let (host, path) = database.url.split_once('@').unwrap();
    let (address, name) = path.split_once('/').unwrap();
    let port = address.split_once(':').unwrap().1.parse().unwrap();
    let proxy = Proxy::to(port).await;
    let url = format!("{host}@127.0.0.1:{}/{name}", proxy.port);
    let store = PostgresStore::open(PostgresOptions::new(url))
        .await
        .unwrap();
    (database, proxy, store)
}

async fn one_commit_is_lost(at: At, expect_kept: bool) {
    let (database, proxy, store) = through_proxy().await;
    with_deployments(&store, 1).await;
    let id = deployment("0");
    // Equal to the last bit to one that was there before: the journal alone could not tell them apart.
    let mut twin = batch(&id, Writer::Anyone, vec![signal("the same")]);
    twin.environment = vec![recorded("0", 1)];
    store.append(twin.clone()).await.unwrap();
    proxy.lose(at);
    let answer = store.append(twin.clone()).await;
    assert!(proxy.has_lost());
    let straight = database.open().await;
    let stored = straight.events(&id, 0).await.unwrap().len();
    if expect_kept {
        let entries = answer.unwrap();
        assert_eq!((entries[0].seq, stored), (3, 3));
    } else {
        assert!(
            matches!(answer, Err(StoreError::Unwritable(_))),
            "{answer:?}"
        );
        assert_eq!(stored, 2);
    }
    // It goes on by itself.
    store.append(twin).await.unwrap();
    let after = straight.events(&id, 0).await.unwrap().len();
    assert_eq!(after, stored + 1);
    let stream = straight.environment(&scope("0"), 0).await.unwrap();
    assert_eq!(stream.len(), after - 1);
    assert!(straight.check().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_commit_that_never_arrived_is_refused() {
    one_commit_is_lost(At::Before, false).await;
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_acknowledged() {
    one_commit_is_lost(At::After, true).await;
}

/// The old connection is still committing when we ask on a new one: we wait for it, whatever it comes to.
#[tokio::test]
async fn a_commit_that_takes_its_time_is_waited_for() {
    let (database, proxy, store) = through_proxy().await;
    with_deployments(&store, 1).await;
    slow_commits(&database).await;
    proxy.lose(At::During);
    let id = deployment("0");
    let entries = store
        .append(batch(&id, Writer::Anyone, vec![signal("slow")]))
        .await
        .unwrap();
    assert!(proxy.has_lost());
    assert_eq!(entries[0].seq, 2);
    assert_eq!(store.events(&id, 0).await.unwrap().len(), 2);
}

/// Journals that are on their way into the archive are wholly here or there.
#[tokio::test]
async fn a_move_into_the_archive_that_is_cut_off_has_happened_or_not() {
    for at in [At::Before, At::During, At::After] {
        let (database, proxy, store) = through_proxy().await;
        with_deployments(&store, 1).await;
        let id = deployment("0");
        let over = batch(
            &id,
            Writer::Anyone,
            vec![signal("a"), crate::support::ended()],
        );
        store.append(over).await.unwrap();
        let before = store.events(&id, 0).await.unwrap();
        proxy.lose(at);
        let moved = store.archive(i64::MAX, 30, 0).await;
        assert!(proxy.has_lost());
        assert_eq!(moved.is_ok(), at != At::Before, "{moved:?}");
        let straight = database.open().await;
        assert_eq!(straight.events(&id, 0).await.unwrap(), before);
        assert!(straight.check().await.unwrap().is_empty());
        let again = straight.archive(i64::MAX, 30, 0).await.unwrap();
        assert_eq!(again, u64::from(at == At::Before), "{at:?}");
        assert_eq!(straight.events(&id, 0).await.unwrap(), before);
        assert!(straight.check().await.unwrap().is_empty());
    }
}

/// Commits of events take a second from now on.
async fn slow_commits(database: &Database) {
    database
        .sql(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
               'BEGIN PERFORM pg_sleep(1); RETURN NULL; END';
             CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON events
               DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()",
        )
        .await
        .unwrap();
}

async fn terminated(text: &str, version: Version) {
    let database = Database::new(version).await;
    let store = Arc::new(database.open().await);
    with_deployments(&store, 1).await;
    let id = deployment("0");
    if text == "COMMIT" {
        slow_commits(&database).await;
    }
    let mut other = database.connect().await;
    if text != "COMMIT" {
        sqlx::raw_sql("BEGIN; SELECT 1 FROM deployments FOR UPDATE")
            .execute(&mut other)
            .await
            .unwrap();
    }
    let appending = {
        let (store, id) = (store.clone(), id.clone());
        tokio::spawn(async move {
            let one = batch(&id, Writer::Anyone, vec![signal("cut off")]);
            store.append(one).await
        })
    };
    let ended = async { while database.terminate(text).await == 0 {} };
    tokio::time::timeout(LONG, ended)
        .await
        .expect("it is there");
    let answer = tokio::time::timeout(LONG, appending).await;
    let answer = answer.expect("in time").unwrap();
    assert!(
        matches!(answer, Err(StoreError::Unwritable(_))),
        "{answer:?}"
    );
    drop(other);
    assert_eq!(store.events(&id, 0).await.unwrap().len(), 1);
    // Others may not have noticed yet that the locks of the one that was dropped are free.
    store
        .append(batch(&id, Writer::Anyone, vec![signal("again")]))
        .await
        .unwrap();
    assert_eq!(store.events(&id, 0).await.unwrap().len(), 2);
    assert!(store.check().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_connection_that_ends_in_a_transaction_leaves_nothing_of_it() {
    terminated("FROM deployments d\n         JOIN", Version::V15).await;
    terminated("FROM deployments d\n         JOIN", Version::V18).await;
}

#[tokio::test]
async fn a_connection_that_ends_before_its_commit_is_done_leaves_nothing_of_it() {
    terminated("COMMIT", Version::V15).await;
    terminated("COMMIT", Version::V18).await;
}

/// All connections end while nothing is asked of them: nobody sees anything of it.
#[tokio::test]
async fn idle_connections_are_made_again() {
    let database = Database::new(Version::V18).await;
    let store = database.open().await;
    with_deployments(&store, 1).await;
    let id = deployment("0");
    for n in 2..5 {
        let generation = store.generation();
        assert!(database.terminate("").await > 0);
        store
            .append(batch(&id, Writer::Anyone, vec![signal("x")]))
            .await
            .unwrap();
        assert_eq!(store.events(&id, 0).await.unwrap().len(), n);
        let woken = store.changed(generation);
        tokio::time::timeout(Duration::from_secs(5), woken)
            .await
            .expect("it returns");
    }
}
