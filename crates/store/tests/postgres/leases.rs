//! Leases of many workers, that live by the server's clock.

use crate::support::postgres::Database;
use crate::support::{LONG, batch, created, deployment, lease, signal};
use belay_engine::lease::{Lease, Owner};
use belay_engine::ports::{Store, Writer};
use belay_model::event::Event;
use belay_model::id::Scope;
use belay_store::{PostgresOptions, PostgresStore};
use belay_testbed::Version;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

async fn open(database: &Database, lease: Duration, per_environment: usize) -> PostgresStore {
    let options = PostgresOptions {
        lease,
        leases_per_environment: per_environment,
        ..PostgresOptions::new(&database.url)
    };
    PostgresStore::open(options).await.unwrap()
}

fn owner(name: &str, host: &str) -> Owner {
    let (name, host) = (name.to_owned(), host.to_owned());
    Owner { name, host }
}

async fn claim(store: &PostgresStore, name: &str, held: &[Lease], most: usize) -> Vec<Lease> {
    let claimed = store.claim(&owner(name, "here"), held, 0, most).await;
    claimed.unwrap()
}

async fn with_services(store: &PostgresStore, n: usize) {
    crate::support::postgres::with_deployments(store, n).await;
}

#[tokio::test]
async fn a_lease_ends_by_the_servers_clock_and_not_before() {
    for version in [Version::V15, Version::V18] {
        let database = Database::new(version).await;
        let store = open(&database, Duration::from_secs(1), 64).await;
        assert_eq!(store.lease_ms(), Some(1_000));
        with_services(&store, 1).await;
        let begun = Instant::now();
        let first = claim(&store, "first", &[], 9).await;
        assert_eq!(claim(&store, "second", &[], 9).await, []);
        // Renewed: it lives on from then.
        while begun.elapsed() < Duration::from_millis(700) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let renewed = Instant::now();
        assert_eq!(
            store.renew(&owner("first", "here"), &first).await.unwrap(),
            []
        );
        let (taken, second) = loop {
            let taken = Instant::now();
            let second = claim(&store, "second", &[], 9).await;
            if !second.is_empty() {
                break (taken, second);
            }
            assert!(renewed.elapsed() < Duration::from_secs(5), "it never ends");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert!(
            renewed.elapsed() >= Duration::from_millis(990),
            "it ended early"
        );
        assert_eq!(second[0].epoch, first[0].epoch + 1);
        // The first hears of it, and may begin anew.
        let lost = store.renew(&owner("first", "here"), &first).await.unwrap();
        assert_eq!(lost, first);
        let again = claim(&store, "first", &[], 9).await;
        // On a machine that is slow enough the second one's lease has ended by now, too.
        assert!(again.is_empty() || taken.elapsed() >= Duration::from_secs(1));
    }
}

#[tokio::test]
async fn who_comes_back_after_its_end_begins_anew() {
    let database = Database::new(Version::V18).await;
    let store = open(&database, Duration::from_millis(100), 64).await;
    with_services(&store, 2).await;
    let first = claim(&store, "first", &[], 9).await;
    assert_eq!(first.len(), 2);
    tokio::time::sleep(Duration::from_millis(150)).await;
    // Nobody else was there. What it had is not its own any more all the same: it gets it with a new epoch.
    let again = claim(&store, "first", &[], 9).await;
    assert_eq!(again.len(), 2);
    assert!(again.iter().all(|lease| lease.epoch == 2));
}

/// A worker counts from its last renewal: what it claims in between must not let it, or its other leases, live longer than
/// it thinks, nor shorter.
#[tokio::test]
async fn leases_of_a_worker_end_together() {
    let database = Database::new(Version::V15).await;
    let store = open(&database, Duration::from_secs(60), 64).await;
    with_services(&store, 3).await;
    let mut connection = database.connect().await;
    let mut until = async || -> i64 {
        let row: (i64,) =
            sqlx::query_as("SELECT (EXTRACT(EPOCH FROM until) * 1000000)::BIGINT FROM workers")
                .fetch_one(&mut connection)
                .await
                .unwrap();
        row.0
    };
    let mut held = claim(&store, "w", &[], 1).await;
    let first = until().await;
    held.extend(claim(&store, "w", &held, 1).await);
    assert_eq!(held.len(), 2);
    assert_eq!(until().await, first, "a claim is no renewal");
    store.renew(&owner("w", "here"), &held).await.unwrap();
    let renewed = until().await;
    assert!(renewed > first);
    // Who has nothing begins anew.
    assert_eq!(claim(&store, "w", &[], 1).await.len(), 1);
    assert!(until().await > renewed);
}

#[tokio::test]
async fn who_resigns_leaves_at_once() {
    let database = Database::new(Version::V18).await;
    let store = open(&database, Duration::from_secs(60), 64).await;
    with_services(&store, 3).await;
    assert_eq!(claim(&store, "first", &[], 9).await.len(), 3);
    assert_eq!(claim(&store, "second", &[], 9).await.len(), 0);
    store.resign(&owner("first", "here")).await.unwrap();
    assert_eq!(claim(&store, "second", &[], 9).await.len(), 3);
}

#[tokio::test]
async fn targets_of_a_host_are_for_its_workers() {
    let database = Database::new(Version::V15).await;
    let store = database.open().await;
    for (service, host) in [("0", Some("here")), ("1", Some("there")), ("2", None)] {
        let mut event = created(service);
        if let Event::Created(inputs) = &mut event
            && let Some(record) = &mut inputs.record
        {
            record.targets[0].host = host.map(str::to_owned);
        }
        store
            .create(&deployment(service), 1, event, vec![], 1)
            .await
            .unwrap();
    }
    let services = |leases: &[Lease]| -> Vec<String> {
        let mut names: Vec<_> = leases
            .iter()
            .map(|lease| lease.scope.service.as_str().to_owned())
            .collect();
        names.sort();
        names
    };
    let here = store.claim(&owner("a", "here"), &[], 0, 9).await.unwrap();
    assert_eq!(services(&here), ["0", "2"]);
    let elsewhere = store.claim(&owner("b", "elsewhere"), &[], 0, 9).await;
    assert_eq!(elsewhere.unwrap(), []);
    let there = store.claim(&owner("c", "there"), &[], 0, 9).await.unwrap();
    assert_eq!(services(&there), ["1"]);
}

/// Twenty workers at once: no scope twice, no environment over its bound.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_at_once_share_and_keep_to_the_bound() {
    let database = Database::new(Version::V18).await;
    let mut stores = Vec::new();
    for _ in 0..4 {
        stores.push(Arc::new(open(&database, Duration::from_secs(60), 30).await));
    }
    with_services(&stores[0], 40).await;
    let claims: Vec<_> = (0..20)
        .map(|n: usize| {
            let store = stores[n % 4].clone();
            tokio::spawn(async move { claim(&store, &format!("w{n}"), &[], 2).await })
        })
        .collect();
    let mut scopes: Vec<Scope> = Vec::new();
    for one in claims {
        scopes.extend(one.await.unwrap().into_iter().map(|lease| lease.scope));
    }
    let distinct: BTreeSet<_> = scopes.iter().cloned().collect();
    assert_eq!(distinct.len(), scopes.len(), "one was claimed twice");
    assert_eq!(scopes.len(), 30);
}

