//! What was counted, for the release in question and for what it is compared with. Nothing is judged here.

use crate::Histogram;

/// What one group of instances answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that were answered, or that ended without an answer.
    pub requests: u64,
    /// Those of them that failed.
    pub errors: u64,
    /// How long they took.
    pub latency: Histogram,
}

impl Counts {
    /// Adds up. Latencies with other bucket bounds (a proxy of another version) cannot be added and are left out: a
    /// rule that needs latencies looks at how many there are, so what is missing makes it careful, never wrong.
    pub fn add(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.errors = self.errors.saturating_add(other.errors);
        self.latency.add(&other.latency);
    }

    /// Share of the requests that failed, 0.0 to 1.0; absent: there were none. More errors than requests is a
    /// contradiction and counts as all.
    pub fn error_rate(&self) -> Option<f64> {
        if self.requests == 0 {
            return None;
        }
        Some(self.errors.min(self.requests) as f64 / self.requests as f64)
    }
}

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arm {
    /// What people call it: `release 2`.
    pub title: String,
    /// What it answered.
    pub counts: Counts,
}

/// What a rule looks at: everything counted since the watching began (cumulative, not since the last look).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arms {
    /// The release in question.
    pub candidate: Arm,
    /// What it is compared with; absent: there is no such release (which is not the same as one without requests).
    pub baseline: Option<Arm>,
    /// How long the candidate has been watched, milliseconds; only for the sentence.
    pub span_ms: u64,
}
