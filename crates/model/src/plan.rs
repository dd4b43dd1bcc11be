//! Plans: frozen steps with all inputs resolved.

use crate::config::Check;
use crate::id::RecordHash;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// The part of a move a step belongs to. A wave starts when the one before is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wave {
    /// The goal's capacity is brought up until it is ready.
    Grow,
    /// Traffic moves, and is seen to have moved.
    Switch,
    /// The rest is removed.
    Shrink,
}

/// Effect steps, the same words on every platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// In place.
    Deploy,
    /// The new release beside the old one, without traffic.
    Stage,
    /// A share of the traffic.
    Shift,
    /// All traffic.
    Promote,
    /// Stop what is not wanted any more.
    Retire,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verb::Deploy => "deploy",
            Verb::Stage => "stage",
            Verb::Shift => "shift",
            Verb::Promote => "promote",
            Verb::Retire => "retire",
        })
    }
}

/// One effect on one target, as its driver planned it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Effect {
    /// What kind of effect.
    pub verb: Verb,
    /// Which wave it belongs to.
    pub wave: Wave,
    /// In words: `start 2 instances of r2-1a2b3c4d`.
    pub title: String,
    /// The driver's own parameters; opaque to the engine.
    pub params: Value,
    /// Records whose content the driver needs to do it.
    pub records: Vec<RecordHash>,
    /// Whether doing it twice equals doing it once.
    pub idempotent: bool,
    /// What stays behind although the step is taken back; absent: nothing (I14).
    pub residue: Option<String>,
}

/// What verification looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Look {
    /// The new group itself, before it has traffic.
    Staged,
    /// The service as its users reach it, while the old group still serves a part.
    Live,
    /// The service after promotion, when nothing of the old release serves.
    Bake,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// A change of the platform.
    Effect(Effect),
    /// Checks that decide whether to go on.
    Verify {
        /// At what.
        look: Look,
        /// Which; empty: readiness is the only evidence.
        checks: Vec<Check>,
        /// How long to watch, milliseconds; zero: until every check has one answer.
        hold_ms: u64,
    },
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What it does.
    pub action: Action,
    /// When it is done the release is promoted: its record becomes good.
    pub promotes: bool,
    /// It belongs to the bake: the release is promoted already.
    pub bake: bool,
}

impl Step {
    /// One line for people.
    pub fn title(&self) -> String {
        match &self.action {
            Action::Effect(effect) => effect.title.clone(),
            Action::Verify {
                look,
                checks,
                hold_ms,
            } => {
                let what = match look {
                    Look::Staged => "verify the new instances",
                    Look::Live => "verify live",
                    Look::Bake => "bake",
                };
                match (checks.len(), hold_ms) {
                    (0, 0) => format!("{what} (readiness only)"),
                    (_, 0) => what.to_owned(),
                    (_, ms) => format!("{what} for {}", crate::config::Duration::from_ms(*ms)),
                }
            }
        }
    }
}

/// Steps on one target, one after the other. Phases on one target follow each other; phases on several may run side by
/// side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// Its name; where nobody gave one, the target's.
    pub name: String,
    /// The target all its steps touch.
    pub target: String,
    /// Phases that are over before this one begins, by their place in the plan; each comes earlier there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<u16>,
    /// In order.
    pub steps: Vec<Step>,
}

/// A frozen plan. Nothing that is edited later changes it (I7).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Format of this type, now 1.
    pub format: u16,
    /// In order.
    pub phases: Vec<Phase>,
    /// How many phases may run side by side, at least 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub parallel: u16,
}

fn one() -> u16 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_one(parallel: &u16) -> bool {
    *parallel == 1
}

impl Plan {
    /// Nothing to do.
    pub fn empty() -> Self {
        Self::of(Vec::new())
    }

    /// Phases one after the other as far as they say so, one at a time.
    pub fn of(phases: Vec<Phase>) -> Self {
        Self {
            format: 1,
            phases,
            parallel: 1,
        }
    }

    /// All steps, in order, as `StepId::index` counts them.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.phases.iter().flat_map(|phase| phase.steps.iter())
    }

    /// Number of steps.
    pub fn len(&self) -> usize {
        self.phases.iter().map(|phase| phase.steps.len()).sum()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
