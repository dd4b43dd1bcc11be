//! One verification while it goes on: the question, the time, and where lines go.

use belay_driver::Progress;
use belay_engine::ports::{Clock, Question};

/// One verification.
pub(crate) struct Watch<'a> {
    pub(crate) question: &'a Question,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) progress: &'a dyn Progress,
}

impl Watch<'_> {
    /// Since watching began, before a crash perhaps. A clock that was set back counts as no time at all.
    pub(crate) fn elapsed_ms(&self) -> u64 {
        self.elapsed_ms_at(self.clock.now_us())
    }

    pub(crate) fn elapsed_ms_at(&self, now_us: i64) -> u64 {
        u64::try_from(now_us.saturating_sub(self.question.since_us)).unwrap_or(0) / 1000
    }

    /// What is left of the hold.
    pub(crate) fn left_ms(&self) -> u64 {
        self.question.hold_ms.saturating_sub(self.elapsed_ms())
    }

    /// What came of the work, if it was done in time.
    pub(crate) async fn within<T>(&self, ms: u64, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.clock.sleep_ms(ms) => None,
        }
    }
}
