//! Upgraded connections (WebSocket and the like): bytes both ways until either side is done, in
//! flight all that time.

use std::sync::Arc;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::sync::watch;

use crate::inflight::Flight;

pub(crate) fn tunnel(
    client: OnUpgrade,
    upstream: OnUpgrade,
    flight: Arc<Flight>,
    mut kill: watch::Receiver<()>,
) {
    // The upgrade was the answer; how a tunnel ends is between its two sides.
    flight.done();
    let carry = async move {
        let (client, upstream) = match tokio::try_join!(client, upstream) {
            Ok(both) => both,
            Err(error) => {
                tracing::debug!(%error, "upgrade did not complete");
                return;
            }
        };
        let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
        let _ = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
    };
    tokio::spawn(async move {
        tokio::select! {
            () = carry => {}
            _ = kill.changed() => {}
        }
        drop(flight);
    });
}
