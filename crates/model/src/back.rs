//! With what someone asks to go back: where to, which risks they take, and what made them.

use crate::id::RecordHash;
use serde::{Deserialize, Serialize};

/// What going back is refused for, or avoids, unless someone takes it upon them with a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// The release was never verified in the environment.
    Unproven,
    /// What was there before had been changed by hand: the record is restored, and those changes are lost.
    Drift,
}

impl std::fmt::Display for Risk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Risk::Unproven => "unproven",
            Risk::Drift => "drift",
        })
    }
}

/// What was wrong with the release that someone goes back from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// It crashes, or does not start.
    Crash,
    /// Something does not work any more.
    BrokenFunction,
    /// It is slow.
    Slow,
    /// A migration of data.
    Migration,
    /// A cache.
    Cache,
    /// A stream or a queue.
    Streaming,
    /// Users see errors.
    UserErrors,
    /// Something else.
    Other,
}

impl std::fmt::Display for Trigger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Trigger::Crash => "crash",
            Trigger::BrokenFunction => "broken function",
            Trigger::Slow => "slow",
            Trigger::Migration => "migration",
            Trigger::Cache => "cache",
            Trigger::Streaming => "streaming",
            Trigger::UserErrors => "user-facing errors",
            Trigger::Other => "other",
        })
    }
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Back {
    /// To this record; absent: to what was there before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<RecordHash>,
    /// What they take upon them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accept: Vec<Risk>,
    /// What made them, if they said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Trigger>,
}

impl Back {
    /// Nothing in particular.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}