#[tokio::test]
async fn what_waits_or_goes_back_needs_no_room_and_what_goes_back_is_first() {
    let database = Database::new(Version::V15).await;
    let store = open(&database, Duration::from_secs(60), 2).await;
    with_services(&store, 7).await;
    let claimed = async |name: &str, most: usize| {
        let leases = claim(&store, name, &[], most).await.into_iter();
        let mut services: Vec<_> = leases
            .map(|lease| lease.scope.service.to_string())
            .collect();
        services.sort();
        services
    };
    let goes_back = "UPDATE deployments SET phase = 'rolling_back' WHERE service = '6'";
    database.sql(goes_back).await.unwrap();
    assert_eq!(claimed("a", 1).await, ["6"], "before those that came first");
    assert_eq!(claimed("b", 9).await, ["0", "1"], "as many as may");
    assert!(claimed("c", 9).await.is_empty());
    let bakes = "UPDATE deployments SET phase = 'baking' WHERE service = '0'";
    database.sql(bakes).await.unwrap();
    assert_eq!(claimed("d", 9).await, ["2"], "there is room for one more");
    let asked = r#"UPDATE deployments SET
           summary = replace(summary, '"kind":"deploy"', '"kind":"rollback"') WHERE service = '5'"#;
    database.sql(asked).await.unwrap();
    assert_eq!(claimed("e", 9).await, ["5"], "going back waits for nobody");
}

