//! Plans: frozen steps with all inputs resolved.

use crate::config::{Check, CommandLine, Duration};
use crate::id::{RecordHash, Scope};
use crate::policy::Rule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
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
    /// People say yes or no.
    Approve(Approval),
    /// Time passes.
    Wait {
        /// How long, milliseconds.
        ms: u64,
    },
    /// A command, or a call over HTTP.
    Run(Run),
}

/// Who has to say yes before a deployment goes on. A no is a failure that rolls back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// What is asked.
    pub title: String,
    /// Who may answer; empty: anyone.
    pub by: Vec<String>,
    /// How many of them have to say yes, at least 1.
    pub count: u16,
    /// How long they may take, milliseconds; absent: as long as they like.
    pub within_ms: Option<u64>,
}

impl Approval {
    /// Whether that person's answer counts: by their name, or by the part before an `@`.
    pub fn may(&self, actor: &str) -> bool {
        let name = actor.split_once('@').map_or(actor, |(name, _)| name);
        self.by.is_empty() || self.by.iter().any(|one| one == actor || one == name)
    }
}

/// Something of the user's own that is run once, and perhaps has a way back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// In words.
    pub title: String,
    /// What is run.
    pub call: Call,
    /// What takes it back; absent: nothing does.
    pub back: Option<Call>,
    /// How long it may take, milliseconds.
    pub timeout_ms: u64,
    /// What is done when nobody knows whether it was run.
    pub on_unknown: OnUnknown,
    /// What stays behind although the deployment goes back; absent: nothing (I14).
    pub residue: Option<String>,
    /// Whose files it runs in; absent: those of the record that the deployment leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordHash>,
}

/// What is run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Call {
    /// A command; done when it ends with 0.
    Command(CommandLine),
    /// A request; done when it is answered with a status from 200 to 299.
    Http {
        /// `POST`, `PUT` and the like.
        method: String,
        /// Where.
        url: String,
        /// Headers.
        #[serde(default)]
        header: BTreeMap<String, String>,
        /// Body.
        #[serde(default)]
        body: Option<String>,
    },
}

/// What is done when nobody knows whether something was run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknown {
    /// It is run again: doing it twice does no harm.
    Retry,
    /// It counts as failed, and is taken back.
    RollBack,
    /// A person says.
    #[default]
    Ask,
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
    /// What is done when it fails: its own rules, then those of its group, its phase and its deployment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_failure: Vec<Rule>,
}

impl Step {
    /// A step that does that and nothing else.
    pub fn of(action: Action) -> Self {
        Self {
            action,
            promotes: false,
            bake: false,
            on_failure: Vec::new(),
        }
    }

    /// Whether doing it may change the world.
    pub fn is_effect(&self) -> bool {
        match &self.action {
            Action::Effect(_) | Action::Run(_) => true,
            Action::Verify { .. } | Action::Approve(_) | Action::Wait { .. } => false,
        }
    }

    /// What it does to its target; absent: nothing.
    pub fn effect(&self) -> Option<&Effect> {
        match &self.action {
            Action::Effect(effect) => Some(effect),
            _ => None,
        }
    }

    /// Whether it only waits, for people or for time.
    pub fn waits(&self) -> bool {
        match &self.action {
            Action::Approve(_) | Action::Wait { .. } => true,
            Action::Effect(_) | Action::Verify { .. } | Action::Run(_) => false,
        }
    }

    /// What stays behind although it is taken back (I14).
    pub fn residue(&self) -> Option<&str> {
        match &self.action {
            Action::Effect(effect) => effect.residue.as_deref(),
            Action::Run(run) => run.residue.as_deref(),
            Action::Verify { .. } | Action::Approve(_) | Action::Wait { .. } => None,
        }
    }

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
                    (_, ms) => format!("{what} for {}", Duration::from_ms(*ms)),
                }
            }
            Action::Approve(approval) => approval.title.clone(),
            Action::Wait { ms } => format!("wait for {}", Duration::from_ms(*ms)),
            Action::Run(run) => run.title.clone(),
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
    /// The target all its steps touch; absent: they touch none.
    pub target: Option<String>,
    /// Phases that are over before this one begins, by their place in the plan; each comes earlier there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<u16>,
    /// In order.
    pub steps: Vec<Step>,
}

impl Phase {
    /// What tells it from the others of its plan: `network`, `eu`, `rest on eu`.
    pub fn label(&self, scope: &Scope) -> String {
        let Some(target) = &self.target else {
            return self.name.clone();
        };
        let scope = scope.to_string();
        let own = target.strip_prefix(&scope);
        let place = own.and_then(|own| own.strip_prefix('/')).unwrap_or(target);
        if self.name == *target {
            place.to_owned()
        } else if *target == scope {
            // The only one.
            self.name.clone()
        } else {
            format!("{} on {place}", self.name)
        }
    }
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

    /// The label of a step's phase; absent: all are of one, and it says nothing.
    pub fn label(&self, scope: &Scope, index: usize) -> Option<String> {
        let mut begin = 0;
        let mut own = None;
        let mut labels = std::collections::BTreeSet::new();
        for phase in self.phases.iter().filter(|phase| !phase.steps.is_empty()) {
            let label = phase.label(scope);
            let end = begin + phase.steps.len();
            if (begin..end).contains(&index) {
                own = Some(label.clone());
            }
            labels.insert(label);
            begin = end;
        }
        own.filter(|_| labels.len() > 1)
    }

    /// One line about a step for people, with its phase where there are several.
    pub fn title(&self, scope: &Scope, index: usize) -> Option<String> {
        let title = self.steps().nth(index)?.title();
        Some(match self.label(scope, index) {
            Some(label) => format!("{label}: {title}"),
            None => title,
        })
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
