//! The environment stream: what outlives deployments. Standing of records, what runs, clean-ups.
//!
//! `View` is the fold of the stream. It is pure; the store keeps the stream, and everybody folds it alike.

use crate::id::{DeploymentId, RecordHash, ReleaseNumber};
use crate::release::Record;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Of a record in its environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Not verified yet.
    Candidate,
    /// Promoted, and its verifications passed.
    Good,
    /// Good, and its bake ended, too.
    Baked,
    /// Rolled back: the same content is refused under any number until someone lifts it.
    Quarantined,
}

impl Standing {
    /// Whether going back to it is going to something that has proved itself (P5).
    pub fn is_good(self) -> bool {
        matches!(self, Standing::Good | Standing::Baked)
    }
}

impl std::fmt::Display for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Standing::Candidate => "candidate",
            Standing::Good => "good",
            Standing::Baked => "good, baked",
            Standing::Quarantined => "quarantined",
        })
    }
}

/// Events of the environment stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// A record is known here from now on.
    Recorded {
        /// It.
        record: Box<Record>,
    },
    /// A record's standing changed.
    Stands {
        /// Whose.
        record: RecordHash,
        /// To what.
        standing: Standing,
        /// By which deployment; absent: by a person.
        deployment: Option<DeploymentId>,
        /// Who.
        actor: Option<String>,
        /// Why, in one sentence.
        reason: Option<String>,
    },
    /// This is what serves from now on.
    Serves {
        /// The record; absent: nothing.
        record: Option<RecordHash>,
        /// Since which deployment.
        deployment: DeploymentId,
    },
    /// Something is kept warm and shall be removed later.
    CleanupDue {
        /// The deployment that left it.
        deployment: DeploymentId,
        /// The record whose instances are removed.
        record: RecordHash,
        /// When, Unix milliseconds.
        due_ms: i64,
    },
    /// The removal begins.
    CleanupStarted {
        /// Of which record.
        record: RecordHash,
    },
    /// It is removed.
    CleanupDone {
        /// Which record.
        record: RecordHash,
    },
    /// A deployment went back by itself: nobody had asked for it.
    WentBack {
        /// Which.
        deployment: DeploymentId,
    },
    /// No release goes out here until someone says so, or until a time. Rollbacks are never held up.
    Frozen {
        /// Who; absent: Belay itself, after too many rollbacks (I9).
        actor: Option<String>,
        /// Why.
        reason: String,
        /// Until when, Unix milliseconds; absent: until someone lifts it.
        until_ms: Option<i64>,
    },
    /// Releases go out again: every freeze that was said here is lifted.
    Thawed {
        /// Who.
        actor: String,
        /// Why.
        reason: Option<String>,
    },
    /// A quarantine was lifted: the failures of the record, and the releases that went back by themselves, count anew.
    BudgetRenewed {
        /// Whose quarantine.
        record: RecordHash,
        /// Who lifted it.
        actor: String,
        /// Why.
        reason: Option<String>,
    },
    /// It is needed again, or another deployment looks after it.
    CleanupCancelled {
        /// Which record.
        record: RecordHash,
        /// Why.
        reason: String,
    },
}

/// An event as stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Position in the stream, from 1.
    pub seq: u64,
    /// When, Unix microseconds.
    pub at_us: i64,
    /// Format of `event`, now 1.
    pub format: u16,
    /// What happened.
    pub event: Event,
}

/// A record as the environment knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// The record, with the number under which it came last.
    pub record: Record,
    /// Its standing.
    pub standing: Standing,
    /// Since when it has it, Unix microseconds.
    pub since_us: i64,
    /// Why, if someone or something said so.
    pub reason: Option<String>,
    /// The deployment that decided it.
    pub deployment: Option<DeploymentId>,
    /// When it was last seen to be good, Unix microseconds.
    pub good_at_us: Option<i64>,
    /// How often it was rolled back since its error budget began.
    pub failures: u32,
    /// When its error budget began anew, Unix microseconds; absent: it never did.
    pub budget_since_us: Option<i64>,
}

impl Known {
    /// What it stands for once its quarantine is lifted.
    pub fn lifted(&self) -> Standing {
        match self.good_at_us {
            Some(_) => Standing::Good,
            None => Standing::Candidate,
        }
    }

    /// What is said when its quarantine is lifted: its standing, and that its error budget begins anew. `deployment`: by
    /// which; absent: by a person.
    pub fn lift(
        &self,
        deployment: Option<&DeploymentId>,
        actor: &str,
        reason: Option<&str>,
    ) -> [Event; 2] {
        let (actor, reason) = (actor.to_owned(), reason.map(str::to_owned));
        [
            Event::Stands {
                record: self.record.hash(),
                standing: self.lifted(),
                deployment: deployment.cloned(),
                actor: Some(actor.clone()),
                reason: reason.clone(),
            },
            Event::BudgetRenewed {
                record: self.record.hash(),
                actor,
                reason,
            },
        ]
    }
}

/// No release goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// Who; absent: Belay itself (I9).
    pub actor: Option<String>,
    /// Why.
    pub reason: String,
    /// Until when, Unix milliseconds; absent: until someone lifts it.
    pub until_ms: Option<i64>,
    /// Since when, Unix microseconds.
    pub since_us: i64,
}

impl Freeze {
    /// By whom, and why.
    pub fn sentence(&self) -> String {
        let who = self.actor.as_deref().unwrap_or("Belay");
        format!("by {who}: {}", self.reason)
    }
}

