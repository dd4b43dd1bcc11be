//! The journal is not rewritten, and where someone did, it shows.

mod support;

use belay_engine::ports::{Store, StoreError, Writer};
use belay_model::environment::View;
use belay_store::{BrokenLink, Options, SqliteStore};
use std::path::Path;
use support::{batch, claim, created, deployment, open, recorded, scope, signal, sql};

/// Two deployments with five events each, an environment stream with three.
async fn filled(dir: &Path) -> SqliteStore {
    let store = open(dir).await;
    for name in ["a", "b"] {
        let id = deployment(name);
        store
            .create(&id, 1, created("shop"), vec![recorded("shop", 1)], 9)
            .await
            .unwrap();
        if name == "a" {
            // Of the scope, for both.
            support::lease(&store, "worker 1").await;
        }
        store.append(claim(&id, 1, 1)).await.unwrap();
        for text in ["x", "y", "z"] {
            let text = format!("{name}{text}");
            store
                .append(batch(&id, Writer::Anyone, vec![signal(&text)]))
                .await
                .unwrap();
        }
    }
    store
        .append_environment(&scope("shop"), None, vec![recorded("shop", 2)])
        .await
        .unwrap();
    store
}

#[tokio::test]
async fn stored_events_cannot_be_changed() {
    let root = tempfile::tempdir().unwrap();
    let store = filled(root.path()).await;
    for forbidden in [
        "UPDATE events SET body = 'x' WHERE seq = 2",
        "DELETE FROM events WHERE seq = 5",
        "UPDATE environment_events SET at_us = 0",
        "DELETE FROM environment_events",
    ] {
        let refused = sql(root.path(), forbidden).await.unwrap_err();
        assert!(
            refused.to_string().contains("never rewritten"),
            "{forbidden}: {refused}"
        );
    }
    assert!(store.check().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_first_broken_link_is_named() {
    let cases = [
        (
            "UPDATE events SET body = replace(body, 'ax', 'XX')",
            3,
            "does not fit",
        ),
        (
            "UPDATE events SET at_us = at_us + 1 WHERE seq = 2",
            2,
            "does not fit",
        ),
        (
            "UPDATE events SET format = 1 WHERE seq = 4",
            4,
            "does not fit",
        ),
        ("DELETE FROM events WHERE seq = 3", 3, "missing"),
        ("DELETE FROM events WHERE seq = 5", 5, "missing at the end"),
        (
            "DELETE FROM events WHERE deployment = 'dep_a'",
            1,
            "missing",
        ),
        // All of another deployment's entries, whole chain: they are not this deployment's.
        (
            "DELETE FROM events WHERE deployment = 'dep_a';
             UPDATE events SET deployment = 'dep_a' WHERE deployment = 'dep_b'",
            1,
            "does not fit",
        ),
        (
            "INSERT INTO events SELECT deployment, 6, at_us, format, body, hash FROM events
             WHERE deployment = 'dep_a' AND seq = 5",
            6,
            "does not fit",
        ),
    ];
    for (tamper, seq, why) in cases {
        let root = tempfile::tempdir().unwrap();
        let store = filled(root.path()).await;
        let id = deployment("a");
        assert_eq!(store.verify_chain(&id).await.unwrap(), None);
        sql(
            root.path(),
            "DROP TRIGGER events_no_update; DROP TRIGGER events_no_delete",
        )
        .await
        .unwrap();
        sql(root.path(), tamper).await.unwrap();
        let broken: BrokenLink = store.verify_chain(&id).await.unwrap().expect(tamper);
        assert_eq!(broken.seq, seq, "{tamper}: {}", broken.why);
        assert!(broken.why.contains(why), "{tamper}: {}", broken.why);
        assert!(!store.check().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn environment_streams_are_chained() {
    let root = tempfile::tempdir().unwrap();
    let store = filled(root.path()).await;
    assert_eq!(
        store.verify_environment(&scope("shop")).await.unwrap(),
        None
    );
    sql(
        root.path(),
        "DROP TRIGGER environment_events_no_update;
         UPDATE environment_events SET at_us = 0 WHERE seq = 2",
    )
    .await
    .unwrap();
    let broken = store
        .verify_environment(&scope("shop"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(broken.seq, 2);
    let found = store.check().await.unwrap();
    assert!(
        found[0].starts_with("event 2 of shop/production"),
        "{found:?}"
    );
}

#[tokio::test]
async fn a_stream_that_is_another_one_now_is_folded_anew() {
    let root = tempfile::tempdir().unwrap();
    let store = filled(root.path()).await;
    let shop = scope("shop");
    let whole = async || {
        let stream = store.environment(&shop, 0).await.unwrap();
        let view = store.view(&shop).await.unwrap();
        assert_eq!(*view, View::of(&stream));
        view.records.len()
    };
    // Release 1 twice, and 2.
    assert_eq!(whole().await, 2);
    // A backup was restored: the stream is shorter, then others are appended.
    let restored = "DROP TRIGGER IF EXISTS environment_events_no_delete;
         DELETE FROM environment_events;
         UPDATE environments SET head_seq = 0, head_hash = ''";
    for numbers in [5..7, 5..8, 5..9] {
        sql(root.path(), restored).await.unwrap();
        let events = numbers.clone().map(|number| recorded("shop", number));
        store
            .append_environment(&shop, None, events.collect())
            .await
            .unwrap();
        assert_eq!(whole().await, numbers.len());
    }
    // And where it is altered, that is said.
    sql(
        root.path(),
        "DROP TRIGGER environment_events_no_update;
         UPDATE environment_events SET hash = 'x' WHERE seq = 4",
    )
    .await
    .unwrap();
    let altered = store.view(&shop).await;
    assert!(
        matches!(&altered, Err(StoreError::Damaged(why)) if why.contains("event 4 of shop")),
        "{altered:?}"
    );
}

#[tokio::test]
async fn a_newer_store_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let store = filled(root.path()).await;
    sql(
        root.path(),
        "INSERT INTO events VALUES ('dep_a', 6, 1, 99, '{\"news\":{}}', 'hash')",
    )
    .await
    .unwrap();
    let newer = store.events(&deployment("a"), 0).await;
    assert!(matches!(newer, Err(StoreError::Newer(_))), "{newer:?}");
    store.close().await;
    sql(
        root.path(),
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'later', 1, x'00', 0)",
    )
    .await
    .unwrap();
    let newer = SqliteStore::open(root.path(), Options::default())
        .await
        .err()
        .unwrap();
    assert!(
        matches!(&newer, StoreError::Newer(why) if why.contains("9999")),
        "{newer}"
    );
}

#[tokio::test]
async fn a_damaged_store_is_refused() {
    for (from, to) in [(0, 100), (4096, usize::MAX)] {
        let root = tempfile::tempdir().unwrap();
        filled(root.path()).await.close().await;
        let file = root.path().join("belay.db");
        let mut bytes = std::fs::read(&file).unwrap();
        let to = to.min(bytes.len());
        bytes[from..to].fill(0xff);
        std::fs::write(&file, &bytes).unwrap();
        let damaged = match SqliteStore::open(root.path(), Options::default()).await {
            Err(error) => error,
            Ok(store) => store.events(&deployment("a"), 0).await.unwrap_err(),
        };
        assert!(matches!(damaged, StoreError::Damaged(_)), "{damaged}");
        assert_eq!(std::fs::read(&file).unwrap(), bytes, "nothing was changed");
    }
}

#[tokio::test]
async fn damaged_progress_lines_are_thrown_away() {
    let root = tempfile::tempdir().unwrap();
    let store = filled(root.path()).await;
    store.progress(&deployment("a"), 1, "lost").await.unwrap();
    store.close().await;
    std::fs::write(root.path().join("progress.db"), [0xff; 8192]).unwrap();
    let store = open(root.path()).await;
    store.progress(&deployment("a"), 2, "kept").await.unwrap();
    assert_eq!(
        store.progress_of(&deployment("a"), 0).await.unwrap().len(),
        1
    );
    assert_eq!(store.events(&deployment("a"), 0).await.unwrap().len(), 5);
    assert_eq!(store.prune_progress(3).await.unwrap(), 1);
}
