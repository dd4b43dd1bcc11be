//! Free ports for instances.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

/// Below the range from which the kernel takes ports for outgoing connections (32768 and up by default): a port of
/// that range can be taken by any client while an instance restarts.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// How many ports this process has looked at, whichever service they were for.
static GIVEN: AtomicU32 = AtomicU32::new(0);

/// A port that nobody listens on and that is not in `taken`; none when there is no free one.
pub(super) fn free(taken: &BTreeSet<u16>) -> Option<u16> {
    let span = u32::from(RANGE.end - RANGE.start);
    // Start at a place of this process's own, so that two Belays on one machine seldom ask for the same port.
    let first = std::process::id() % span * 7;
    // What was given is bound only when its instance is up: whoever asks meanwhile gets another.
    let offsets = (0..span).map(|_| (first + GIVEN.fetch_add(1, Ordering::Relaxed) % span) % span);
    let ports =
        offsets.map(|offset| RANGE.start + u16::try_from(offset).expect("within the range"));
    ports
        .filter(|port| !taken.contains(port))
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_services_at_once_get_two_ports() {
        let ports: BTreeSet<_> = (0..8).filter_map(|_| free(&BTreeSet::new())).collect();
        assert_eq!(
            ports.len(),
            8,
            "nothing listens yet, and none is given twice"
        );
    }
}
