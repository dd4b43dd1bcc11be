//! What every store must do, whatever it is made of. A store joins with a [`Factory`] and the list in its test file.

mod leases;
mod unmoved;

pub(crate) use leases::*;
pub(crate) use unmoved::*;

use crate::support::{
    LONG, batch, claim, created, deployment, ended, lease, planned, planned_back, record, recorded,
    release, scope, signal,
};
use belay_engine::ports::{
    Batch, Evidence, Head, MAX_EVENT, MAX_PLANNED, Store, StoreError, Writer,
};
use belay_model::environment;
use belay_model::event::Event;
use belay_model::id::{ReleaseNumber, ServiceName, StepId};
use belay_model::summary::Phase;
use std::sync::Arc;

/// One store; each `open` is as another process would open it.
#[async_trait::async_trait]
pub(crate) trait Factory {
    async fn open(&self) -> Arc<dyn Store>;
    /// Verifies all hash chains; one line for each thing that is wrong.
    async fn check(&self) -> Vec<String>;
}

pub(crate) async fn journal_keeps_order(factory: impl Factory) {
    let store = factory.open().await;
    let id = deployment("order");
    let environment = vec![recorded("shop", 1)];
    store
        .create(&id, 5, created("shop"), environment, 1)
        .await
        .unwrap();
    assert_eq!(store.epoch(&id).await.unwrap(), 0);
    lease(&*store, "worker 1").await;
    let entries = store.append(claim(&id, 1, 1)).await.unwrap();
    assert_eq!(entries[0].seq, 2);
    let writer = Writer::Worker { epoch: 1, after: 2 };
    let said = store
        .append(batch(&id, writer, vec![signal("a"), signal("b")]))
        .await
        .unwrap();
    assert_eq!(
        said.iter().map(|entry| entry.seq).collect::<Vec<_>>(),
        [3, 4]
    );

    let all = store.events(&id, 0).await.unwrap();
    assert_eq!(
        all.iter().map(|entry| entry.seq).collect::<Vec<_>>(),
        [1, 2, 3, 4]
    );
    assert_eq!(all[0].event, created("shop"));
    assert_eq!(all[0].at_us, 5);
    assert_eq!(store.events(&id, 2).await.unwrap(), said);
    assert_eq!(store.epoch(&id).await.unwrap(), 1);
    let summary = store.summary(&id).await.unwrap().unwrap();
    assert_eq!((summary.seq, summary.phase), (4, Phase::Queued));
    let head = |seq| Head {
        scope: scope("shop"),
        deployment: id.clone(),
        seq,
    };
    assert_eq!(store.heads().await.unwrap(), [head(4)]);
    assert_eq!(store.environment(&scope("shop"), 0).await.unwrap().len(), 1);
}

/// A summary names its step by the plan, whoever wrote the one and the other.
pub(crate) async fn summaries_know_the_steps_of_their_plan(factory: impl Factory) {
    let title = async |store: &dyn Store, id| {
        let summary = store.summary(id).await.unwrap().unwrap();
        summary.step_title.unwrap_or_default()
    };
    let started = |plan, index| Event::Started {
        step: StepId { plan, index },
        attempt: 1,
        fingerprint: String::new(),
        before: None,
    };
    let (one, id) = (factory.open().await, deployment("steps"));
    one.create(&id, 1, created("shop"), vec![], 1)
        .await
        .unwrap();
    lease(&*one, "worker 1").await;
    one.append(claim(&id, 1, 1)).await.unwrap();
    let append = async |store: &dyn Store, after, events| {
        let writer = Writer::Worker { epoch: 1, after };
        store.append(batch(&id, writer, events)).await.unwrap();
    };
    append(&*one, 2, vec![planned(&["first", "second"])]).await;
    let two = factory.open().await;
    append(&*two, 3, vec![started(0, 1)]).await;
    assert_eq!(title(&*two, &id).await, "second");
    append(&*two, 4, vec![planned_back("back")]).await;
    append(&*one, 5, vec![started(1, 0)]).await;
    assert_eq!(title(&*one, &id).await, "back");
    append(&*two, 6, vec![started(1, 0)]).await;
    assert_eq!(title(&*two, &id).await, "back");
}

