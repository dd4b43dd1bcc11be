//! What is kept: five good records, thirty days, what serves or waits for its clean-up, what is open.

mod support;

use belay_engine::ports::{Store, Writer};
use belay_model::environment::{Entry, Event, Standing, View};
use belay_model::id::{BlobId, RecordHash};
use belay_store::retention;
use std::collections::BTreeSet;
use support::{batch, created, deployment, ended, open, record, release, scope};

const DAY: i64 = 24 * 60 * 60 * 1_000_000;

fn hash(number: u32) -> RecordHash {
    record("shop", number).hash()
}

fn recorded(number: u32) -> Event {
    Event::Recorded {
        record: Box::new(record("shop", number)),
    }
}

fn stands(number: u32, standing: Standing) -> Event {
    Event::Stands {
        record: hash(number),
        standing,
        deployment: None,
        actor: None,
        reason: None,
    }
}

fn view(events: Vec<(i64, Event)>) -> View {
    let entries = events
        .into_iter()
        .zip(1..)
        .map(|((at_us, event), seq)| Entry {
            seq,
            at_us,
            format: 1,
            event,
        });
    View::of(&entries.collect::<Vec<_>>())
}

fn check(events: Vec<(i64, Event)>, now_days: i64, expected: &[u32]) {
    let kept = retention(&view(events), 5, now_days * DAY, 30);
    let expected: BTreeSet<_> = expected.iter().map(|number| hash(*number)).collect();
    assert_eq!(kept, expected);
}

/// Seven records, good on the day of their number; the fourth was then rolled back.
fn week() -> Vec<(i64, Event)> {
    let mut events = Vec::new();
    for number in 1..=7 {
        events.push((i64::from(number) * DAY, recorded(number)));
        events.push((i64::from(number) * DAY, stands(number, Standing::Good)));
    }
    events.push((8 * DAY, stands(4, Standing::Quarantined)));
    events
}

#[test]
fn all_of_thirty_days_are_kept() {
    check(week(), 31, &[1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn five_good_ones_are_kept_for_ever() {
    check(week(), 33, &[2, 3, 4, 5, 6, 7]);
    check(week(), 1_000, &[2, 3, 5, 6, 7]);
}

#[test]
fn what_serves_or_waits_for_its_cleanup_is_kept() {
    let mut events = week();
    let serves = Event::Serves {
        record: Some(hash(4)),
        deployment: deployment("1"),
    };
    let due = Event::CleanupDue {
        deployment: deployment("1"),
        record: hash(1),
        due_ms: 0,
    };
    events.extend([(9 * DAY, serves), (9 * DAY, due)]);
    check(events.clone(), 1_000, &[1, 2, 3, 4, 5, 6, 7]);
    let done = Event::CleanupDone { record: hash(1) };
    let empty = Event::Serves {
        record: None,
        deployment: deployment("2"),
    };
    events.extend([(10 * DAY, done), (10 * DAY, empty)]);
    check(events, 1_000, &[2, 3, 5, 6, 7]);
}

#[test]
fn where_a_rollback_would_lead_is_kept_however_old_it_is() {
    let mut events = week();
    // Someone went back to the first; then another release came.
    for (day, number) in [(9, 1), (10, 7)] {
        let serves = Event::Serves {
            record: Some(hash(number)),
            deployment: deployment("1"),
        };
        events.push((day * DAY, serves));
    }
    check(events, 1_000, &[1, 2, 3, 5, 6, 7]);
}

#[tokio::test]
async fn as_many_are_kept_as_the_last_deployment_said() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path()).await;
    store
        .append_environment(&scope("shop"), None, week())
        .await
        .unwrap();
    let id = deployment("1");
    let mut created = created("shop");
    if let belay_model::event::Event::Created(inputs) = &mut created {
        inputs.keep_good = 2;
        inputs.record = None;
    }
    store.create(&id, 1, created, vec![], 1).await.unwrap();
    let kept = store.kept(1_000 * DAY, 30).await.unwrap();
    let artifacts = [6, 7].map(|number| record("shop", number).artifact);
    assert_eq!(kept.artifacts, BTreeSet::from(artifacts));
}

#[tokio::test]
async fn the_store_keeps_what_anything_needs() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path()).await;
    let mut good = record("shop", 7);
    good.sealed = Some(BlobId::new("blob_7"));
    let events = vec![
        (
            1,
            Event::Recorded {
                record: Box::new(good.clone()),
            },
        ),
        (
            1,
            Event::Stands {
                record: good.hash(),
                standing: Standing::Good,
                deployment: None,
                actor: None,
                reason: None,
            },
        ),
        (1, recorded(8)),
    ];
    store
        .append_environment(&scope("shop"), None, events)
        .await
        .unwrap();
    // Names record 1.
    let id = deployment("1");
    store
        .create(&id, 1, created("shop"), vec![], 1)
        .await
        .unwrap();
    store.release(release("shop", "old")).await.unwrap();
    let mut young = release("shop", "young");
    young.created_at_ms = 990 * DAY / 1_000;
    store.release(young.clone()).await.unwrap();

    let (one, seven) = (record("shop", 1).artifact, good.artifact);
    let kept = store.kept(1_000 * DAY, 30).await.unwrap();
    assert_eq!(
        kept.artifacts,
        BTreeSet::from([one, seven.clone(), young.artifact.clone()])
    );
    assert_eq!(kept.blobs, BTreeSet::from([BlobId::new("blob_7")]));
    store
        .append(batch(&id, Writer::Anyone, vec![ended()]))
        .await
        .unwrap();
    let kept = store.kept(1_000 * DAY, 30).await.unwrap();
    assert_eq!(kept.artifacts, BTreeSet::from([seven, young.artifact]));
}
