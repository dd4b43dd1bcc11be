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
    "asked: lost",
    "asked: one of the queue",
    "asked: too late",
    "asked: twice",
    "called off while they waited",
    "capacity: an autoscaler",
    "capacity: in proportion",
    "capacity: more for the way than stays",
    "capacity: scaled by hand",
    "capacity: what was scaled stays",
    "commands taken back",
    "cuts: from its answers",
    "cuts: from platforms",
    "cuts: from the store",
    "deployments",
    "deployments: deploy",
    "deployments: hotfix",
    "deployments: on several targets",
    "deployments: queued behind another",
    "deployments: replaced while they waited",
    "deployments: return",
    "deployments: undo",
    "deployments: with phases",
    "ended: incomplete",
    "ended: limited",
    "ended: rolled back",
    "ended: stopped",
    "ended: succeeded",
    "ended: unchanged",
    "events",
    "failures: a person is asked for a while",
    "failures: by a rule of the deployment",
    "failures: by an inner rule",
    "failures: gone past",
    "failures: gone past, and not there",
    "failures: gone past, of a move",
    "failures: left as it is",
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
    "hotfixes: did not take over",
    "hotfixes: one is told to make way",
    "hotfixes: refused, as it goes back",
    "hotfixes: took over",
    "hotfixes: went back",
    "jumps of clocks",
    "kills",
    "late results",
    "leaps of clocks",
    "locked out",
    "needs_operator",
    "phases that went back alone",
    "promotions",
    "promotions: refused",
    "rollbacks: asked for",
    "rollbacks: automatic",
    "rollbacks: of a phase",
    "rollbacks: to a release",
    "runs of commands",
    "sick copies",
    "stalls",
    "takeovers",
    "to a release: is there",
    "to a release: refused",
    "to a release: returned to",
    "to a release: told",
    "turns: at once",
    "turns: one after the other",
    "turns: provisioning as it came",
    "turns: provisioning first",
    "turns: provisioning in reverse",
    "turns: provisioning last",
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

    /// Those whose names begin like that, without it.
    pub(super) fn with<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, u64)> {
        let all = self.0.iter();
        all.filter_map(move |(what, many)| Some((what.strip_prefix(prefix)?, *many)))
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