pub(crate) async fn unknown_things_are_missing(factory: impl Factory) {
    let store = factory.open().await;
    let id = deployment("unknown");
    let nothing = store
        .append(batch(&id, Writer::Anyone, vec![signal("x")]))
        .await;
    assert!(
        matches!(nothing, Err(StoreError::Missing(_))),
        "{nothing:?}"
    );
    assert!(matches!(
        store.epoch(&id).await,
        Err(StoreError::Missing(_))
    ));
    assert!(store.summary(&id).await.unwrap().is_none());
    assert!(store.events(&id, 0).await.unwrap().is_empty());
    let service = ServiceName::new("shop");
    assert!(
        store
            .release_of(&service, ReleaseNumber(1))
            .await
            .unwrap()
            .is_none()
    );
}

pub(crate) async fn creation_is_bounded_and_happens_once(factory: impl Factory) {
    let store = factory.open().await;
    let (one, two, other) = (deployment("1"), deployment("2"), deployment("3"));
    store
        .create(&one, 1, created("shop"), vec![], 2)
        .await
        .unwrap();
    let twice = store.create(&one, 1, created("shop"), vec![], 2).await;
    assert!(matches!(twice, Err(StoreError::Moved(_))), "{twice:?}");
    let full = store
        .create(&two, 1, created("shop"), vec![recorded("shop", 1)], 1)
        .await;
    assert!(matches!(full, Err(StoreError::TooLarge(_))), "{full:?}");
    assert!(
        store
            .environment(&scope("shop"), 0)
            .await
            .unwrap()
            .is_empty()
    );
    // Another scope has its own bound, and what has ended does not count.
    store
        .create(&other, 1, created("bank"), vec![], 1)
        .await
        .unwrap();
    store
        .append(batch(&one, Writer::Anyone, vec![ended()]))
        .await
        .unwrap();
    store
        .create(&two, 1, created("shop"), vec![], 1)
        .await
        .unwrap();

    let open = store.open().await.unwrap();
    let ids: Vec<_> = open.into_iter().map(|summary| summary.id).collect();
    assert_eq!(ids, [other, two.clone()]);
    let history = store.history(&scope("shop"), 10).await.unwrap();
    let ids: Vec<_> = history.into_iter().map(|summary| summary.id).collect();
    assert_eq!(ids, [two, one]);
    assert_eq!(store.history(&scope("shop"), 1).await.unwrap().len(), 1);
    assert_eq!(
        store.scopes().await.unwrap(),
        [scope("bank"), scope("shop")]
    );
}

/// Whoever is answered first was created first, for everyone and for ever: the oldest open deployment holds the lock.
pub(crate) async fn creators_of_one_scope_take_turns(factory: impl Factory) {
    let stores = [
        factory.open().await,
        factory.open().await,
        factory.open().await,
    ];
    let creators: Vec<_> = (0..3)
        .map(|n: usize| {
            let store = stores[n].clone();
            tokio::spawn(async move {
                let mut seen = Vec::new();
                for m in 0..10 {
                    let id = deployment(&format!("{n}-{m}"));
                    store
                        .create(&id, 1, created("shop"), vec![recorded("shop", 1)], 30)
                        .await
                        .unwrap();
                    let open = store.open().await.unwrap();
                    let ids: Vec<_> = open.into_iter().map(|summary| summary.id).collect();
                    assert!(ids.contains(&id));
                    seen.push(ids);
                }
                seen
            })
        })
        .collect();
    let mut seen = Vec::new();
    for creator in creators {
        seen.extend(creator.await.unwrap());
    }
    let open = stores[0].open().await.unwrap();
    let order: Vec<_> = open.into_iter().map(|summary| summary.id).collect();
    assert_eq!(order.len(), 30);
    for ids in seen {
        assert_eq!(
            order[..ids.len()],
            ids,
            "nothing is put before what was seen"
        );
    }
    let history = stores[1].history(&scope("shop"), 30).await.unwrap();
    let back: Vec<_> = history
        .into_iter()
        .rev()
        .map(|summary| summary.id)
        .collect();
    assert_eq!(back, order);
    let full = stores[2]
        .create(&deployment("31"), 1, created("shop"), vec![], 30)
        .await;
    assert!(matches!(full, Err(StoreError::TooLarge(_))), "{full:?}");
    let stream = stores[0].environment(&scope("shop"), 0).await.unwrap();
    assert_eq!(stream.len(), 30);
}

