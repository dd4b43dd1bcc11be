//! A clock that tests own: on a runtime whose time is paused (`start_paused`) it moves on only when nobody has anything
//! to do, to the next moment that somebody waits for. So nothing waits for real, and nothing happens too early.

use async_trait::async_trait;
use belay_engine::ports::Clock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// When every test begins, Unix microseconds.
const BEGIN_US: i64 = 1_700_000_000_000_000;

/// See the module.
#[derive(Debug)]
pub struct FakeClock {
    begin: Instant,
    last_us: AtomicI64,
}

impl Default for FakeClock {
    fn default() -> Self {
        Self {
            begin: Instant::now(),
            last_us: AtomicI64::new(BEGIN_US),
        }
    }
}

#[async_trait]
impl Clock for FakeClock {
    fn now_us(&self) -> i64 {
        let passed = i64::try_from(self.begin.elapsed().as_micros()).unwrap_or(i64::MAX / 2);
        // Never the same time twice, so that orders can be told.
        let next = |last: i64| Some((BEGIN_US + passed).max(last + 1));
        let last = self
            .last_us
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, next);
        last.map_or(BEGIN_US, |last| (BEGIN_US + passed).max(last + 1))
    }

    fn monotonic_ms(&self) -> u64 {
        // From a moment long ago, as a machine that has been up for a while.
        1_000_000 + u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(0)
    }

    async fn sleep_ms(&self, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}
