//! The two clocks: wall time for what is reported, monotonic time for what is waited for.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

static BASE: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Microseconds since 1970.
pub(crate) fn wall_us() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Milliseconds since some moment in this process.
pub(crate) fn monotonic_ms() -> u64 {
    u64::try_from(BASE.elapsed().as_millis()).unwrap_or(u64::MAX)
}
