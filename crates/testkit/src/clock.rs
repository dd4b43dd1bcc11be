//! Clocks that tests own. One that sleeping moves on; one that is tokio's, for tests that stop that and need timers in
//! their order. Neither waits for real.

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

    fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.0.load(Ordering::SeqCst) / 1000).unwrap_or(0)
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

/// Tokio's time, which a test pauses: it goes on to the next timer when nobody has anything to do.
#[derive(Debug)]
pub struct TimerClock(tokio::time::Instant);

impl Default for TimerClock {
    fn default() -> Self {
        Self(tokio::time::Instant::now())
    }
}

#[async_trait]
impl Clock for TimerClock {
    fn now_us(&self) -> i64 {
        let since = i64::try_from(self.0.elapsed().as_micros()).unwrap_or(0);
        1_700_000_000_000_000 + since
    }

    fn monotonic_ms(&self) -> u64 {
        // From a moment long ago, as a machine that has been up for a while.
        1_000_000 + u64::try_from(self.0.elapsed().as_millis()).unwrap_or(0)
    }

    async fn sleep_ms(&self, ms: u64) {
        tokio::time::sleep(std::time::Duration::from_millis(ms)).await;
    }
}
