//! How long a worker may go on: until a while before its leases end, by its own clock, counted from before the request
//! that made them live. So it stops first, whatever the answer's way back took, and whatever the clocks say (I6).

use super::bell::Bell;
use crate::lease::Lease;
use crate::mutant::{self, Mutant};
use crate::ports::Clock;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use tokio::sync::watch;

/// Nothing is held, or leases do not end by themselves.
const FOR_EVER: u64 = u64::MAX;

/// Of all leases of a worker together.
pub(super) struct Term {
    clock: Arc<dyn Clock>,
    lease_ms: Option<u64>,
    until_ms: AtomicU64,
}

impl Term {
    pub(super) fn new(clock: Arc<dyn Clock>, lease_ms: Option<u64>) -> Self {
        Self {
            clock,
            lease_ms,
            until_ms: AtomicU64::new(FOR_EVER),
        }
    }

    /// The first lease was asked for at `sent_ms`. Later ones live no longer than it.
    pub(super) fn begin(&self, sent_ms: u64) {
        if self.until_ms.load(Ordering::SeqCst) == FOR_EVER {
            self.until_ms.store(self.end(sent_ms), Ordering::SeqCst);
        }
    }

    /// Nothing is held: the next claim begins anew.
    pub(super) fn clear(&self) {
        self.until_ms.store(FOR_EVER, Ordering::SeqCst);
    }

    /// They were renewed by a request sent at `sent_ms`. What is over stays over.
    pub(super) fn extend(&self, sent_ms: u64) {
        if self.has_begun() && !self.is_over() {
            self.until_ms.store(self.end(sent_ms), Ordering::SeqCst);
        }
    }

    fn end(&self, sent_ms: u64) -> u64 {
        // A tenth is left for what was begun and cannot be called back.
        self.lease_ms
            .map_or(FOR_EVER, |ms| sent_ms.saturating_add(ms - ms / 10))
    }

    fn has_begun(&self) -> bool {
        self.until_ms.load(Ordering::SeqCst) != FOR_EVER
    }

    pub(super) fn is_over(&self) -> bool {
        self.rest_ms() == Some(0)
    }

    /// None: for ever.
    fn rest_ms(&self) -> Option<u64> {
        if mutant::is(Mutant::HoldsOn) {
            return None;
        }
        let until_ms = self.until_ms.load(Ordering::SeqCst);
        let rest = || until_ms.saturating_sub(self.clock.monotonic_ms());
        (until_ms != FOR_EVER).then(rest)
    }

    /// Resolves when it is over.
    pub(super) async fn over(&self) {
        let Some(lease_ms) = self.lease_ms else {
            return std::future::pending().await;
        };
        loop {
            match self.rest_ms() {
                Some(0) => return,
                Some(rest) => self.clock.sleep_ms(rest).await,
                None => self.clock.sleep_ms(lease_ms / 3).await,
            }
        }
    }
}

/// One lease, as those see it who work under it.
pub(super) struct Hold {
    pub(super) lease: Lease,
    pub(super) bell: Bell,
    term: Arc<Term>,
    ended: watch::Sender<bool>,
}

impl Hold {
    pub(super) fn new(lease: Lease, term: Arc<Term>) -> Self {
        let ended = watch::Sender::new(false);
        Self {
            lease,
            bell: Bell::new(),
            term,
            ended,
        }
    }

    /// It was handed back, or another worker has it, or its term is over: all that goes on under it stops.
    pub(super) fn end(&self) {
        self.ended.send_replace(true);
    }

    pub(super) fn is_over(&self) -> bool {
        *self.ended.borrow() || self.term.is_over()
    }

    /// Does the work while the lease lives. It is asked before every turn: a process that was stopped for a while must not
    /// go on where it was. None: it is over.
    pub(super) async fn during<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut ended = self.ended.subscribe();
        let mut ended = pin!(async move { ended.wait_for(|ended| *ended).await.is_ok() });
        let mut work = pin!(work);
        std::future::poll_fn(|cx| {
            // Polled to be woken; what it says is asked of the hold.
            let _ = ended.as_mut().poll(cx);
            if self.is_over() {
                return Poll::Ready(None);
            }
            work.as_mut().poll(cx).map(Some)
        })
        .await
    }
}
