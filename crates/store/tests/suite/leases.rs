//! Leases: who may work where. What differs, whether several workers live at a time, each store's own tests say.

use super::Factory;
use crate::support::{batch, claim, created, deployment, ended, record, recorded, scope, signal};
use belay_engine::lease::{Lease, Owner, Work};
use belay_engine::ports::{Store, StoreError, Writer};
use belay_model::environment;
use belay_model::event::Event;

pub(crate) fn owner(name: &str) -> Owner {
    name.into()
}

/// What a worker that holds nothing is given.
pub(crate) async fn all(store: &dyn Store, name: &str) -> Vec<Lease> {
    store.claim(&owner(name), &[], 0, 100).await.unwrap()
}

pub(crate) async fn create(store: &dyn Store, service: &str) {
    let id = deployment(service);
    store
        .create(&id, 1, created(service), vec![], 9)
        .await
        .unwrap();
}

fn parked() -> Event {
    Event::parked(None, "a person decides".to_owned())
}

fn due(service: &str, due_ms: i64) -> (i64, environment::Event) {
    let event = environment::Event::CleanupDue {
        deployment: deployment(service),
        record: record(service, 1).hash(),
        due_ms,
    };
    (1, event)
}

pub(crate) async fn what_has_work_is_claimed_once(factory: impl Factory) {
    let store = factory.open().await;
    assert!(all(&*store, "first").await.is_empty());
    create(&*store, "shop").await;
    create(&*store, "bank").await;
    let first = owner("first");
    let some = store.claim(&first, &[], 0, 1).await.unwrap();
    assert_eq!(some.len(), 1);
    let rest = store.claim(&first, &some, 0, 9).await.unwrap();
    assert_eq!(rest.len(), 1);
    assert_ne!(some[0].scope, rest[0].scope);
    let both = [some[0].clone(), rest[0].clone()];
    assert!(both.iter().all(|lease| lease.epoch == 1));
    assert!(store.claim(&first, &both, 0, 9).await.unwrap().is_empty());
    assert!(store.renew(&first, &both).await.unwrap().is_empty());
    assert_eq!(store.epoch(&deployment("shop")).await.unwrap(), 1);
    // What it does not name any more is handed back, and there to be claimed.
    let again = store.claim(&first, &some, 0, 9).await.unwrap();
    assert_eq!(again.len(), 1);
    assert_eq!((&again[0].scope, again[0].epoch), (&rest[0].scope, 2));
    let lost = store.renew(&first, &both).await.unwrap();
    assert_eq!(lost, rest, "an old lease is lost, whoever has the new one");
    store.resign(&first).await.unwrap();
    let next = all(&*store, "second").await;
    assert_eq!(next.len(), 2);
    assert!(next.iter().all(|lease| lease.epoch > 1));
}

pub(crate) async fn what_waits_for_a_person_is_not_claimed(factory: impl Factory) {
    let store = factory.open().await;
    create(&*store, "shop").await;
    let second = deployment("queued");
    store
        .create(&second, 1, created("shop"), vec![], 9)
        .await
        .unwrap();
    let id = deployment("shop");
    let held = all(&*store, "worker").await;
    assert_eq!(held.len(), 1, "one scope, one lease");
    let head = store.oldest_open(&scope("shop")).await.unwrap().unwrap();
    assert_eq!(head.id, id);
    let mut batch_of_claim = claim(&id, 1, 1);
    batch_of_claim.events.push((2, parked()));
    store.append(batch_of_claim).await.unwrap();
    assert!(all(&*store, "worker").await.is_empty(), "it has its lock");
    assert_eq!(store.work("").await.unwrap().open, 2);
    // An answer makes it work again.
    store
        .append(batch(&id, Writer::Anyone, vec![signal("go on")]))
        .await
        .unwrap();
    let held = all(&*store, "worker").await;
    assert_eq!(held.len(), 1);
    let mut last = claim(&id, held[0].epoch, 4);
    last.events.push((3, ended()));
    store.append(last).await.unwrap();
    let head = store.oldest_open(&scope("shop")).await.unwrap().unwrap();
    assert_eq!(head.id, second);
    assert_eq!(all(&*store, "worker").await.len(), 1);
}