pub(crate) async fn only_the_newest_worker_appends(factory: impl Factory) {
    let store = factory.open().await;
    let id = deployment("fence");
    store
        .create(&id, 1, created("shop"), vec![], 1)
        .await
        .unwrap();
    // Without a lease there is no claim.
    let early = store.append(claim(&id, 1, 1)).await;
    assert!(matches!(early, Err(StoreError::Fenced(_))), "{early:?}");
    lease(&*store, "worker 1").await;
    let leap = store.append(claim(&id, 2, 1)).await;
    assert!(matches!(leap, Err(StoreError::Fenced(_))), "{leap:?}");
    let unclaimed = batch(
        &id,
        Writer::Worker { epoch: 1, after: 1 },
        vec![signal("x")],
    );
    let unclaimed = store.append(unclaimed).await;
    assert!(
        matches!(unclaimed, Err(StoreError::Fenced(_))),
        "{unclaimed:?}"
    );
    store.append(claim(&id, 1, 1)).await.unwrap();
    let again = store.append(claim(&id, 1, 2)).await;
    assert!(matches!(again, Err(StoreError::Fenced(_))), "{again:?}");
    // The next one takes the scope: from that moment the first appends nothing, not even before the next one does.
    store.resign(&"worker 1".into()).await.unwrap();
    lease(&*store, "worker 2").await;
    let late = batch(
        &id,
        Writer::Worker { epoch: 1, after: 2 },
        vec![signal("x")],
    );
    let late = store.append(late).await;
    assert!(matches!(late, Err(StoreError::Fenced(_))), "{late:?}");
    let shop = scope("shop");
    let late = store.append_environment(&shop, Some(1), vec![recorded("shop", 1)]);
    assert!(matches!(late.await, Err(StoreError::Fenced(_))));
    let behind = store.append(claim(&id, 2, 1)).await;
    assert!(matches!(behind, Err(StoreError::Moved(_))), "{behind:?}");
    store.append(claim(&id, 2, 2)).await.unwrap();
    store
        .append_environment(&shop, Some(2), vec![])
        .await
        .unwrap();

    let mut stale = batch(
        &id,
        Writer::Worker { epoch: 1, after: 3 },
        vec![signal("x")],
    );
    stale.environment = vec![recorded("shop", 1)];
    let stale = store.append(stale).await;
    assert!(matches!(stale, Err(StoreError::Fenced(_))), "{stale:?}");
    let blind = batch(
        &id,
        Writer::Worker { epoch: 2, after: 2 },
        vec![signal("x")],
    );
    let blind = store.append(blind).await;
    assert!(matches!(blind, Err(StoreError::Moved(_))), "{blind:?}");
    let bare = batch(&id, Writer::Claim { epoch: 3, after: 3 }, vec![signal("x")]);
    assert!(store.append(bare).await.is_err());
    assert_eq!(store.events(&id, 0).await.unwrap().len(), 3);
    assert_eq!(store.epoch(&id).await.unwrap(), 2);
    assert!(
        store
            .environment(&scope("shop"), 0)
            .await
            .unwrap()
            .is_empty()
    );
}

