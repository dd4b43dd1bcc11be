//! Free ports for instances.

use std::collections::BTreeSet;
use std::net::TcpListener;

/// Below the range from which the kernel takes ports for outgoing connections (32768 and up by default): a port of
/// that range can be taken by any client while an instance restarts.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// A port that nobody listens on and that is not in `taken`; none when there is no free one.
pub(super) fn free(taken: &BTreeSet<u16>) -> Option<u16> {
    let span = RANGE.end - RANGE.start;
    let first = u16::try_from(std::process::id() % u32::from(span)).unwrap_or(0);
    // Start at a place of this process's own, so that two Belays on one machine seldom ask for the same port.
    let offsets = (0..span).map(|step| (u32::from(first) * 7 + u32::from(step)) % u32::from(span));
    let ports = offsets
        .filter_map(|offset| u16::try_from(offset).ok())
        .map(|offset| RANGE.start + offset);
    ports
        .filter(|port| !taken.contains(port))
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
}
