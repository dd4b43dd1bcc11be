//! Verdicts from numbers: what the counts of two groups of instances say about the newer one.
//!
//! Pure: no clock, no I/O, no random numbers, and nothing of Belay's: whoever has counts can use it. A [`Rule`] is
//! asked again and again with what was counted so far; [`Thresholds`] is the plain one.
#![warn(missing_docs)]

mod counts;
mod histogram;
mod rule;
mod thresholds;
mod words;

pub use counts::{Arm, Arms, Counts};
pub use histogram::{Histogram, Malformed, Quantile};
pub use rule::{Decision, Finding, Rule};
pub use thresholds::Thresholds;
pub use words::{percent, span};
