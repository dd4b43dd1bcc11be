//! Streams that a plan counts on: their rows are locked while it is written down, before all others.

use crate::support::postgres::{Database, with_deployments};
use crate::support::{LONG, batch, deployment, scope, signal};
use belay_engine::ports::{Batch, Store, StoreError, Writer};
use belay_model::environment::Event;
use belay_model::id::{EVERY, EnvironmentName, Scope, ServiceName};
use belay_store::{PostgresOptions, PostgresStore};
use belay_testbed::Version;
use sqlx::PgConnection;
use std::sync::Arc;
use tokio::task::JoinHandle;

fn every_service() -> Scope {
    Scope {
        service: ServiceName::new(EVERY),
        ..scope("0")
    }
}

/// It comes behind all deployments here where rows are sorted by name.
fn every_environment() -> Scope {
    Scope {
        environment: EnvironmentName::new(EVERY),
        ..scope("zoo")
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

/// A transaction of somebody else that has a row.
struct Holder {
    connection: PgConnection,
    pid: i32,
}

impl Holder {
    async fn of(database: &Database, scope: &Scope) -> Self {
        let mut connection = database.connect().await;
        sqlx::raw_sql("BEGIN")
            .execute(&mut connection)
            .await
            .unwrap();
        let row = sqlx::query_as(
            "SELECT pg_backend_pid() FROM environments
             WHERE service = $1 AND environment = $2 FOR UPDATE",
        );
        let row = row
            .bind(scope.service.as_str())
            .bind(scope.environment.as_str());
        let (pid,) = row.fetch_one(&mut connection).await.unwrap();
        Self { connection, pid }
    }

    /// Resolves when someone waits for it.
    async fn is_waited_for(&self, database: &Database) {
        let mut other = database.connect().await;
        loop {
            let waiting = sqlx::query_as(
                "SELECT COUNT(*) FROM pg_stat_activity WHERE $1 = ANY(pg_blocking_pids(pid))",
            );
            let (waiting,): (i64,) = waiting.bind(self.pid).fetch_one(&mut other).await.unwrap();
            if waiting > 0 {
                return;
            }
        }
    }

    async fn lets_go(mut self) {
        sqlx::raw_sql("ROLLBACK")
            .execute(&mut self.connection)
            .await
            .unwrap();
    }
}

/// Whether nobody has the row of a scope, not even to share it.
async fn is_free(database: &Database, scope: &Scope) -> bool {
    let row = sqlx::query(
        "SELECT 1 FROM environments WHERE service = $1 AND environment = $2 FOR UPDATE NOWAIT",
    );
    let row = row
        .bind(scope.service.as_str())
        .bind(scope.environment.as_str());
    match row.fetch_one(&mut database.connect().await).await {
        Ok(_) => true,
        Err(error) => {
            let code = error.as_database_error().and_then(|it| it.code());
            assert_eq!(code.as_deref(), Some("55P03"), "{error}");
            false
        }
    }
}

/// A plan that counts on that, and a freeze of another scope, written in one transaction: the only writer was busy when they
/// came.
async fn in_one_transaction(
    database: &Database,
    store: &Arc<PostgresStore>,
    counts_on: Vec<(Scope, u64)>,
    frozen: Scope,
) -> JoinHandle<()> {
    let busy = Holder::of(database, &scope("1")).await;
    let append = |batch| {
        let store = store.clone();
        tokio::spawn(async move { store.append(batch).await.map(drop) })
    };
    let first = append(decided_on(1, Vec::new()));
    busy.is_waited_for(database).await;
    let plan = append(decided_on(0, counts_on));
    let freeze = {
        let store = store.clone();
        tokio::spawn(async move { freeze(&store, &frozen).await })
    };
    // Each is sent before its first pause.
    tokio::task::yield_now().await;
    busy.lets_go().await;
    tokio::spawn(async move {
        first.await.unwrap().unwrap();
        plan.await.unwrap().unwrap();
        freeze.await.unwrap();
    })
}

/// As all take them in one order, nobody waits for somebody who waits for them.
#[tokio::test]
async fn rows_that_stand_for_several_come_before_all_others_in_the_order_of_locks() {
    let database = Database::new(Version::V15).await;
    let options = PostgresOptions {
        writers: 1,
        ..PostgresOptions::new(&database.url)
    };
    let store = Arc::new(PostgresStore::open(options).await.unwrap());
    with_deployments(&store, 2).await;
    freeze(&store, &every_environment()).await;
    freeze(&store, &every_service()).await;
    let orders = async {
        // Shared, and then its own.
        let holder = Holder::of(&database, &every_environment()).await;
        let plan = {
            let (store, plan) = (store.clone(), decided_on(0, vec![(every_environment(), 1)]));
            tokio::spawn(async move { store.append(plan).await.map(drop) })
        };
        holder.is_waited_for(&database).await;
        assert!(is_free(&database, &scope("0")).await, "shared first");
        holder.lets_go().await;
        plan.await.unwrap().unwrap();

        // Written, and then its own.
        let holder = Holder::of(&database, &every_environment()).await;
        let both = in_one_transaction(&database, &store, Vec::new(), every_environment()).await;
        holder.is_waited_for(&database).await;
        assert!(is_free(&database, &scope("0")).await, "written first");
        holder.lets_go().await;
        both.await.unwrap();

        // One of them written and another one only counted on: none is shared, or there would be two orders.
        let holder = Holder::of(&database, &every_service()).await;
        let counts_on = vec![(every_environment(), 2)];
        let both = in_one_transaction(&database, &store, counts_on, every_service()).await;
        holder.is_waited_for(&database).await;
        for other in [every_environment(), scope("0")] {
            assert!(
                is_free(&database, &other).await,
                "{other} before {}",
                every_service()
            );
        }
        holder.lets_go().await;
        both.await.unwrap();
    };
    tokio::time::timeout(LONG, orders).await.unwrap();
}
