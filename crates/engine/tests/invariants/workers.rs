//! One worker at a time.

use crate::{journal_of, with_one};
use belay_engine::ports::{Batch, Store, StoreError, Writer};
use belay_engine::worker::{Stop, Worker};
use belay_model::config::{Inconclusive, Strategy};
use belay_model::event::{Ask, Event};
use belay_model::plan::Look;
use belay_model::verdict::Outcome as Said;
use belay_testkit::parts::{canary, rolled_back};

#[tokio::test(start_paused = true)]
async fn i6_an_old_epoch_cannot_append() {
    let scene = with_one(Strategy::BlueGreen).await;
    let id = scene.deploy(2).await;
    let claim = |epoch, after| Batch {
        deployment: id.clone(),
        writer: Writer::Claim { epoch, after },
        events: vec![(
            0,
            Event::Claimed {
                owner: format!("worker {epoch}"),
                epoch,
            },
        )],
        environment: Vec::new(),
        unmoved: Vec::new(),
    };
    let lease = async |name: &str| {
        let leases = scene.store.claim(&name.into(), &[], 0, 1).await;
        leases.expect("memory")[0].epoch
    };
    let first = lease("first").await;
    let append = |batch| scene.store.append(batch);
    append(claim(first, 1)).await.expect("the first claim");
    let second = lease("second").await;
    assert_eq!(second, first + 1);
    // From now on, before the second has said anything.
    let scope = scene.scope();
    let cleanup = scene.store.append_environment(&scope, Some(first), vec![]);
    assert!(matches!(cleanup.await, Err(StoreError::Fenced(_))));
    append(claim(second, 2)).await.expect("a takeover");
    let late = Batch {
        deployment: id.clone(),
        writer: Writer::Worker {
            epoch: first,
            after: 3,
        },
        events: vec![(0, Event::parked(None, "late".to_owned()))],
        environment: Vec::new(),
        unmoved: Vec::new(),
    };
    assert!(matches!(
        scene.store.append(late).await,
        Err(StoreError::Fenced(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn i6_a_worker_that_was_replaced_stops_and_appends_nothing_more() {
    let mut scene = with_one(canary([10, 50])).await;
    scene.inconclusive = Inconclusive::Ask;
    scene.script.say(2, Look::Live, Said::Inconclusive);
    let id = scene.deploy(2).await;
    let work = |name: &str| {
        let worker = Worker::new(scene.ports(), name);
        tokio::spawn(async move { worker.run().await })
    };
    let first = work("first");
    let claimed = |name| {
        let journal = scene.store.journal(&id);
        let by = |event: &Event| matches!(event, Event::Claimed { owner, .. } if owner == name);
        journal.iter().any(|entry| by(&entry.event))
    };
    while !claimed("first") {
        tokio::task::yield_now().await;
    }
    let second = work("second");
    let replaced = first.await.expect("no panic");
    assert!(
        matches!(replaced, Err(StoreError::Fenced(_))),
        "{replaced:?}"
    );
    scene.until_parked(&id).await;
    scene.signal(&id, Ask::Abort).await;
    assert_eq!(second.await.expect("no panic").expect("works"), Stop::Idle);
    assert_eq!(scene.summary(&id).await.outcome, rolled_back());
    journal_of(&scene, &id).await;
}