pub(crate) async fn anyone_appends_at_the_end(factory: impl Factory) {
    let store = factory.open().await;
    let id = deployment("anyone");
    store
        .create(&id, 1, created("shop"), vec![], 1)
        .await
        .unwrap();
    lease(&*store, "worker 1").await;
    store.append(claim(&id, 1, 1)).await.unwrap();
    let entries = store
        .append(batch(&id, Writer::Anyone, vec![signal("x")]))
        .await
        .unwrap();
    assert_eq!(entries[0].seq, 3);
    // The worker has to look first.
    let writer = Writer::Worker { epoch: 1, after: 2 };
    let blind = store.append(batch(&id, writer, vec![ended()])).await;
    assert!(matches!(blind, Err(StoreError::Moved(_))), "{blind:?}");
    let writer = Writer::Worker { epoch: 1, after: 3 };
    store
        .append(batch(&id, writer, vec![ended()]))
        .await
        .unwrap();
    let late = store
        .append(batch(&id, Writer::Anyone, vec![signal("y")]))
        .await;
    assert!(matches!(late, Err(StoreError::Missing(_))), "{late:?}");
    let summary = store.summary(&id).await.unwrap().unwrap();
    assert_eq!((summary.phase, summary.ended_us), (Phase::Ended, Some(10)));
    assert!(store.open().await.unwrap().is_empty());
}

/// The plan of a way back says more than that of a release, and has to be written down.
pub(crate) async fn plans_have_more_room(factory: impl Factory) {
    let store = factory.open().await;
    let id = deployment("plans");
    store
        .create(&id, 1, created("shop"), vec![], 1)
        .await
        .unwrap();
    let planned = |bytes: usize| {
        let event = planned_back(&"x".repeat(bytes));
        batch(&id, Writer::Anyone, vec![event])
    };
    store.append(planned(2 * MAX_EVENT)).await.unwrap();
    let long = store.append(planned(MAX_PLANNED)).await;
    assert!(matches!(long, Err(StoreError::TooLarge(_))), "{long:?}");
    assert_eq!(store.events(&id, 0).await.unwrap().len(), 2);
    assert_eq!(factory.check().await, Vec::<String>::new());
}

pub(crate) async fn events_are_bounded(factory: impl Factory) {
    let store = factory.open().await;
    let id = deployment("bounds");
    store
        .create(&id, 1, created("shop"), vec![], 1)
        .await
        .unwrap();
    let long = signal(&"x".repeat(1 << 20));
    let long = store
        .append(batch(&id, Writer::Anyone, vec![signal("a"), long]))
        .await;
    assert!(matches!(long, Err(StoreError::TooLarge(_))), "{long:?}");
    assert_eq!(store.events(&id, 0).await.unwrap().len(), 1);
    // Signals stop early enough that a worker can still end it.
    let flood = (1..9_000).map(|_| signal("x")).collect();
    store
        .append(batch(&id, Writer::Anyone, flood))
        .await
        .unwrap();
    let signals = store
        .append(batch(&id, Writer::Anyone, vec![signal("x")]))
        .await;
    assert!(
        matches!(signals, Err(StoreError::TooLarge(_))),
        "{signals:?}"
    );
    lease(&*store, "worker 1").await;
    store.append(claim(&id, 1, 9_000)).await.unwrap();
    let writer = Writer::Worker {
        epoch: 1,
        after: 9_001,
    };
    let many = (0..1_000).map(|_| signal("x")).collect();
    let many = store.append(batch(&id, writer.clone(), many)).await;
    assert!(matches!(many, Err(StoreError::TooLarge(_))), "{many:?}");
    store
        .append(batch(&id, writer, vec![ended()]))
        .await
        .unwrap();
}

