//! The system's clock: the only place that reads it.

use async_trait::async_trait;
use belay_engine::ports::Clock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Wall-clock time, and the runtime's timer for waits.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now_us(&self) -> i64 {
        // A clock before 1970 is a broken one; zero keeps everything going and in order.
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        i64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(i64::MAX)
    }

    fn monotonic_ms(&self) -> u64 {
        // Not `Instant`: that stands still while the machine sleeps, and the clock of a store does not.
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let (seconds, nanos) = (now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs());
        seconds * 1000 + nanos / 1_000_000
    }

    async fn sleep_ms(&self, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}
