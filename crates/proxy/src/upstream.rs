//! One upstream: its health as far as known, and its idle connections.
//!
//! A pool of our own and not a ready client, because of one question: may this request go over
//! this idle connection, which the other side may be closing right now? The answer depends on the
//! request (can it be sent again?) and on how long the connection was idle; see `forward`.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::body::RequestBody;
use crate::clock::monotonic_ms;
use crate::health::Check;

const IDLE_MOST: usize = 256;
const SUSPECT_MS: u64 = 1000;

pub(crate) type Sender = SendRequest<RequestBody>;

#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    pub(crate) in_flight: AtomicU64,
    /// By the active check; true when there is none.
    pub(crate) healthy: AtomicBool,
    suspect_until_ms: AtomicU64,
    idle: Mutex<Vec<(Sender, Instant)>>,
    pub(crate) check: Mutex<Option<Check>>,
}

impl Upstream {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            in_flight: AtomicU64::new(0),
            healthy: AtomicBool::new(true),
            suspect_until_ms: AtomicU64::new(0),
            idle: Mutex::default(),
            check: Mutex::default(),
        }
    }

    pub(crate) fn is_good(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
            && self.suspect_until_ms.load(Ordering::Relaxed) <= monotonic_ms()
    }

    /// It took no connection: others are asked first for a while.
    pub(crate) fn suspect(&self) {
        self.suspect_until_ms
            .store(monotonic_ms() + SUSPECT_MS, Ordering::Relaxed);
    }

    /// The connection that was idle for the shortest time, if that is at most `longest`.
    pub(crate) fn take_idle(&self, longest: Duration) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((sender, since)) = idle.last() {
            if sender.is_ready() && since.elapsed() > longest {
                return None;
            }
            let (sender, _) = idle.pop()?;
            if sender.is_ready() {
                return Some(sender);
            }
        }
        None
    }

    pub(crate) async fn connect(&self, timeout: Duration) -> io::Result<Sender> {
        let connecting = async {
            let stream = TcpStream::connect(self.address).await?;
            stream.set_nodelay(true)?;
            http1::handshake(TokioIo::new(stream))
                .await
                .map_err(io::Error::other)
        };
        let (sender, connection) = tokio::time::timeout(timeout, connecting).await??;
        // Ends when the sender is dropped. What goes wrong in it is reported to whoever waits
        // for the answer.
        tokio::spawn(async move {
            let _ = connection.with_upgrades().await;
        });
        Ok(sender)
    }

    /// Keeps the connection for the next request, once it is through with this one.
    pub(crate) fn give_back(self: &Arc<Self>, mut sender: Sender) {
        if sender.is_closed() {
            return;
        }
        if sender.is_ready() {
            self.keep(sender);
            return;
        }
        let upstream = Arc::downgrade(self);
        tokio::spawn(async move {
            if sender.ready().await.is_ok()
                && let Some(upstream) = upstream.upgrade()
            {
                upstream.keep(sender);
            }
        });
    }

    fn keep(&self, sender: Sender) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MOST {
            idle.push((sender, Instant::now()));
        }
    }

    /// Closes connections that were idle for longer than `longest`.
    pub(crate) fn prune(&self, longest: Duration) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(sender, since)| sender.is_ready() && since.elapsed() <= longest);
    }
}
