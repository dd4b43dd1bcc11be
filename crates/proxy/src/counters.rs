//! Counters of one group: per second, by request start, and the times of its firsts and lasts.
//!
//! A second can change long after it is over (its requests end later), so every change stamps its
//! second with a sequence number; a reader that says where it stood gets what changed since.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use belay_proxy_api::{LATENCY_BOUNDS_MS, Second, Times};

const SECONDS_KEPT: usize = 3600;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorClass {
    Connect,
    Timeout,
    Status5xx,
    Aborted,
}

#[derive(Debug)]
pub(crate) struct Counters {
    /// Shared by all groups: one cursor for all.
    sequence: Arc<AtomicU64>,
    ring: Mutex<Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    /// Sorted by second.
    seconds: VecDeque<(u64, Second)>,
    times: Times,
    /// How often the group got in the table: what a request of an earlier stay does is counted
    /// in its second, but is no "first" of this stay.
    stay: u32,
}

impl Counters {
    pub(crate) fn new(sequence: Arc<AtomicU64>) -> Self {
        Self {
            sequence,
            ring: Mutex::default(),
        }
    }

    /// The group got in the table (again).
    pub(crate) fn enter_table(&self) {
        let mut ring = self.lock();
        ring.times = Times::default();
        ring.stay += 1;
    }

    /// Answers the stay that the request belongs to.
    pub(crate) fn started(&self, start_us: u64) -> u32 {
        let mut ring = self.lock();
        let times = &mut ring.times;
        times.first_started_us = Some(times.first_started_us.map_or(start_us, |t| t.min(start_us)));
        times.last_started_us = times.last_started_us.max(Some(start_us));
        self.change(&mut ring, start_us, |second| second.requests += 1);
        ring.stay
    }

    pub(crate) fn head(&self, start_us: u64, status: u16, latency_ms: u64) {
        let bucket = LATENCY_BOUNDS_MS.partition_point(|bound| *bound < latency_ms);
        self.change(&mut self.lock(), start_us, |second| {
            second.latency[bucket] += 1;
            if (400..500).contains(&status) {
                second.status_4xx += 1;
            }
        });
    }

    pub(crate) fn error(&self, start_us: u64, stay: u32, class: ErrorClass, now_us: u64) {
        let mut ring = self.lock();
        if ring.stay == stay {
            let times = &mut ring.times;
            times.first_error_us = Some(times.first_error_us.map_or(now_us, |t| t.min(now_us)));
            times.last_error_us = times.last_error_us.max(Some(now_us));
        }
        self.change(&mut ring, start_us, |second| {
            let errors = &mut second.errors;
            match class {
                ErrorClass::Connect => errors.connect += 1,
                ErrorClass::Timeout => errors.timeout += 1,
                ErrorClass::Status5xx => errors.status_5xx += 1,
                ErrorClass::Aborted => errors.aborted += 1,
            }
        });
    }

    pub(crate) fn client_gone(&self, start_us: u64) {
        self.change(&mut self.lock(), start_us, |second| second.client_gone += 1);
    }

    /// Read the sequence number for the next cursor before calling this.
    pub(crate) fn read(&self, since: u64) -> (Times, Vec<Second>) {
        let ring = self.lock();
        let changed = ring
            .seconds
            .iter()
            .filter(|(sequence, _)| *sequence > since);
        (ring.times, changed.map(|(_, second)| *second).collect())
    }

    /// The sequence number is taken under the ring's lock: a reader that knows the number and
    /// gets the lock afterwards sees the change.
    fn change(&self, ring: &mut Ring, start_us: u64, change: impl FnOnce(&mut Second)) {
        let sequence = self.sequence.fetch_add(1, Ordering::SeqCst) + 1;
        let second = start_us / 1_000_000;
        let seconds = &mut ring.seconds;
        let after = seconds
            .iter()
            .rposition(|(_, s)| s.second <= second)
            .map_or(0, |at| at + 1);
        let found = after > 0 && seconds[after - 1].1.second == second;
        if !found {
            // A request that ran for longer than the ring is long has no second any more.
            if after == 0 && seconds.len() >= SECONDS_KEPT {
                return;
            }
            seconds.insert(
                after,
                (
                    0,
                    Second {
                        second,
                        ..Second::default()
                    },
                ),
            );
        }
        let (stamp, second) = &mut seconds[if found { after - 1 } else { after }];
        *stamp = sequence;
        change(second);
        while seconds.len() > SECONDS_KEPT {
            seconds.pop_front();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::{Counters, ErrorClass};

    #[test]
    fn a_late_end_changes_the_second_of_its_start() {
        let sequence = Arc::new(AtomicU64::new(0));
        let counters = Counters::new(sequence.clone());
        counters.enter_table();
        let stay = counters.started(5_000_001);
        counters.started(7_000_000);
        let cursor = sequence.load(Ordering::SeqCst);
        assert!(counters.read(cursor).1.is_empty());
        counters.head(5_000_001, 500, 5);
        counters.error(5_000_001, stay, ErrorClass::Status5xx, 9_000_000);
        let (times, seconds) = counters.read(cursor);
        assert_eq!(seconds.len(), 1);
        assert_eq!((seconds[0].second, seconds[0].requests), (5, 1));
        assert_eq!(seconds[0].errors.status_5xx, 1);
        assert_eq!(seconds[0].latency[0], 1, "a bound is inclusive");
        assert_eq!(times.first_started_us, Some(5_000_001));
        assert_eq!(times.last_started_us, Some(7_000_000));
        assert_eq!(times.first_error_us, Some(9_000_000));
    }

    #[test]
    fn an_hour_is_kept() {
        let counters = Counters::new(Arc::default());
        for second in 0..4000 {
            counters.started(second * 1_000_000);
        }
        counters.head(1_000_000, 200, 1);
        let (_, seconds) = counters.read(0);
        assert_eq!(seconds.len(), 3600);
        assert_eq!(seconds[0].second, 400);
    }

    #[test]
    fn a_new_stay_has_its_own_firsts() {
        let counters = Counters::new(Arc::default());
        counters.enter_table();
        let stay = counters.started(1_000_000);
        counters.enter_table();
        counters.error(1_000_000, stay, ErrorClass::Aborted, 2_000_000);
        let (times, seconds) = counters.read(0);
        assert_eq!(times, belay_proxy_api::Times::default());
        assert_eq!(seconds[0].errors.aborted, 1);
    }
}
