//! Connections that are secured as the URL asks, or not made.

use crate::support::LONG;
use crate::support::postgres::{Database, sql_at, with_deployments};
use belay_engine::ports::Store;
use belay_store::{OpenError, PostgresOptions, PostgresStore, Tables};
use belay_testbed::{Authority, Postgres, Version};
use std::path::Path;

/// A server that is called `localhost`, and whose authority that is.
struct Secured {
    authority: Authority,
    _server: Postgres,
    database: Database,
}

impl Secured {
    /// With `needs_clients`: only clients whom the authority knows are let in.
    async fn start(version: Version, needs_clients: bool) -> Self {
        let mut server = Postgres::start(version).unwrap();
        let authority = Authority::new().unwrap();
        let database = Database::on(&server).await;
        let identity = authority.server("DNS:localhost").unwrap();
        let clients = authority.certificate();
        server
            .secure(&identity, needs_clients.then_some(&*clients))
            .unwrap();
        Self {
            authority,
            _server: server,
            database,
        }
    }

    /// The same database, with the name that is in the certificate.
    fn url(&self, query: &str) -> String {
        format!(
            "{}?{query}",
            self.database.url.replace("127.0.0.1", "localhost")
        )
    }
}

fn root(authority: &Authority) -> String {
    format!("sslrootcert={}", authority.certificate().display())
}

async fn open(url: &str) -> Result<PostgresStore, OpenError> {
    PostgresStore::connect(PostgresOptions::new(url), Tables::Migrated).await
}

/// Opens, writes, reads and listens; answers how many connections there are, and how many of them are secured.
async fn connections(url: &str, name: &str) -> (i64, i64) {
    let store = open(url).await.unwrap_or_else(|e| panic!("{url}: {e}"));
    with_deployments(&store, 1).await;
    assert!(!store.health().await.unwrap().is_empty());
    store.generation();
    let options: sqlx::postgres::PgConnectOptions = url.parse().unwrap();
    let mut us = sqlx::ConnectOptions::connect(&options).await.unwrap();
    let all =
        "SELECT COUNT(*), COUNT(*) FILTER (WHERE ssl), COUNT(*) FILTER (WHERE query LIKE 'LISTEN%')
         FROM pg_stat_activity JOIN pg_stat_ssl USING (pid)
         WHERE application_name = 'belay' AND datname = current_database()";
    let listens = async {
        loop {
            let row: (i64, i64, i64) = sqlx::query_as(all).fetch_one(&mut us).await.unwrap();
            if row.2 > 0 {
                return (row.0, row.1);
            }
            tokio::task::yield_now().await;
        }
    };
    let counted = tokio::time::timeout(LONG, listens).await.expect(name);
    store.close().await;
    counted
}

#[tokio::test]
async fn every_connection_is_secured_as_it_is_asked_for() {
    for version in [Version::V15, Version::V18] {
        let secured = Secured::start(version, false).await;
        let root = root(&secured.authority);
        for query in [
            "",
            "sslmode=prefer",
            "sslmode=require",
            &format!("sslmode=require&{root}"),
            &format!("sslmode=verify-ca&{root}"),
            &format!("sslmode=verify-full&{root}"),
        ] {
            sql_at(
                &secured.url("sslmode=require"),
                "DROP SCHEMA public CASCADE; CREATE SCHEMA public",
            )
            .await;
            let (all, safe) = connections(&secured.url(query), query).await;
            assert!(all >= 3 && safe == all, "{query}: {safe} of {all}");
        }
        // Another name than the certificate's, which only the strictest one minds.
        let by_address = format!("{}?sslmode=verify-ca&{root}", secured.database.url);
        open(&by_address).await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_is_not_trusted_is_told_nothing() {
    let secured = Secured::start(Version::V15, false).await;
    let own = root(&secured.authority);
    let other = Authority::new().unwrap();
    let other = root(&other);
    let by_address = |query: &str| format!("{}?{query}", secured.database.url);
    let cases = [
        (
            secured.url(&format!("sslmode=require&{other}")),
            "no authority",
        ),
        (
            secured.url(&format!("sslmode=verify-ca&{other}")),
            "no authority",
        ),
        (
            secured.url(&format!("sslmode=verify-full&{other}")),
            "no authority",
        ),
        (secured.url("sslmode=verify-full"), "no authority"),
        (
            by_address(&format!("sslmode=verify-full&{own}")),
            "not for 127.0.0.1, but for",
        ),
    ];
    for (url, why) in cases {
        let refused = open(&url).await.err();
        let is_so = matches!(&refused, Some(OpenError::Untrusted(said)) if said.contains(why));
        assert!(is_so, "{url}: {refused:?}");
    }
    let refused = open(&secured.url("sslmode=disable")).await.err();
    let is_so =
        matches!(&refused, Some(OpenError::Unreachable(said)) if said.contains("no encryption"));
    assert!(is_so, "{refused:?}");
}

#[tokio::test]
async fn a_server_without_tls_is_used_only_where_that_is_allowed() {
    let database = Database::new(Version::V15).await;
    let (authority, url) = (Authority::new().unwrap(), &database.url);
    let root = root(&authority);
    for query in [
        "sslmode=require",
        &format!("sslmode=verify-ca&{root}"),
        &format!("sslmode=verify-full&{root}"),
    ] {
        let refused = open(&format!("{url}?{query}")).await.err();
        assert!(
            matches!(refused, Some(OpenError::NoTls)),
            "{query}: {refused:?}"
        );
    }
    for query in ["", "sslmode=prefer", "sslmode=disable"] {
        let (all, safe) = connections(&format!("{url}?{query}"), query).await;
        assert!(all >= 3 && safe == 0, "{query}: {safe} of {all}");
        database
            .sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn clients_have_certificates_where_the_server_wants_them() {
    let secured = Secured::start(Version::V15, true).await;
    let root = root(&secured.authority);
    let shown = |path: &Path| path.display().to_string();
    let with = |own: &belay_testbed::Identity| {
        let (certificate, key) = (shown(&own.certificate), shown(&own.key));
        secured.url(&format!(
            "sslmode=verify-full&{root}&sslcert={certificate}&sslkey={key}"
        ))
    };
    let ours = secured.authority.client("belay").unwrap();
    let (all, safe) = connections(&with(&ours), "with a certificate").await;
    assert!(all >= 3 && safe == all, "{safe} of {all}");
    let nobody = secured.authority.client("nobody").unwrap();
    for (url, why) in [
        (
            secured.url(&format!("sslmode=verify-full&{root}")),
            "certificate",
        ),
        (with(&nobody), "certificate authentication failed"),
    ] {
        let refused = open(&url).await.err();
        let is_so = matches!(&refused, Some(OpenError::Unreachable(said)) if said.contains(why));
        assert!(is_so, "{refused:?}");
    }
    let other = Authority::new().unwrap();
    let stranger = other.client("belay").unwrap();
    let refused = open(&with(&stranger)).await.err();
    let is_so = matches!(&refused, Some(OpenError::Certificates(said)) if said.contains("the server refuses ours"));
    assert!(is_so, "{refused:?}");
}
