//! A clock that tests own: sleeping moves time on, so that nothing waits for real.

use async_trait::async_trait;
use belay_engine::ports::Clock;
use std::sync::atomic::{AtomicI64, Ordering};

/// See the module.
#[derive(Debug)]
pub struct FakeClock(AtomicI64);

impl Default for FakeClock {
    fn default() -> Self {
        Self(AtomicI64::new(1_700_000_000_000_000))
    }
}

#[async_trait]
impl Clock for FakeClock {
    fn now_us(&self) -> i64 {
        // Time never stands still, so that orders can be told.
        self.0.fetch_add(1, Ordering::SeqCst)
    }

    async fn sleep_ms(&self, ms: u64) {
        // Others get a turn first: what is ready now happens before the time has passed.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        self.0
            .fetch_add(i64::try_from(ms).unwrap_or(0) * 1000, Ordering::SeqCst);
    }
}
