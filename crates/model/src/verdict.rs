//! Verdicts: what verification found, with what it was made from and one sentence.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a verification says. `Inconclusive` is never `Pass` (I8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Healthy, by evidence.
    Pass,
    /// Unhealthy, by evidence.
    Fail,
    /// The evidence does not say.
    Inconclusive,
}

/// A verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// What it says.
    pub outcome: Outcome,
    /// Which check decided, such as `http /health` or `traffic`.
    pub check: String,
    /// One sentence in plain words, that stands alone.
    pub sentence: String,
    /// What it was made from: the numbers and answers seen.
    pub evidence: Value,
    /// When the first bad request was answered, if the check can tell. Unix microseconds.
    pub first_bad_us: Option<i64>,
}
