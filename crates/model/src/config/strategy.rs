//! How a release replaces the one before. Only the words: what they mean in steps is the engine's planning.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Duration, Percent};

/// How a release replaces the one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Strategy {
    /// All at once.
    Basic,
    /// A few instances at a time.
    Rolling,
    /// A full second set beside the first, then all traffic at once.
    BlueGreen,
    /// Growing shares of the traffic, then all of it. Needs a target that can split traffic.
    Canary(#[schemars(length(min = 1))] Vec<CanaryStep>),
}

impl Strategy {
    /// Whether it needs the release before to stand beside the new one.
    pub fn is_side_by_side(&self) -> bool {
        matches!(self, Self::BlueGreen | Self::Canary(_))
    }
}

/// One share of a canary. After the last one all traffic goes to the new release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CanaryStep {
    /// The new release's share of the traffic: above `0%`, at most `100%`, and more than in the step before.
    pub to: Percent,
    /// How long the share is watched before the next step. Required in every step but a last one with `to: 100%`.
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Duration>,
}