/// A scope that somebody writes in is left for next time, and nobody waits.
#[tokio::test]
async fn claims_pass_by_what_is_locked() {
    use sqlx::Executor;
    let database = Database::new(Version::V15).await;
    let store = database.open().await;
    with_services(&store, 3).await;
    let mut other = database.connect().await;
    other
        .execute("BEGIN; SELECT 1 FROM environments WHERE service = '1' FOR UPDATE")
        .await
        .unwrap();
    let some = tokio::time::timeout(Duration::from_secs(5), claim(&store, "w", &[], 9));
    let some = some.await.expect("it does not wait");
    assert_eq!(some.len(), 2);
    other.execute("ROLLBACK").await.unwrap();
    assert_eq!(claim(&store, "w", &some, 9).await.len(), 1);
}

#[tokio::test]
async fn looking_for_work_wakes_nobody_and_writes_nothing() {
    let database = Database::new(Version::V18).await;
    let store = database.open().await;
    with_services(&store, 1).await;
    let held = claim(&store, "w", &[], 9).await;
    let theirs = database.open().await;
    // Until it has seen what was there before.
    while theirs.generation() < 2 {
        theirs.changed(theirs.generation()).await;
    }
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let (stats, generation) = (store.stats(), theirs.generation());
    for _ in 0..10 {
        assert_eq!(claim(&store, "w", &held, 9).await, []);
    }
    assert_eq!(store.stats(), stats);
    store.renew(&owner("w", "here"), &held).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!(theirs.generation(), generation);
}

/// Ten thousand open deployments are no reason for ten thousand statements.
#[tokio::test]
async fn a_claim_among_many_is_quick() {
    let database = Database::new(Version::V18).await;
    let store = database.open().await;
    with_services(&store, 1).await;
    database
        .sql(
            "INSERT INTO environments (service, environment, head_seq, head_hash)
               SELECT 's' || n, 'production', 0, '' FROM generate_series(1, 10000) n;
             INSERT INTO deployments (id, service, environment, phase, ended, epoch, summary, head_seq, head_hash)
               SELECT 'dep_s' || n, 's' || n, 'production', 'queued', 0, 0, summary, 1, ''
               FROM generate_series(1, 10000) n, (SELECT summary FROM deployments LIMIT 1) s;
             ANALYZE",
        )
        .await
        .unwrap();
    let begun = Instant::now();
    let first = claim(&store, "w", &[], 64).await;
    assert_eq!(first.len(), 64);
    assert_eq!(store.work("").await.unwrap().open, 10_001);
    println!("64 of 10,001 scopes were claimed in {:?}", begun.elapsed());
    assert!(begun.elapsed() < LONG / 20, "{:?}", begun.elapsed());
    // And it is fenced as ever.
    let epochs = lease(&store, "other").await;
    assert!(epochs.is_empty(), "the bound is used up");
    let id = deployment("0");
    let foreign = batch(
        &id,
        Writer::Worker { epoch: 7, after: 1 },
        vec![signal("x")],
    );
    assert!(store.append(foreign).await.is_err());
}
