//! Free ports for instances.

use crate::supervisor::Claim;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

/// Below the range from which the kernel takes ports for outgoing connections (32768 and up by default): a port of
/// that range can be taken by any client while an instance restarts.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// How many ports this process has looked at: each goes on where it stopped, and begins elsewhere than others do, so that a port
/// whose instance has just ended is not given to the next one at once.
static LOOKED_AT: AtomicU32 = AtomicU32::new(0);

/// A port that nobody listens on, and that no Belay gives to anybody else while the claim is kept; none when there is no free one.
pub(super) fn free() -> Option<(u16, Claim)> {
    let count = u32::from(RANGE.end - RANGE.start);
    let first = std::process::id() % count * 7;
    let mut offsets =
        (0..count).map(|_| first.wrapping_add(LOOKED_AT.fetch_add(1, Ordering::Relaxed)));
    offsets.find_map(|offset| {
        let port = RANGE.start + u16::try_from(offset % count).expect("within the range");
        let claim = Claim::take(port)?;
        let is_free = TcpListener::bind(("127.0.0.1", port)).is_ok();
        is_free.then_some((port, claim))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_belay_has_given_is_left_though_nobody_listens_yet() {
        let (port, claim) = free().expect("a port");
        let next = port + 1;
        let other = Claim::take(next);
        let (found, _claim) = free().expect("a port");
        assert!(found != next, "{next} is claimed: {other:?}");
        assert!(Claim::take(port).is_none(), "kept");
        drop(claim);
        assert!(Claim::take(port).is_some(), "and let go");
    }
}
