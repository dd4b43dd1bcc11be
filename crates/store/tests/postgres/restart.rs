//! The server crashes while appenders run.

use crate::support::postgres::{Database, with_deployments};
use crate::support::{batch, deployment, signal};
use belay_engine::ports::{Store, StoreError, Writer};
use belay_model::event::Event;
use belay_testbed::{Postgres, Version};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// What was acknowledged is there once, what was refused is not there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_of_the_server_loses_and_repeats_nothing() {
    let mut server = Postgres::start(Version::V18).unwrap();
    let database = Database::on(&server).await;
    let stores = [
        Arc::new(database.open().await),
        Arc::new(database.open().await),
    ];
    with_deployments(&stores[0], 4).await;
    let stop = Arc::new(AtomicBool::new(false));
    let done = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..16)
        .map(|task: usize| {
            let (store, stop, done) = (stores[task % 2].clone(), stop.clone(), done.clone());
            let id = deployment(&(task % 4).to_string());
            tokio::spawn(async move {
                let (mut kept, mut refused) = (Vec::new(), Vec::new());
                for n in 0.. {
                    if stop.load(Ordering::SeqCst) {
                        break;
                    }
                    let text = format!("{task}.{n}");
                    let one = batch(&id, Writer::Anyone, vec![signal(&text)]);
                    match store.append(one).await {
                        Ok(_) => {
                            kept.push(text);
                            done.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(StoreError::Unwritable(_)) => {
                            refused.push(text);
                            // Bounded waiting for a real server.
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                        Err(other) => panic!("{other}"),
                    }
                }
                (kept, refused)
            })
        })
        .collect();
    for _ in 0..2 {
        let more = done.load(Ordering::SeqCst) + 200;
        while done.load(Ordering::SeqCst) < more {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server = tokio::task::spawn_blocking(move || {
            server.crash_and_restart().unwrap();
            server
        })
        .await
        .unwrap();
    }
    let more = done.load(Ordering::SeqCst) + 100;
    while done.load(Ordering::SeqCst) < more {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.store(true, Ordering::SeqCst);
    let (mut kept, mut refused) = (BTreeSet::new(), 0);
    for task in tasks {
        let (its, not) = task.await.unwrap();
        kept.extend(its);
        refused += not.len();
    }
    let mut stored = Vec::new();
    for n in 0..4 {
        for entry in stores[1]
            .events(&deployment(&n.to_string()), 0)
            .await
            .unwrap()
        {
            if let Event::Signal { reason, .. } = entry.event {
                stored.push(reason.unwrap());
            }
        }
    }
    let once: BTreeSet<_> = stored.iter().cloned().collect();
    assert_eq!(once.len(), stored.len(), "something is there twice");
    assert_eq!(once, kept, "{refused} were refused");
    assert!(stores[0].check().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_server_that_is_away_is_said_so_and_found_again() {
    let mut server = Postgres::start(Version::V15).unwrap();
    let database = Database::on(&server).await;
    let store = database.open().await;
    with_deployments(&store, 1).await;
    let id = deployment("0");
    server.crash();
    for _ in 0..3 {
        let refused = store.require_writable().await.unwrap_err();
        assert!(matches!(refused, StoreError::Unwritable(_)), "{refused}");
    }
    let nowhere =
        belay_store::PostgresStore::open(belay_store::PostgresOptions::new(&database.url));
    let refused = nowhere.await.err().unwrap();
    assert!(matches!(refused, StoreError::Unwritable(_)), "{refused}");
    server.restart().unwrap();
    let back = async {
        while store.require_writable().await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), back)
        .await
        .expect("it is found again");
    store
        .append(batch(&id, Writer::Anyone, vec![signal("x")]))
        .await
        .unwrap();
    assert_eq!(store.events(&id, 0).await.unwrap().len(), 2);
}
