//! Where a deployment stands, in a word.

use serde::{Deserialize, Serialize};

/// Where a deployment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Waits for its turn.
    Queued,
    /// Goes forward.
    Running,
    /// Waits for an approval, for time to pass, or for a person up to a deadline; holds the lock.
    Waiting,
    /// Someone asked it to begin no further step; holds the lock.
    Paused,
    /// Promoted, watched; holds the lock.
    Baking,
    /// Goes back.
    RollingBack,
    /// Cannot go on without a person; holds the lock.
    NeedsOperator,
    /// Over.
    Ended,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Phase::Queued => "queued",
            Phase::Running => "running",
            Phase::Waiting => "waiting",
            Phase::Paused => "paused",
            Phase::Baking => "baking",
            Phase::RollingBack => "rolling back",
            Phase::NeedsOperator => "needs operator",
            Phase::Ended => "ended",
        })
    }
}
