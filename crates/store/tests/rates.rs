//! How many appends a store takes when 200 want to at once: a measurement, not a test.
//! `cargo test --release -p belay-store --test rates -- --ignored --nocapture`

mod support;

use belay_engine::ports::{Store, Writer};
use belay_testbed::Version;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::postgres::Database;
use support::{batch, created, deployment, signal};

const APPENDERS: usize = 200;
const LONG_ENOUGH: Duration = Duration::from_secs(5);

async fn measure(name: &str, store: Arc<dyn Store>) {
    for n in 0..APPENDERS {
        let created = created(&n.to_string());
        let id = deployment(&n.to_string());
        store.create(&id, 1, created, vec![], 1).await.unwrap();
    }
    let begun = Instant::now();
    let appenders: Vec<_> = (0..APPENDERS)
        .map(|n| {
            let (store, id) = (store.clone(), deployment(&n.to_string()));
            tokio::spawn(async move {
                let one = batch(&id, Writer::Anyone, vec![signal(&"x".repeat(200))]);
                let (mut count, mut slowest) = (0_u32, Duration::ZERO);
                while begun.elapsed() < LONG_ENOUGH && count < 8_000 {
                    let sent = Instant::now();
                    store.append(one.clone()).await.unwrap();
                    slowest = slowest.max(sent.elapsed());
                    count += 1;
                }
                (count, slowest)
            })
        })
        .collect();
    let (mut count, mut slowest) = (0, Duration::ZERO);
    for appender in appenders {
        let (its, its_slowest) = appender.await.unwrap();
        count += its;
        slowest = slowest.max(its_slowest);
    }
    let rate = f64::from(count) / begun.elapsed().as_secs_f64();
    println!("{name}: {rate:.0} appends/s, slowest {slowest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn appends_per_second() {
    let root = tempfile::tempdir().unwrap();
    measure("SQLite", Arc::new(support::open(root.path()).await)).await;
    for (name, version) in [
        ("PostgreSQL 15", Version::V15),
        ("PostgreSQL 18", Version::V18),
    ] {
        let database = Database::new(version).await;
        measure(name, Arc::new(database.open().await)).await;
    }
}
