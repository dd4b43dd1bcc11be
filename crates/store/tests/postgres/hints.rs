//! Commits of others: told of, and found by those whom nobody told.

use crate::support::postgres::{Database, with_deployments};
use crate::support::{LONG, batch, deployment, signal};
use belay_engine::ports::{Store, Writer};
use belay_store::{PostgresOptions, PostgresStore};
use belay_testbed::Version;
use std::time::Duration;

/// Longer than any test: what is noticed all the same was noticed in another way.
const NEVER: Duration = Duration::from_secs(24 * 3600);

async fn open(database: &Database, poll: Duration) -> PostgresStore {
    let options = PostgresOptions {
        poll,
        ..PostgresOptions::new(&database.url)
    };
    PostgresStore::open(options).await.unwrap()
}

/// Until something is noticed that was not known at `since`.
async fn noticed(store: &PostgresStore, since: u64) {
    let noticed = async {
        while store.generation() == since {
            store.changed(since).await;
        }
    };
    tokio::time::timeout(LONG, noticed).await.expect("noticed");
}

/// Until it has looked for the first time in each way, which counts as a change, too.
async fn listens(store: &PostgresStore, database: &Database) {
    let listens = async {
        store.generation();
        while database.count("LISTEN").await == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, listens)
        .await
        .expect("it listens");
    // What it notices of its own beginning is over when it has noticed nothing for a while.
    let mut since = store.generation();
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        if store.generation() == since {
            return;
        }
        since = store.generation();
    }
}

#[tokio::test]
async fn who_listens_is_told() {
    for version in [Version::V15, Version::V18] {
        let database = Database::new(version).await;
        let (ours, theirs) = (open(&database, NEVER).await, open(&database, NEVER).await);
        with_deployments(&ours, 1).await;
        listens(&theirs, &database).await;
        let since = theirs.generation();
        let said = batch(&deployment("0"), Writer::Anyone, vec![signal("x")]);
        ours.append(said).await.unwrap();
        noticed(&theirs, since).await;
        // It goes on after its connection ended.
        assert_eq!(database.terminate("LISTEN").await, 1);
        listens(&theirs, &database).await;
        let since = theirs.generation();
        let said = batch(&deployment("0"), Writer::Anyone, vec![signal("y")]);
        ours.append(said).await.unwrap();
        noticed(&theirs, since).await;
    }
}

#[tokio::test]
async fn who_is_not_told_finds_out() {
    let database = Database::new(Version::V15).await;
    let ours = open(&database, NEVER).await;
    let theirs = open(&database, Duration::from_millis(50)).await;
    with_deployments(&ours, 1).await;
    listens(&theirs, &database).await;
    let since = theirs.generation();
    // What a commit leaves whose notification was lost.
    let sql = "UPDATE writers SET commits = commits + 1 WHERE journal";
    database.sql(sql).await.unwrap();
    noticed(&theirs, since).await;
}
