//! What makes a finding from counts. The interface is what a sequential test needs as well: it is asked at every tick
//! with everything counted so far, may remember what it said before, and may say at any look that it has seen enough.

use crate::Arms;
use std::collections::BTreeMap;

/// What a look says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The candidate is bad: there is nothing to wait for.
    Fail,
    /// What was counted so far suffices to call it good. Whoever has to watch longer goes on and takes the last finding.
    Pass,
    /// Not enough was counted, or it does not say. Still so when the time is over: inconclusive, never a pass.
    Undecided,
}

/// What a look says, with what it was made from.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// It.
    pub decision: Decision,
    /// One sentence that stands alone, without a full stop.
    pub sentence: String,
    /// The numbers behind it by name, such as `candidate_error_rate`; units last. Finite.
    pub numbers: BTreeMap<&'static str, f64>,
}

/// What makes a finding from counts.
pub trait Rule: Send + Sync {
    /// Looks. `arms` is cumulative: each look sees what the one before saw, and more.
    fn look(&mut self, arms: &Arms) -> Finding;
}