pub(crate) async fn clean_ups_are_claimed_when_they_are_due(factory: impl Factory) {
    let store = factory.open().await;
    assert_eq!(store.work("").await.unwrap(), Work::default());
    let shop = scope("shop");
    let append = async |event| {
        let appended = store.append_environment(&shop, None, vec![event]).await;
        appended.unwrap();
    };
    append(recorded("shop", 1)).await;
    append(due("shop", 5_000)).await;
    let work = store.work("").await.unwrap();
    assert_eq!((work.open, work.next_cleanup_ms), (0, Some(5_000)));
    let worker = owner("worker");
    let at = async |now_ms: i64| {
        let claimed = store.claim(&worker, &[], now_ms * 1_000, 9).await;
        claimed.unwrap().len()
    };
    assert_eq!(at(4_999).await, 0);
    assert_eq!(at(5_000).await, 1);
    // Each of these settles it, and a new one may come after.
    let hash = record("shop", 1).hash();
    for settled in [
        environment::Event::CleanupDone {
            record: hash.clone(),
        },
        environment::Event::CleanupCancelled {
            record: hash.clone(),
            reason: "needed".to_owned(),
        },
        environment::Event::Serves {
            record: Some(hash.clone()),
            deployment: deployment("shop"),
        },
    ] {
        append((1, settled)).await;
        assert_eq!(
            (at(9_000).await, store.work("").await.unwrap()),
            (0, Work::default())
        );
        append(due("shop", 6_000)).await;
        append(due("shop", 7_000)).await;
        assert_eq!((at(6_500).await, at(7_000).await), (0, 1));
    }
    // While a deployment is open, it is that which is served.
    create(&*store, "shop").await;
    assert_eq!(store.work("").await.unwrap().next_cleanup_ms, None);
    let leases = store.claim(&worker, &[], 0, 9).await.unwrap();
    let mut held = claim(&deployment("shop"), leases[0].epoch, 1);
    held.events.push((2, parked()));
    store.append(held).await.unwrap();
    assert_eq!(at(9_000).await, 0, "the parked deployment has the lock");
}

/// A service with a hundred scopes does not keep another one from its turn.
pub(crate) async fn services_take_turns(factory: impl Factory) {
    let store = factory.open().await;
    for n in 0..6 {
        let mut event = created("busy");
        if let Event::Created(inputs) = &mut event {
            let environment = belay_model::id::EnvironmentName::new(format!("env{n}"));
            inputs.scope.environment = environment.clone();
            if let Some(record) = &mut inputs.record {
                record.scope.environment = environment;
            }
        }
        let id = deployment(&format!("busy{n}"));
        store.create(&id, 1, event, vec![], 1).await.unwrap();
    }
    create(&*store, "quiet").await;
    let worker = owner("worker");
    let mut held = Vec::new();
    let mut order = Vec::new();
    for n in 1..=7_i64 {
        let next = store.claim(&worker, &held, n, 1).await.unwrap();
        order.push(next[0].scope.service.as_str().to_owned());
        held.extend(next);
    }
    let quiet = order.iter().position(|service| service == "quiet");
    assert!(quiet.is_some_and(|turn| turn <= 1), "{order:?}");
    // And in one claim.
    store.resign(&worker).await.unwrap();
    let two = store.claim(&owner("next"), &[], 8, 2).await.unwrap();
    let services: Vec<_> = two.iter().map(|one| one.scope.service.as_str()).collect();
    assert!(services.contains(&"quiet"), "{services:?}");
}

/// Where there is one worker at a time, whoever comes new takes over, and the one before hears of it.
pub(crate) async fn the_next_one_takes_over_at_once(factory: impl Factory) {
    let store = factory.open().await;
    assert_eq!(store.lease_ms(), None);
    create(&*store, "shop").await;
    let first = all(&*store, "first").await;
    let theirs = factory.open().await;
    let second = all(&*theirs, "second").await;
    assert_eq!(second[0].epoch, first[0].epoch + 1);
    assert_eq!(store.renew(&owner("first"), &first).await.unwrap(), first);
    assert!(
        theirs
            .renew(&owner("second"), &second)
            .await
            .unwrap()
            .is_empty()
    );
    let late = store.claim(&owner("first"), &first, 0, 9).await;
    assert!(matches!(late, Err(StoreError::Fenced(_))), "{late:?}");
    let late = claim(&deployment("shop"), first[0].epoch, 1);
    assert!(matches!(
        store.append(late).await,
        Err(StoreError::Fenced(_))
    ));
}
