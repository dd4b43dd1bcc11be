//! What a simulation has seen. One in which a thing never happened says nothing about that thing.

use std::collections::BTreeMap;
use std::fmt;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters(BTreeMap<String, u64>);

/// What has to move in any simulation of some thousand deployments.
const MUST_MOVE: &[&str] = &[
    "answers: Abandon",
    "answers: Abort",
    "answers: Retry",
    "answers: Skip",
    "asked: Abort",
    "asked: Advance",
    "asked: Approve",
    "asked: Pause",
    "asked: Reject",
    "asked: Resume",
    "asked: Stop",
    "asked: twice",
    "asked: too late",
    "asked: lost",
    "cuts: from the store",
    "cuts: from its answers",
    "cuts: from platforms",
    "deployments",
    "deployments: deploy",
    "deployments: return",
    "deployments: undo",
    "deployments: on several targets",
    "deployments: with phases",
    "deployments: queued behind another",
    "deployments: replaced while they waited",
    "ended: succeeded",
    "ended: stopped",
    "ended: unchanged",
    "ended: rolled back",
    "ended: limited",
    "ended: incomplete",
    "events",
    "faults: answer lost",
    "faults: broken half-way",
    "faults: late",
    "faults: refused",
    "faults: throttled",
    "foreign changes",
    "freezes",
    "freezes: by Belay",
    "hints: doubled",
    "hints: late",
    "hints: lost",
    "jumps of clocks",
    "kills",
    "late results",
    "locked out",
    "needs_operator",
    "rollbacks: automatic",
    "rollbacks: asked for",
    "rollbacks: of a phase",
    "runs of commands",
    "sick copies",
    "takeovers",
];

impl Counters {
    /// One more.
    pub fn count(&mut self, what: impl Into<String>) {
        self.add(what, 1);
    }

    /// So many more.
    pub fn add(&mut self, what: impl Into<String>, many: u64) {
        *self.0.entry(what.into()).or_default() += many;
    }

    /// How many so far.
    pub fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }

    /// Those of another simulation, too.
    pub fn merge(&mut self, other: &Self) {
        for (what, many) in &other.0 {
            self.add(what.clone(), *many);
        }
    }

    /// What should have happened and never did.
    pub fn still(&self) -> Vec<&'static str> {
        let never = |what: &&&str| self.of(what) == 0;
        MUST_MOVE.iter().filter(never).copied().collect()
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, many) in &self.0 {
            writeln!(f, "{many:>12}  {what}")?;
        }
        Ok(())
    }
}
