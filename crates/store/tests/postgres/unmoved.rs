//! Streams that a plan counts on: their rows are locked while it is written down, before all others.

use crate::support::postgres::{Database, with_deployments};
use crate::support::{LONG, batch, deployment, scope, signal};
use belay_engine::ports::{Batch, Store, StoreError, Writer};
use belay_model::environment::Event;
use belay_model::id::{EVERY, Scope, ServiceName};
use belay_store::PostgresStore;
use belay_testbed::Version;
use std::sync::Arc;

fn every_service() -> Scope {
    Scope {
        service: ServiceName::new(EVERY),
        ..scope("0")
    }
}

fn decided_on(nth: usize, unmoved: Vec<(Scope, u64)>) -> Batch {
    Batch {
        unmoved,
        ..batch(
            &deployment(&nth.to_string()),
            Writer::Anyone,
            vec![signal("x")],
        )
    }
}

async fn freeze(store: &PostgresStore, scope: &Scope) {
    let frozen = Event::Frozen {
        actor: Some("ada".to_owned()),
        reason: "the big day".to_owned(),
        until_ms: None,
    };
    let said = store.append_environment(scope, None, vec![(1, frozen)]);
    said.await.unwrap();
}

#[tokio::test]
async fn who_counts_on_a_stream_waits_for_who_writes_it_and_for_nobody_else() {
    let database = Database::new(Version::V15).await;
    let store = Arc::new(database.open().await);
    with_deployments(&store, 1).await;
    freeze(&store, &every_service()).await;
    let append = {
        let store = store.clone();
        move |seen| {
            let store = store.clone();
            let plan = decided_on(0, vec![(every_service(), seen)]);
            tokio::spawn(tokio::time::timeout(LONG, async move {
                store.append(plan).await
            }))
        }
    };
    let row = "SELECT 1 FROM environments WHERE service = '*'";
    let mut other = database.connect().await;
    // Another worker's plan.
    let shared = sqlx::AssertSqlSafe(format!("BEGIN; {row} FOR SHARE"));
    sqlx::raw_sql(shared).execute(&mut other).await.unwrap();
    let entries = append(1).await.unwrap().expect("it does not wait");
    assert_eq!(entries.unwrap()[0].seq, 2);
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    // A freeze that is about to be said.
    let written = sqlx::AssertSqlSafe(format!("BEGIN; {row} FOR UPDATE"));
    sqlx::raw_sql(written).execute(&mut other).await.unwrap();
    let waiting = append(1);
    while database.count("FOR SHARE OF e").await == 0 {
        tokio::task::yield_now().await;
    }
    sqlx::raw_sql("UPDATE environments SET head_seq = head_seq + 1 WHERE service = '*'; COMMIT")
        .execute(&mut other)
        .await
        .unwrap();
    let stale = waiting.await.unwrap().expect("it goes on");
    assert!(matches!(stale, Err(StoreError::Stale(_))), "{stale:?}");
}
