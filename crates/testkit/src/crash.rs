//! Where a worker can be killed: every append (before, after) and every driver call (before, inside, after), counted
//! in the order in which they come. A killed worker's future never goes on; the scene drops it and starts another.

use crate::told::Told;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// A place where a kill is possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// `append`, `apply`, `observe`, `settle`.
    pub call: &'static str,
    /// `before`, `inside`, `after`.
    pub place: &'static str,
}

/// Counts points, and kills at one.
#[derive(Debug, Default)]
pub struct Crashes {
    seen: Mutex<Vec<Point>>,
    kill_at: Mutex<Option<usize>>,
    kill_each: Mutex<Option<(Point, u32)>>,
    killed: Notify,
    dead: AtomicBool,
    hold_at: Mutex<Option<usize>>,
    hold_at_look: Mutex<Option<usize>>,
    held: Notify,
    go_on: Notify,
    /// Whether its process stands still.
    still: Arc<Told<bool>>,
}

impl Crashes {
    /// Of a process that stands still while that is so.
    pub(crate) fn still_while(still: Arc<Told<bool>>) -> Self {
        Self {
            still,
            ..Self::default()
        }
    }

    /// Resolves when the process goes on.
    pub(crate) async fn is_going(&self) {
        self.still.until(|is_still| !is_still).await;
    }

    /// Kill at the n-th point from now, counted from 0.
    pub fn kill_at(&self, point: usize) {
        *self.kill_at.lock().expect("no panic while held") = Some(point);
        self.seen.lock().expect("no panic while held").clear();
    }

    /// Kill at the next points of a kind, one worker after the other.
    pub fn kill_each(&self, call: &'static str, place: &'static str, times: u32) {
        *self.kill_each.lock().expect("no panic while held") = Some((Point { call, place }, times));
    }

    /// Let a worker stand still at the n-th point from now, until it is let go.
    pub fn hold_at(&self, point: usize) {
        *self.hold_at.lock().expect("no panic while held") = Some(point);
        self.seen.lock().expect("no panic while held").clear();
    }

    /// Let a worker stand still when it looks what happened last, for the n-th time from now, until it is let go.
    pub fn hold_at_look(&self, look: usize) {
        *self.hold_at_look.lock().expect("no panic while held") = Some(look);
    }

    /// Resolves when a worker stands still.
    pub async fn held(&self) {
        self.held.notified().await;
    }

    /// It goes on.
    pub fn let_go(&self) {
        self.go_on.notify_one();
    }

    /// Points seen since the last `kill_at`.
    pub fn seen(&self) -> Vec<Point> {
        self.seen.lock().expect("no panic while held").clone()
    }

    /// Resolves when a worker was killed.
    pub async fn killed(&self) {
        self.killed.notified().await;
    }

    /// The next worker lives.
    pub fn revive(&self) {
        self.dead.store(false, Ordering::SeqCst);
    }

    /// A worker looks what happened last. That is no point to be killed at: nothing is begun or kept there.
    pub(crate) async fn look(&self) {
        let hold = {
            let mut hold_at = self.hold_at_look.lock().expect("no panic while held");
            let is_now = *hold_at == Some(0);
            *hold_at = hold_at.and_then(|at| at.checked_sub(1));
            is_now
        };
        if hold {
            self.stand_still().await;
        }
    }

    async fn stand_still(&self) {
        self.held.notify_one();
        self.go_on.notified().await;
    }

    /// A worker passes here; if it is to be killed here it does not come back.
    pub async fn pass(&self, call: &'static str, place: &'static str) {
        self.is_going().await;
        if self.dead.load(Ordering::SeqCst) {
            // A dead process does nothing, whichever of its tasks it is.
            std::future::pending::<()>().await;
        }
        let point = Point { call, place };
        let is_one_of_each = {
            let mut each = self.kill_each.lock().expect("no panic while held");
            let left = each
                .as_mut()
                .filter(|(kind, left)| *kind == point && *left > 0);
            left.map(|(_, left)| *left -= 1).is_some()
        };
        let index = {
            let mut seen = self.seen.lock().expect("no panic while held");
            seen.push(point);
            seen.len() - 1
        };
        let kill = {
            let mut kill_at = self.kill_at.lock().expect("no panic while held");
            let kill = *kill_at == Some(index);
            if kill {
                *kill_at = None;
            }
            kill || is_one_of_each
        };
        let hold = {
            let mut hold_at = self.hold_at.lock().expect("no panic while held");
            hold_at.take_if(|at| *at == index).is_some()
        };
        if hold {
            self.stand_still().await;
        }
        if kill {
            self.dead.store(true, Ordering::SeqCst);
            self.killed.notify_one();
            std::future::pending::<()>().await;
        }
    }
}
