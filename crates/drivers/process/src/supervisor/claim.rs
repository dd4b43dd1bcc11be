//! Whose a port is while nobody listens on it: while its command starts, or is started again.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::Duration;

use tokio::time::sleep;

/// How often a supervisor asks for the port. Between who gave it, and lets it go once the command listens, and the supervisor it may be
/// nobody's for as long.
const AGAIN: Duration = Duration::from_millis(200);

/// A port that no other Belay of this machine gives away meanwhile: a socket whose name is in the kernel's own table, which
/// counts for the same network namespace as the port does, belongs to no user and goes with its process, however that ends.
#[derive(Debug)]
pub(crate) struct Claim {
    _socket: UnixListener,
}

impl Claim {
    /// None: another one has it.
    pub(crate) fn take(port: u16) -> Option<Self> {
        let name = SocketAddr::from_abstract_name(format!("belay-port-{port}")).ok()?;
        let socket = UnixListener::bind_addr(&name).ok()?;
        Some(Self { _socket: socket })
    }

    /// Once whoever gave the port lets it go.
    pub(super) async fn wait(port: u16) -> Self {
        loop {
            match Self::take(port) {
                Some(claim) => return claim,
                None => sleep(AGAIN).await,
            }
        }
    }
}
