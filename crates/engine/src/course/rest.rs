//! Bakes at rest: nothing is asked, the platform tells of changes, and all was well when it was last seen. Such a bake takes
//! minutes or days, and hundreds of them at once are usual. Until something happens nothing of the deployment is kept but
//! what wakes it; then its journal is read again, as after a kill.
//!
//! What was watched stays watched meanwhile: whoever goes on listens where it was listened before, so that nothing happens
//! in between unseen and the platform is not asked again.

use crate::ports::{Clock, Ports};
use belay_model::id::StepId;
use futures_util::future::select_all;
use std::collections::BTreeMap;
use tokio::sync::watch;

/// How long one sleeps at most, milliseconds: a clock may be set, and a machine may have slept.
const NAP_MS: u64 = 10_000;

/// A verification that only waits.
#[derive(Clone)]
pub(super) struct Quiet {
    /// Of its step.
    pub(super) attempt: u32,
    /// Marked as changed when it has to be looked at.
    pub(super) told: watch::Receiver<()>,
    /// Not to be looked at before, Unix microseconds.
    pub(super) look_us: i64,
    /// When it has its answer, Unix microseconds.
    pub(super) due_us: i64,
}

impl Quiet {
    /// Whether it only waits still.
    pub(super) fn is_quiet(&self, now_us: i64) -> bool {
        let is_told = self.told.has_changed().unwrap_or(true);
        !is_told && self.due_us > now_us
    }

    /// Resolves when it only waits no more. What it was told counts as not heard yet in the one that this was cloned from.
    pub(super) async fn stirs(mut self, clock: &dyn Clock) {
        tokio::select! {
            biased;
            // Also where nobody tells any more.
            _ = self.told.changed() => {}
            () = until(clock, self.due_us) => {}
        }
    }
}

/// A course of which all that goes on is at rest.
pub struct Rest {
    /// By step; at least one.
    pub(super) bakes: BTreeMap<StepId, Quiet>,
    /// When something else is to be decided, Unix microseconds.
    pub(super) until_us: Option<i64>,
    /// That of the store which its journal was read at.
    pub(super) generation: u64,
}

impl Rest {
    /// Resolves when its course has to go on: something was appended, a bake stirs, or it is time.
    pub(crate) async fn over(&self, ports: &Ports) {
        let clock = ports.clock.as_ref();
        let stirs = self.bakes.values();
        let stirs = stirs.map(|quiet| Box::pin(quiet.clone().stirs(clock)));
        let due = async {
            match self.until_us {
                Some(until_us) => until(clock, until_us).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = ports.store.changed(self.generation) => {}
            _ = select_all(stirs) => {}
            () = due => {}
        }
    }
}

/// Resolves when it is that time, Unix microseconds, by a clock that may be set meanwhile.
pub(super) async fn until(clock: &dyn Clock, due_us: i64) {
    loop {
        let left_ms = (due_us - clock.now_us())
            .max(0)
            .unsigned_abs()
            .div_ceil(1000);
        if left_ms == 0 {
            return;
        }
        clock.sleep_ms(left_ms.min(NAP_MS)).await;
    }
}
