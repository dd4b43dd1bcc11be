//! The conformance suite on every store: SQLite, PostgreSQL, and the one in memory that the engine is proved on.

mod suite;
mod support;

use belay_engine::ports::Store;
use belay_testbed::Version;
use belay_testkit::{Crashes, MemoryStore};
use std::sync::Arc;
use suite::Factory;
use support::postgres::Database;

struct Sqlite(tempfile::TempDir);

impl Sqlite {
    async fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

#[async_trait::async_trait]
impl Factory for Sqlite {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(support::open(&self.0.path().join(".belay")).await)
    }

    async fn check(&self) -> Vec<String> {
        let store = support::open(&self.0.path().join(".belay")).await;
        store.check().await.unwrap()
    }
}

#[async_trait::async_trait]
impl Factory for Database {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(Database::open(self).await)
    }

    async fn check(&self) -> Vec<String> {
        Database::open(self).await.check().await.unwrap()
    }
}

struct Memory(Arc<MemoryStore>);

impl Memory {
    async fn new() -> Self {
        Self(Arc::new(MemoryStore::new(Arc::new(Crashes::default()))))
    }
}

#[async_trait::async_trait]
impl Factory for Memory {
    async fn open(&self) -> Arc<dyn Store> {
        self.0.clone()
    }

    async fn check(&self) -> Vec<String> {
        Vec::new()
    }
}

macro_rules! conforms {
    ($store:ident, $factory:expr, $($test:ident)*) => {
        mod $store {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                suite::$test($factory.await).await;
            })*
        }
    };
}

macro_rules! all_conform {
    ($($store:ident: $factory:expr;)*) => {
        $(conforms! { $store, $factory,
            journal_keeps_order
            summaries_know_the_steps_of_their_plan
            unknown_things_are_missing
            creation_is_bounded_and_happens_once
            creators_of_one_scope_take_turns
            only_the_newest_worker_appends
            anyone_appends_at_the_end
            several_journals_are_written_together
            what_was_decided_on_a_stream_needs_it_unmoved
            no_plan_comes_behind_what_it_would_have_had_to_see
            events_are_bounded
            plans_have_more_room
            concurrent_appenders_lose_nothing
            changes_wake_who_waits
            environment_streams_are_kept
            views_are_folds_of_whole_streams
            releases_are_numbered_by_content
            evidence_is_kept
            what_has_work_is_claimed_once
            what_waits_for_a_person_is_not_claimed
            clean_ups_are_claimed_when_they_are_due
            services_take_turns
        })*
    };
}

all_conform! {
    sqlite: Sqlite::new();
    postgres_15: Database::new(Version::V15);
    postgres_18: Database::new(Version::V18);
    memory: Memory::new();
}

/// Where there is one worker at a time.
macro_rules! one_worker {
    ($($name:ident: $factory:expr;)*) => {
        $(#[tokio::test]
        async fn $name() {
            suite::the_next_one_takes_over_at_once($factory.await).await;
        })*
    };
}

one_worker! {
    on_sqlite_the_next_worker_takes_over: Sqlite::new();
    in_memory_the_next_worker_takes_over: Memory::new();
}

/// What the store in memory throws away.
macro_rules! progress_is_kept {
    ($($name:ident: $factory:expr;)*) => {
        $(#[tokio::test]
        async fn $name() {
            suite::progress_is_kept($factory.await).await;
        })*
    };
}

progress_is_kept! {
    sqlite_keeps_progress: Sqlite::new();
    postgres_15_keeps_progress: Database::new(Version::V15);
    postgres_18_keeps_progress: Database::new(Version::V18);
}
