//! One server of each version per test binary, one database per test.

use super::{LONG, deployment};
use belay_store::{PostgresOptions, PostgresStore};
use belay_testbed::{Postgres, Version};
use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// A database of its own on a server that is shared.
pub(crate) struct Database {
    pub(crate) url: String,
}

impl Database {
    pub(crate) async fn new(version: Version) -> Self {
        static SERVERS: [OnceLock<Postgres>; 2] = [OnceLock::new(), OnceLock::new()];
        let nth = usize::from(version == Version::V18);
        let server = tokio::task::spawn_blocking(move || {
            SERVERS[nth].get_or_init(|| Postgres::start(version).expect("a server"))
        });
        Self::on(server.await.expect("no panic")).await
    }

    /// A new database on a server.
    pub(crate) async fn on(server: &Postgres) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::SeqCst));
        let mut connection = connect(&server.url(Postgres::DATABASE)).await;
        let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::raw_sql(create)
            .execute(&mut connection)
            .await
            .expect("a database");
        connection.close().await.expect("closed");
        Self {
            url: server.url(&name),
        }
    }

    pub(crate) async fn open(&self) -> PostgresStore {
        let opened = PostgresStore::open(PostgresOptions::new(&self.url)).await;
        opened.expect("the store opens")
    }

    /// A connection of somebody else.
    pub(crate) async fn connect(&self) -> PgConnection {
        connect(&self.url).await
    }

    /// Does to the database what nobody may do through the store.
    pub(crate) async fn sql(&self, sql: &'static str) -> Result<(), sqlx::Error> {
        let mut connection = self.connect().await;
        sqlx::raw_sql(sql).execute(&mut connection).await.map(drop)
    }

    /// Connections of stores that run a statement containing `text`, or wait after it.
    pub(crate) async fn count(&self, text: &str) -> i64 {
        let mut connection = self.connect().await;
        let counted: (i64,) = sqlx::query_as(
            "SELECT COUNT(*) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'belay' AND query LIKE '%' || $1 || '%'",
        )
        .bind(text)
        .fetch_one(&mut connection)
        .await
        .expect("asked");
        counted.0
    }

    /// Ends the connections of stores that run a statement containing `text`, or wait after it; answers how many.
    pub(crate) async fn terminate(&self, text: &str) -> usize {
        let mut connection = self.connect().await;
        let ended: Vec<(bool,)> = sqlx::query_as(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()
               AND application_name = 'belay' AND query LIKE '%' || $1 || '%'",
        )
        .bind(text)
        .fetch_all(&mut connection)
        .await
        .expect("asked");
        ended.into_iter().filter(|(ended,)| *ended).count()
    }
}

/// The same, wherever that is.
pub(crate) async fn sql_at(url: &str, sql: &'static str) {
    let done = sqlx::raw_sql(sql).execute(&mut connect(url).await).await;
    done.expect("done");
}

async fn connect(url: &str) -> PgConnection {
    let options = PgConnectOptions::from_str(url)
        .expect("a URL")
        .application_name("test");
    let connecting = options.connect();
    let connected = tokio::time::timeout(LONG, connecting).await;
    connected.expect("in time").expect("a connection")
}

/// `n` deployments, each in a scope of its own.
pub(crate) async fn with_deployments(store: &PostgresStore, n: usize) {
    use belay_engine::ports::Store;
    for n in 0..n {
        let id = deployment(&n.to_string());
        let created = super::created(&n.to_string());
        store
            .create(&id, 1, created, vec![], 1)
            .await
            .expect("created");
    }
}
