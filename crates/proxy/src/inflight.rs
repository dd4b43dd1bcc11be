//! What is in flight, exactly: a group's count covers a request from the moment its group is
//! chosen until both its bodies (or its tunnel) have ended.
//!
//! The problem is the gap between choosing a group and being counted: a drain that looks in
//! between would see 0. So a request counts itself first, then looks whether the route is still
//! the one it chose by, and chooses again if not. With sequentially consistent fences on both
//! sides either the request sees the swap, or whoever swapped sees the request.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use crate::clock::{monotonic_ms, wall_us};
use crate::counters::{Counters, ErrorClass};
use crate::upstream::Upstream;

/// What outlives a change of the table: counts, counters, pools.
#[derive(Debug)]
pub(crate) struct GroupState {
    in_flight: AtomicU64,
    emptied: Notify,
    pub(crate) counters: Counters,
    /// For taking upstreams in turn.
    pub(crate) turn: AtomicUsize,
    /// When the group left the table; none while it is in it.
    pub(crate) left_us: Mutex<Option<u64>>,
    pub(crate) upstreams: Mutex<BTreeMap<(String, SocketAddr), Arc<Upstream>>>,
}

impl GroupState {
    pub(crate) fn new(sequence: Arc<AtomicU64>) -> Self {
        Self {
            in_flight: AtomicU64::new(0),
            emptied: Notify::new(),
            counters: Counters::new(sequence),
            turn: AtomicUsize::new(0),
            left_us: Mutex::new(Some(0)),
            upstreams: Mutex::default(),
        }
    }

    /// Counts a request; the caller looks at the route again afterwards.
    pub(crate) fn enter(&self) {
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    pub(crate) fn leave(&self) {
        if self.in_flight.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.emptied.notify_waiters();
        }
    }

    pub(crate) fn in_flight(&self) -> u64 {
        fence(Ordering::SeqCst);
        self.in_flight.load(Ordering::SeqCst)
    }

    /// Waits until nothing is in flight.
    pub(crate) async fn emptied(&self) {
        loop {
            let mut emptied = std::pin::pin!(self.emptied.notified());
            emptied.as_mut().enable();
            if self.in_flight() == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// Upstream ids with something in flight.
    pub(crate) fn left_by_upstream(&self) -> BTreeMap<String, u64> {
        let upstreams = self
            .upstreams
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut left = BTreeMap::new();
        for ((id, _), upstream) in upstreams.iter() {
            let count = upstream.in_flight.load(Ordering::SeqCst);
            if count > 0 {
                *left.entry(id.clone()).or_default() += count;
            }
        }
        left
    }
}

/// One request in flight. Shared by its bodies or its tunnel; the last to go ends it.
#[derive(Debug)]
pub(crate) struct Flight {
    group: Arc<GroupState>,
    start_us: u64,
    stay: u32,
    started: Instant,
    upstream: Mutex<Option<Arc<Upstream>>>,
    /// An outcome is recorded: the rest is nobody's fault any more.
    settled: AtomicBool,
    client_failed: AtomicBool,
    upload_ended: AtomicBool,
    upload_progress_ms: AtomicU64,
}

impl Flight {
    /// For a request that has called [`GroupState::enter`].
    pub(crate) fn new(group: Arc<GroupState>, start_us: u64, started: Instant) -> Self {
        let stay = group.counters.started(start_us);
        Self {
            group,
            start_us,
            stay,
            started,
            upstream: Mutex::default(),
            settled: AtomicBool::new(false),
            client_failed: AtomicBool::new(false),
            upload_ended: AtomicBool::new(false),
            upload_progress_ms: AtomicU64::new(monotonic_ms()),
        }
    }

    /// The upstream that the request is sent to now.
    pub(crate) fn use_upstream(&self, upstream: &Arc<Upstream>) {
        let mut used = self.upstream.lock().unwrap_or_else(PoisonError::into_inner);
        upstream.in_flight.fetch_add(1, Ordering::SeqCst);
        if let Some(earlier) = used.replace(upstream.clone()) {
            earlier.in_flight.fetch_sub(1, Ordering::SeqCst);
        }
    }

    pub(crate) fn head(&self, status: u16) {
        let latency_ms = self.started.elapsed().as_micros().div_ceil(1000);
        let latency_ms = u64::try_from(latency_ms).unwrap_or(u64::MAX);
        self.group.counters.head(self.start_us, status, latency_ms);
        if status >= 500 {
            self.fail(ErrorClass::Status5xx);
        }
    }

    pub(crate) fn fail(&self, class: ErrorClass) {
        if !self.settled.swap(true, Ordering::Relaxed) {
            self.group
                .counters
                .error(self.start_us, self.stay, class, wall_us());
        }
    }

    /// The upstream broke off; unless that was because the client did.
    pub(crate) fn broken(&self) {
        if !self.client_failed.load(Ordering::Relaxed) {
            self.fail(ErrorClass::Aborted);
        }
    }

    pub(crate) fn done(&self) {
        self.settled.store(true, Ordering::Relaxed);
    }

    pub(crate) fn client_failed(&self) {
        self.client_failed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_client_failed(&self) -> bool {
        self.client_failed.load(Ordering::Relaxed)
    }

    pub(crate) fn upload_progress(&self) {
        self.upload_progress_ms
            .store(monotonic_ms(), Ordering::Relaxed);
    }

    pub(crate) fn upload_ended(&self) {
        self.upload_progress();
        self.upload_ended.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_upload_ended(&self) -> bool {
        self.upload_ended.load(Ordering::Relaxed)
    }

    /// Monotonic milliseconds of the last byte of the upload so far.
    pub(crate) fn last_progress_ms(&self) -> u64 {
        self.upload_progress_ms.load(Ordering::Relaxed)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !self.settled.load(Ordering::Relaxed) {
            self.group.counters.client_gone(self.start_us);
        }
        let used = self
            .upstream
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(upstream) = used.take() {
            upstream.in_flight.fetch_sub(1, Ordering::SeqCst);
        }
        self.group.leave();
    }
}