/// A removal that is owed.
#[derive(Clone, Debug, PartialEq)]
pub struct Cleanup {
    /// Who left it.
    pub deployment: DeploymentId,
    /// When it is due, Unix milliseconds.
    pub due_ms: i64,
    /// Whether it has begun.
    pub started: bool,
}

/// The fold of an environment stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// Last sequence number seen.
    pub seq: u64,
    /// Records by content.
    pub records: BTreeMap<RecordHash, Known>,
    /// What served, oldest first; the last entry serves now.
    pub served: Vec<(Option<RecordHash>, DeploymentId)>,
    /// Removals owed, by record.
    pub cleanups: BTreeMap<RecordHash, Cleanup>,
    /// When deployments went back by themselves since deploys were last allowed again, Unix microseconds, oldest first.
    pub went_back: Vec<i64>,
    /// The freeze that a person said last and nobody lifted; its time may be over.
    pub freeze: Option<Freeze>,
    /// Belay's own (I9), which holds beside that of a person until someone lifts it.
    pub breaker: Option<Freeze>,
}

impl View {
    /// Folds a whole stream.
    pub fn of<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        let mut view = Self::default();
        for entry in entries {
            view.apply(entry);
        }
        view
    }

    /// Takes one more event in.
    pub fn apply(&mut self, entry: &Entry) {
        self.seq = entry.seq;
        match &entry.event {
            Event::Recorded { record } => {
                let known = self.records.entry(record.hash()).or_insert_with(|| Known {
                    record: (**record).clone(),
                    standing: Standing::Candidate,
                    since_us: entry.at_us,
                    reason: None,
                    deployment: None,
                    good_at_us: None,
                    failures: 0,
                    budget_since_us: None,
                });
                known.record = (**record).clone();
            }
            Event::Stands {
                record,
                standing,
                deployment,
                reason,
                ..
            } => {
                if let Some(known) = self.records.get_mut(record) {
                    known.standing = *standing;
                    known.since_us = entry.at_us;
                    known.reason.clone_from(reason);
                    known.deployment.clone_from(deployment);
                    known.failures += u32::from(*standing == Standing::Quarantined);
                    if standing.is_good() {
                        known.good_at_us = Some(entry.at_us);
                    }
                }
            }
            Event::Serves { record, deployment } => {
                // What serves again is not removed any more, whoever forgot to cancel it.
                if let Some(record) = record {
                    self.cleanups.remove(record);
                }
                self.served.push((record.clone(), deployment.clone()));
            }
            Event::CleanupDue {
                deployment,
                record,
                due_ms,
            } => {
                let cleanup = Cleanup {
                    deployment: deployment.clone(),
                    due_ms: *due_ms,
                    started: false,
                };
                self.cleanups.insert(record.clone(), cleanup);
            }
            Event::CleanupStarted { record } => {
                if let Some(cleanup) = self.cleanups.get_mut(record) {
                    cleanup.started = true;
                }
            }
            Event::WentBack { .. } => self.went_back.push(entry.at_us),
            Event::BudgetRenewed { record, .. } => {
                self.went_back.clear();
                if let Some(known) = self.records.get_mut(record) {
                    known.failures = 0;
                    known.budget_since_us = Some(entry.at_us);
                }
            }
            Event::Frozen {
                actor,
                reason,
                until_ms,
            } => {
                let freeze = Freeze {
                    actor: actor.clone(),
                    reason: reason.clone(),
                    until_ms: *until_ms,
                    since_us: entry.at_us,
                };
                match actor {
                    Some(_) => self.freeze = Some(freeze),
                    None => self.breaker = Some(freeze),
                }
            }
            Event::Thawed { .. } => {
                self.freeze = None;
                self.breaker = None;
                self.went_back.clear();
            }
            Event::CleanupDone { record } | Event::CleanupCancelled { record, .. } => {
                self.cleanups.remove(record);
            }
        }
    }

    /// The freezes that hold at that time, Unix milliseconds: Belay's own, and that of a person.
    pub fn frozen(&self, now_ms: i64) -> impl Iterator<Item = &Freeze> {
        let holds = move |freeze: &&Freeze| freeze.until_ms.is_none_or(|until| until > now_ms);
        self.breaker.iter().chain(&self.freeze).filter(holds)
    }

    /// The record that serves now.
    pub fn serving(&self) -> Option<&Known> {
        let (record, _) = self.served.last()?;
        self.records.get(record.as_ref()?)
    }

    /// The deployment that brought what serves now.
    pub fn serving_since(&self) -> Option<&DeploymentId> {
        self.served.last().map(|(_, deployment)| deployment)
    }

    /// What served before what serves now, newest first, each content once.
    pub fn served_before(&self) -> Vec<&Known> {
        let current = self.served.last().and_then(|(record, _)| record.clone());
        let mut seen = Vec::new();
        for (record, _) in self.served.iter().rev() {
            let Some(hash) = record else { continue };
            if Some(hash) != current.as_ref() && !seen.contains(&hash) {
                seen.push(hash);
            }
        }
        seen.into_iter()
            .filter_map(|hash| self.records.get(hash))
            .collect()
    }

    /// Records of a release number, newest standing first.
    pub fn of_release(&self, number: ReleaseNumber) -> Vec<&Known> {
        let mut found: Vec<_> = self
            .records
            .values()
            .filter(|known| known.record.release == number)
            .collect();
        found.sort_by_key(|known| std::cmp::Reverse(known.since_us));
        found
    }
}
