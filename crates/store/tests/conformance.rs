//! The conformance suite on SQLite.

mod suite;
mod support;

use belay_engine::ports::Store;
use std::sync::Arc;
use suite::Factory;

struct Sqlite(tempfile::TempDir);

#[async_trait::async_trait]
impl Factory for Sqlite {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(support::open(&self.0.path().join(".belay")).await)
    }

    async fn another(&self) -> Arc<dyn Store> {
        self.open().await
    }

    async fn check(&self) -> Vec<String> {
        let store = support::open(&self.0.path().join(".belay")).await;
        store.check().await.unwrap()
    }
}

macro_rules! conforms {
    ($($test:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            suite::$test(Sqlite(tempfile::tempdir().unwrap())).await;
        })*
    };
}

conforms! {
    journal_keeps_order
    unknown_things_are_missing
    creation_is_bounded_and_happens_once
    only_the_newest_worker_appends
    anyone_appends_at_the_end
    events_are_bounded
    concurrent_appenders_lose_nothing
    changes_wake_who_waits
    environment_streams_are_kept
    releases_are_numbered_by_content
    evidence_and_progress_are_kept
}
