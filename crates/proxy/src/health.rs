//! Active checks. They only mark an upstream; whether a mark matters is decided per request, so
//! that the last upstream of a group is never taken out.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use belay_proxy_api::HealthCheck;
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::upstream::Upstream;

/// A running check; ends when dropped.
#[derive(Debug)]
pub(crate) struct Check {
    config: HealthCheck,
    task: AbortHandle,
}

impl Drop for Check {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Makes `upstream` be checked as `config` says. A check that already runs that way goes on.
pub(crate) fn set(
    upstream: &Arc<Upstream>,
    config: Option<&HealthCheck>,
    kill: &watch::Receiver<()>,
) {
    let mut check = upstream
        .check
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if check.as_ref().map(|check| &check.config) == config {
        return;
    }
    *check = config.map(|config| Check {
        config: config.clone(),
        task: start(upstream, config.clone(), kill.clone()),
    });
    if check.is_none() {
        upstream.healthy.store(true, Ordering::Relaxed);
    }
}

fn start(
    upstream: &Arc<Upstream>,
    config: HealthCheck,
    mut kill: watch::Receiver<()>,
) -> AbortHandle {
    let address = upstream.address;
    let upstream = Arc::downgrade(upstream);
    let checking = async move {
        let mut every = tokio::time::interval(Duration::from_millis(config.interval_ms));
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let timeout = Duration::from_millis(config.timeout_ms);
        let mut in_a_row = (true, 0u32);
        loop {
            every.tick().await;
            let asked = tokio::time::timeout(timeout, ask(address, &config.path)).await;
            let good = asked.unwrap_or(false);
            in_a_row = if in_a_row.0 == good {
                (good, in_a_row.1.saturating_add(1))
            } else {
                (good, 1)
            };
            let enough = if good {
                config.healthy_after
            } else {
                config.unhealthy_after
            };
            let Some(upstream) = upstream.upgrade() else {
                return;
            };
            if in_a_row.1 >= enough && upstream.healthy.swap(good, Ordering::Relaxed) != good {
                tracing::info!(%address, healthy = good, "health changed");
            }
        }
    };
    let task = tokio::spawn(async move {
        tokio::select! {
            () = checking => {}
            _ = kill.changed() => {}
        }
    });
    task.abort_handle()
}

/// A connection of its own each time: an upstream that takes no new connection is not healthy.
async fn ask(address: SocketAddr, path: &str) -> bool {
    let Ok(stream) = TcpStream::connect(address).await else {
        return false;
    };
    let shaking = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let Ok((mut sender, connection)) = shaking else {
        return false;
    };
    let request = Request::builder()
        .method(Method::GET)
        .uri(path)
        .header(header::HOST, address.to_string())
        .header(header::USER_AGENT, "belay-proxy")
        .body(Empty::<Bytes>::new());
    let Ok(request) = request else { return false };
    // Ends when the sender is dropped.
    tokio::spawn(connection);
    sender
        .send_request(request)
        .await
        .is_ok_and(|answer| answer.status().is_success() || answer.status().is_redirection())
}