pub(crate) async fn concurrent_appenders_lose_nothing(factory: impl Factory) {
    let stores = [
        factory.open().await,
        factory.open().await,
        factory.open().await,
        factory.open().await,
    ];
    let ids: Vec<_> = (0..8).map(|n| deployment(&format!("c{n}"))).collect();
    for id in &ids {
        stores[0]
            .create(id, 1, created(id.as_str()), vec![], 1)
            .await
            .unwrap();
    }
    let tasks: Vec<_> = (0..64)
        .map(|task: usize| {
            let (store, id) = (stores[task % 4].clone(), ids[task % 8].clone());
            tokio::spawn(async move {
                for n in 0..10 {
                    let mut one = batch(&id, Writer::Anyone, vec![signal(&format!("{task}.{n}"))]);
                    one.environment = vec![recorded(id.as_str(), 1)];
                    store.append(one).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    for (n, id) in ids.iter().enumerate() {
        let entries = stores[0].events(id, 0).await.unwrap();
        let seqs: Vec<_> = entries.iter().map(|entry| entry.seq).collect();
        assert_eq!(seqs, (1..=81).collect::<Vec<_>>());
        let mut reasons: Vec<_> = entries[1..]
            .iter()
            .map(|entry| match &entry.event {
                Event::Signal { reason, .. } => reason.clone().unwrap(),
                other => panic!("unexpected {other:?}"),
            })
            .collect();
        let order = reasons.clone();
        reasons.sort();
        let mut expected: Vec<_> = (0..8)
            .flat_map(|t| (0..10).map(move |m| format!("{}.{m}", n + 8 * t)))
            .collect();
        expected.sort();
        assert_eq!(reasons, expected);
        // Each task's own entries are in the order in which it was answered.
        for task in (0..8).map(|t| format!("{}.", n + 8 * t)) {
            let own: Vec<_> = order
                .iter()
                .filter(|r| r.starts_with(&task))
                .cloned()
                .collect();
            let sorted: Vec<_> = (0..10).map(|m| format!("{task}{m}")).collect();
            assert_eq!(own, sorted);
        }
        let stream = stores[1].environment(&scope(id.as_str()), 0).await.unwrap();
        assert_eq!(stream.len(), 80);
    }
    assert!(factory.check().await.is_empty());
}

pub(crate) async fn changes_wake_who_waits(factory: impl Factory) {
    let (ours, theirs) = (factory.open().await, factory.open().await);
    let id = deployment("wake");
    ours.create(&id, 1, created("shop"), vec![], 1)
        .await
        .unwrap();
    for n in 0..20 {
        let reader = theirs.clone();
        let watched = id.clone();
        let waiter = tokio::spawn(async move {
            loop {
                let generation = reader.generation();
                if !reader.events(&watched, n + 1).await.unwrap().is_empty() {
                    return;
                }
                reader.changed(generation).await;
            }
        });
        ours.append(batch(&id, Writer::Anyone, vec![signal("x")]))
            .await
            .unwrap();
        tokio::time::timeout(LONG, waiter)
            .await
            .expect("it is woken")
            .unwrap();
    }
    // A change between two calls is not lost: the next call returns for it.
    let generations = (ours.generation(), theirs.generation());
    ours.append(batch(&id, Writer::Anyone, vec![signal("x")]))
        .await
        .unwrap();
    tokio::time::timeout(LONG, ours.changed(generations.0))
        .await
        .expect("own changes wake");
    tokio::time::timeout(LONG, theirs.changed(generations.1))
        .await
        .expect("others' changes wake");
}

pub(crate) async fn environment_streams_are_kept(factory: impl Factory) {
    let store = factory.open().await;
    let shop = scope("shop");
    store
        .append_environment(&shop, None, vec![recorded("shop", 1), recorded("shop", 2)])
        .await
        .unwrap();
    store
        .append_environment(&scope("bank"), None, vec![recorded("bank", 1)])
        .await
        .unwrap();
    let cleanup = environment::Event::CleanupDue {
        deployment: deployment("x"),
        record: record("shop", 1).hash(),
        due_ms: 7,
    };
    store
        .append_environment(&shop, None, vec![(30, cleanup)])
        .await
        .unwrap();
    let stream = store.environment(&shop, 0).await.unwrap();
    assert_eq!(
        stream.iter().map(|entry| entry.seq).collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert_eq!(store.environment(&shop, 2).await.unwrap(), stream[2..]);
    let view = environment::View::of(&stream);
    assert_eq!((view.records.len(), view.cleanups.len()), (2, 1));
    assert_eq!(store.scopes().await.unwrap(), [scope("bank"), shop]);
}

pub(crate) async fn views_are_folds_of_whole_streams(factory: impl Factory) {
    let (ours, theirs) = (factory.open().await, factory.open().await);
    let (shop, bank) = (scope("shop"), scope("bank"));
    let same = async |scope| {
        let stream = ours.environment(scope, 0).await.unwrap();
        let view = ours.view(scope).await.unwrap();
        assert_eq!(*view, environment::View::of(&stream), "{scope}");
        view
    };
    assert!(same(&shop).await.records.is_empty());
    for number in 1..4 {
        let append = |store: Arc<dyn Store>, service, number| async move {
            let events = vec![recorded(service, number)];
            let scope = scope(service);
            let appended = store.append_environment(&scope, None, events).await;
            appended.unwrap();
        };
        append(ours.clone(), "shop", number).await;
        assert_eq!(same(&shop).await.seq, u64::from(2 * number - 1));
        append(theirs.clone(), "shop", 10 + number).await;
        append(theirs.clone(), "bank", number).await;
        // What someone was given does not change in its hands.
        let before = same(&shop).await;
        append(theirs.clone(), "bank", 20 + number).await;
        assert_eq!(before.seq, u64::from(2 * number));
        assert_eq!(same(&shop).await, before);
        assert_eq!(same(&bank).await.seq, u64::from(2 * number));
    }
}

pub(crate) async fn releases_are_numbered_by_content(factory: impl Factory) {
    let store = factory.open().await;
    let shop = ServiceName::new("shop");
    let one = store.release(release("shop", "a")).await.unwrap();
    let mut elsewhere = release("shop", "a");
    elsewhere.source = "another place".to_owned();
    elsewhere.created_at_ms = 99;
    assert_eq!(store.release(elsewhere).await.unwrap(), one);
    let two = store.release(release("shop", "b")).await.unwrap();
    let mut configured = release("shop", "a");
    configured
        .config
        .insert("COLOUR".to_owned(), "blue".to_owned());
    let three = store.release(configured).await.unwrap();
    let bank = store.release(release("bank", "a")).await.unwrap();
    let numbers = [&one, &two, &three, &bank].map(|release| release.number.0);
    assert_eq!(numbers, [1, 2, 3, 1]);
    assert_eq!(
        store.releases(&shop).await.unwrap(),
        [three, two.clone(), one]
    );
    assert_eq!(
        store.release_of(&shop, ReleaseNumber(2)).await.unwrap(),
        Some(two)
    );

    let stores = [store, factory.open().await, factory.open().await];
    let tasks: Vec<_> = (0..32)
        .map(|n| {
            let store = stores[n % 3].clone();
            let candidate = release("race", &format!("{}", n % 4));
            tokio::spawn(async move { store.release(candidate).await.unwrap() })
        })
        .collect();
    let mut numbers = std::collections::BTreeMap::new();
    for task in tasks {
        let release = task.await.unwrap();
        let number = *numbers.entry(release.artifact).or_insert(release.number);
        assert_eq!(release.number, number, "one content, one number");
    }
    let mut numbers: Vec<_> = numbers.into_values().map(|number| number.0).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4]);
    let releases = stores[0].releases(&ServiceName::new("race")).await;
    assert_eq!(releases.unwrap().len(), 4);
}

pub(crate) async fn evidence_is_kept(factory: impl Factory) {
    let store = factory.open().await;
    let id = deployment("ledger");
    let evidence = |n: u16| Evidence {
        step: StepId { plan: 1, index: n },
        at_us: i64::from(n),
        cursor: format!("at {n}"),
        counts: serde_json::json!({ "requests": n }),
    };
    store
        .evidence(&id, vec![evidence(1), evidence(2)])
        .await
        .unwrap();
    store.evidence(&id, vec![evidence(3)]).await.unwrap();
    let kept = store.evidence_of(&id).await.unwrap();
    let seen: Vec<_> = kept
        .iter()
        .map(|one| (one.step.index, one.cursor.as_str()))
        .collect();
    assert_eq!(seen, [(1, "at 1"), (2, "at 2"), (3, "at 3")]);
    assert_eq!(kept[2].counts, serde_json::json!({ "requests": 3 }));
}

pub(crate) async fn progress_is_kept(factory: impl Factory) {
    let store = factory.open().await;
    let id = deployment("ledger");
    store.progress(&id, 1, "starting").await.unwrap();
    store.progress(&id, 2, "started").await.unwrap();
    store
        .progress(&deployment("other"), 3, "elsewhere")
        .await
        .unwrap();
    let lines = store.progress_of(&id, 0).await.unwrap();
    let text: Vec<_> = lines
        .iter()
        .map(|(_, at, line)| (*at, line.as_str()))
        .collect();
    assert_eq!(text, [(1, "starting"), (2, "started")]);
    assert_eq!(
        store.progress_of(&id, lines[0].0).await.unwrap(),
        lines[1..]
    );
}

/// What belongs together is written together, and what moved on meanwhile keeps all of it from being written.
pub(crate) async fn several_journals_are_written_together(factory: impl Factory) {
    let store = factory.open().await;
    let (old, new) = (deployment("old"), deployment("new"));
    store
        .create(&old, 1, created("shop"), vec![], 2)
        .await
        .unwrap();
    let both = |after: u64, limit: usize| {
        let ended = batch(&old, Writer::Seen { after }, vec![ended()]);
        let made = Batch {
            environment: vec![recorded("shop", 7)],
            ..batch(&new, Writer::New { limit }, vec![created("shop")])
        };
        vec![ended, made]
    };
    // Something had come between; then nothing of it was written.
    store
        .append(batch(&old, Writer::Anyone, vec![signal("wait")]))
        .await
        .unwrap();
    let moved = store.append_all(both(1, 2)).await;
    assert!(matches!(moved, Err(StoreError::Moved(_))), "{moved:?}");
    // The last one of them is refused: the first is not kept either.
    let full = store.append_all(both(2, 0)).await;
    assert!(matches!(full, Err(StoreError::TooLarge(_))), "{full:?}");
    assert_eq!(store.events(&old, 0).await.unwrap().len(), 2);
    assert!(store.summary(&new).await.unwrap().is_none());
    assert!(
        store
            .environment(&scope("shop"), 0)
            .await
            .unwrap()
            .is_empty()
    );
    // What it ends does not count any more.
    store.append_all(both(2, 1)).await.unwrap();
    assert_eq!(store.events(&old, 0).await.unwrap().len(), 3);
    let head = store.oldest_open(&scope("shop")).await.unwrap().unwrap();
    assert_eq!(head.id, new);
    let open = store.heads().await.unwrap();
    let open = open.iter().map(|head| &head.deployment);
    assert_eq!(open.collect::<Vec<_>>(), [&new]);
    assert_eq!(store.environment(&scope("shop"), 0).await.unwrap().len(), 1);
    // What has ended is not ended again.
    let late = store.append_all(both(3, 9)).await;
    assert!(matches!(late, Err(StoreError::Missing(_))), "{late:?}");
    assert!(factory.check().await.is_empty());
}
