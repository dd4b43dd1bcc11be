//! What the engine needs beside a store: real time, and everything else as simple as can be.

use super::simulated::Platform;
use async_trait::async_trait;
use belay_driver::{Driver, Material, Progress};
use belay_engine::ports::{
    Clock, Drivers, Ledger, Ports, Question, Retention, Runner, Running, Secrets, Store,
    StoreError, Verifier,
};
use belay_model::error::Failure;
use belay_model::release::Record;
use belay_model::verdict::{Outcome, Verdict};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub(crate) fn ports(store: Arc<dyn Store>) -> Ports {
    let rest = Arc::new(Rest {
        platform: Arc::default(),
        began: Instant::now(),
    });
    Ports {
        store,
        clock: rest.clone(),
        verifier: rest.clone(),
        runner: rest.clone(),
        secrets: rest.clone(),
        retention: rest.clone(),
        drivers: rest,
    }
}

/// Now, Unix microseconds.
pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(i64::MAX)
}

struct Rest {
    platform: Arc<Platform>,
    began: Instant,
}

#[async_trait]
impl Clock for Rest {
    fn now_us(&self) -> i64 {
        now_us()
    }

    fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    async fn sleep_ms(&self, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

impl Drivers for Rest {
    fn driver(&self, _: &str) -> Option<Arc<dyn Driver>> {
        Some(self.platform.clone())
    }
}

#[async_trait]
impl Verifier for Rest {
    /// Watches for as long as it is told, and finds nothing.
    async fn verify(&self, question: &Question, _: &dyn Ledger, _: Arc<dyn Progress>) -> Verdict {
        let spent_us = self.now_us().saturating_sub(question.since_us);
        let spent_ms = u64::try_from(spent_us).unwrap_or(0) / 1000;
        let left_ms = question.hold_ms.saturating_sub(spent_ms);
        self.sleep_ms(left_ms).await;
        Verdict {
            outcome: Outcome::Pass,
            check: "none".to_owned(),
            sentence: "nothing was looked at".to_owned(),
            evidence: serde_json::Value::Null,
            first_bad_us: None,
        }
    }
}

#[async_trait]
impl Runner for Rest {
    async fn run(&self, _: &Running, _: Arc<dyn Progress>) -> Result<(), Failure> {
        Ok(())
    }
}

#[async_trait]
impl Secrets for Rest {
    async fn material(&self, record: &Record) -> Result<Material, StoreError> {
        Ok(Material {
            record: record.clone(),
            secrets: BTreeMap::new(),
        })
    }
}

#[async_trait]
impl Retention for Rest {
    async fn collect(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
