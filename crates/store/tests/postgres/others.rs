//! Others at the same time: deadlocks, serialisation failures, locks that are kept.

use crate::support::postgres::{Database, with_deployments};
use crate::support::{LONG, batch, created, deployment, signal};
use belay_engine::ports::{Store, Writer};
use belay_testbed::Version;
use std::sync::Arc;

#[tokio::test]
async fn a_deadlock_is_tried_again() {
    let database = Database::new(Version::V15).await;
    // Who waits for this long looks, once, whether it waits in a circle: the store does, when the other one waits, too.
    database
        .sql("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET deadlock_timeout = 5000', current_database()); END $$")
        .await
        .unwrap();
    let store = Arc::new(database.open().await);
    with_deployments(&store, 1).await;
    let id = deployment("0");
    // The other one takes the rows in the wrong order.
    let mut other = database.connect().await;
    sqlx::raw_sql("SET deadlock_timeout = '10min'; BEGIN; SELECT 1 FROM deployments FOR UPDATE")
        .execute(&mut other)
        .await
        .unwrap();
    let appending = {
        let (store, id) = (store.clone(), id.clone());
        let one = batch(&id, Writer::Anyone, vec![signal("x")]);
        tokio::spawn(async move { store.append(one).await })
    };
    let mut looking = database.connect().await;
    loop {
        let (waits,): (i64,) = sqlx::query_as(
            "SELECT COUNT(*) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'belay' AND wait_event_type = 'Lock'",
        )
        .fetch_one(&mut looking)
        .await
        .unwrap();
        if waits == 1 {
            break;
        }
    }
    sqlx::raw_sql("SELECT 1 FROM environments FOR UPDATE")
        .execute(&mut other)
        .await
        .expect("the store gave way");
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    let entries = tokio::time::timeout(LONG, appending)
        .await
        .expect("in time");
    assert_eq!(entries.unwrap().unwrap()[0].seq, 2);
    assert_eq!(store.events(&id, 0).await.unwrap().len(), 2);
    assert!(store.check().await.unwrap().is_empty());
}

#[tokio::test]
async fn serialisation_failures_are_tried_again() {
    let database = Database::new(Version::V18).await;
    let store = database.open().await;
    with_deployments(&store, 1).await;
    // Sequences count what was rolled back, too.
    database
        .sql(
            "CREATE SEQUENCE failures;
             CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
               IF nextval('failures') <= 4 THEN
                 RAISE EXCEPTION 'provoked' USING ERRCODE = 'serialization_failure';
               END IF;
               RETURN NEW;
             END $$;
             CREATE TRIGGER fails BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION fails()",
        )
        .await
        .unwrap();
    let id = deployment("0");
    let append = || store.append(batch(&id, Writer::Anyone, vec![signal("x")]));
    assert_eq!(append().await.unwrap()[0].seq, 2);
    // And not for ever.
    database
        .sql("ALTER SEQUENCE failures RESTART WITH -1000000 MINVALUE -1000000")
        .await
        .unwrap();
    let refused = append().await.unwrap_err().to_string();
    assert!(refused.contains("again and again"), "{refused}");
    assert_eq!(store.events(&id, 0).await.unwrap().len(), 2);
}

/// Many stores, each with groups of requests to many scopes at once: nobody waits for each other in a circle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_of_many_scopes_do_not_deadlock() {
    let database = Database::new(Version::V18).await;
    let stores = [
        database.open().await,
        database.open().await,
        database.open().await,
    ];
    with_deployments(&stores[0], 24).await;
    let stores = stores.map(Arc::new);
    let tasks: Vec<_> = (0..144)
        .map(|task: usize| {
            let store = stores[task % 3].clone();
            tokio::spawn(async move {
                for n in 0..6 {
                    let id = deployment(&((task + 7 * n) % 24).to_string());
                    let one = batch(&id, Writer::Anyone, vec![signal("x")]);
                    store.append(one).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let mut connection = database.connect().await;
    let (deadlocks,): (i64,) =
        sqlx::query_as("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
            .fetch_one(&mut connection)
            .await
            .unwrap();
    assert_eq!(deadlocks, 0);
    let mut events = 0;
    for n in 0..24 {
        let id = deployment(&n.to_string());
        events += stores[1].events(&id, 0).await.unwrap().len();
    }
    assert_eq!(events, 24 + 144 * 6);
    let requests: u64 = stores.iter().map(|store| store.stats().requests).sum();
    let commits: u64 = stores.iter().map(|store| store.stats().commits).sum();
    assert!(
        commits < requests,
        "{commits} commits for {requests} requests"
    );
}

#[tokio::test]
async fn a_refused_request_takes_no_other_with_it() {
    let database = Database::new(Version::V18).await;
    let mut options = belay_store::PostgresOptions::new(&database.url);
    options.writers = 1;
    let store = belay_store::PostgresStore::open(options).await.unwrap();
    let ids: Vec<_> = (0..8).map(|n| deployment(&n.to_string())).collect();
    for id in &ids {
        store
            .create(id, 1, created("shop"), vec![], 8)
            .await
            .unwrap();
    }
    // Its first event is fine, its second is not: both have to go, and nobody else's.
    let long = "x".repeat(1 << 20);
    let append = |n: usize| {
        let mut events = vec![signal("good")];
        if n % 3 == 2 {
            events.push(signal(&long));
        }
        store.append(batch(&ids[n], Writer::Anyone, events))
    };
    let before = store.stats();
    let (a, b, c, d, e, f) = tokio::join!(
        append(0),
        append(1),
        append(2),
        append(3),
        append(4),
        append(5)
    );
    let answers = [a, b, c, d, e, f];
    let after = store.stats();
    assert!(after.commits - before.commits < 5, "some were one group");
    for (n, answer) in answers.into_iter().enumerate() {
        let stored = store.events(&ids[n], 0).await.unwrap().len();
        let good = n % 3 != 2;
        assert_eq!(
            (answer.is_ok(), stored),
            (good, 1 + usize::from(good)),
            "{n}"
        );
    }
    assert!(store.check().await.unwrap().is_empty());
}
