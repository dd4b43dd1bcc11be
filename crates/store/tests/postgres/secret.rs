//! The password in the URL is in no error and in no log.

use crate::support::postgres::{Database, with_deployments};
use belay_engine::ports::Store;
use belay_store::{PostgresOptions, PostgresStore};
use belay_testbed::Version;
use std::io::Write;
use std::sync::{Arc, Mutex};
use tracing_subscriber::fmt::MakeWriter;

const PASSWORD: &str = "correct-horse";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Log;

    fn make_writer(&'a self) -> Log {
        self.clone()
    }
}

#[tokio::test]
async fn the_password_is_never_said() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let database = Database::new(Version::V15).await;
    let good = database
        .url
        .replace("belay@", &format!("belay:{PASSWORD}@"));
    let nobody = good.replace("belay:", "nobody:");
    let elsewhere = format!("postgres://belay:{PASSWORD}@127.0.0.1:1/x");
    let bad = [
        good.clone() + "-not-there",
        nobody,
        elsewhere.clone(),
        elsewhere.replace(":1/", ":port/"),
        elsewhere.replace("127.0.0.1", "[::"),
        elsewhere.replace("127.0.0.1", "no such host"),
        elsewhere.replace("postgres://", ""),
        format!("{elsewhere}?passwrod={PASSWORD}"),
        format!("{elsewhere}?sslmode={PASSWORD}"),
        format!("{elsewhere}?{PASSWORD}"),
        format!("{good}?sslmode=require"),
    ];
    for url in bad {
        let options = PostgresOptions::new(&url);
        let shown = format!("{options:?}");
        assert!(!shown.contains(PASSWORD), "{shown}");
        let error = PostgresStore::open(options).await.err();
        let error = error.unwrap_or_else(|| panic!("{url} was taken"));
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(PASSWORD), "{shown}");
    }
    let store = PostgresStore::open(PostgresOptions::new(&good))
        .await
        .unwrap();
    with_deployments(&store, 1).await;
    database.terminate("").await;
    store.changed(store.generation()).await;
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("sqlx"), "the log is looked at");
    assert!(!log.contains(PASSWORD), "{log}");
}
