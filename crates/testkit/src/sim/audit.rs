//! Looks at every event in the moment in which it is appended, when the world is as it is then: the invariants that a journal
//! alone cannot show. What must hold of an end is in `ended`.

use super::capacity::Scaled;
use super::counters::Counters;
use super::ended;
use super::handed::Own;
use super::stage::Ground;
use super::story::{Place, Story};
use crate::{FakeClock, MemoryStore};
use belay_engine::fold::Deployment;
use belay_engine::ports::Clock;
use belay_model::event::{Ask, Entry, Event, Inputs, Kind, Outcome};
use belay_model::id::{DeploymentId, Scope};
use belay_model::summary::{Phase, Summary};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Attempts of a step that no policy, cap or patience of a person explains (I11).
const TOO_MANY: u32 = 120;

/// See the module.
pub(super) struct Audit {
    pub(super) story: Story,
    pub(super) grounds: Arc<Vec<Ground>>,
    store: Weak<MemoryStore>,
    clock: Arc<FakeClock>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
pub(super) struct Seen {
    pub(super) counters: Counters,
    pub(super) breaches: Vec<String>,
    /// Beginnings of commands, by deployment and text.
    pub(super) runs: BTreeMap<(DeploymentId, String), u32>,
    /// Who has which place, and what was done there.
    pub(super) places: BTreeMap<Scope, Here>,
    /// What is known of deployments that have their plans.
    pub(super) owns: BTreeMap<DeploymentId, Own>,
    /// Commands in the order in which they began, and for whom.
    pub(super) ran: Vec<(DeploymentId, String)>,
    /// Those that needed a person.
    pub(super) parked: BTreeSet<DeploymentId>,
    pub(super) order: Vec<DeploymentId>,
    inputs: BTreeMap<DeploymentId, Arc<Inputs>>,
}

/// What is known of a place.
#[derive(Clone, Default)]
pub(super) struct Here {
    /// When a stranger changed it last.
    pub(super) meddled_us: Option<i64>,
    /// Nobody was told of that yet.
    pub(super) is_untold: bool,
    /// People or policies left it as it was, so that nobody knows what it should be.
    pub(super) is_rough: bool,
    /// How the last one ended is known to say what is there.
    pub(super) is_known: bool,
    /// What someone made of the scale of its targets last.
    pub(super) scaled: BTreeMap<String, Scaled>,
}

impl Audit {
    pub(super) fn new(
        story: &Story,
        store: &Arc<MemoryStore>,
        clock: &Arc<FakeClock>,
        grounds: Arc<Vec<Ground>>,
    ) -> Self {
        Self {
            story: story.clone(),
            grounds,
            store: Arc::downgrade(store),
            clock: clock.clone(),
            seen: Mutex::default(),
        }
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self, what: impl Into<String>) {
        self.seen().counters.count(what);
    }

    pub(super) fn add(&self, what: &str, many: usize) {
        self.seen().counters.add(what, many as u64);
    }

    /// Something that may never happen did.
    pub(super) fn breach(&self, what: impl Into<String>) {
        let (what, mut seen) = (what.into(), self.seen());
        if !seen.breaches.contains(&what) {
            seen.breaches.push(what);
        }
    }

    pub(super) fn here(&self, scope: &Scope) -> Here {
        self.seen().places.get(scope).cloned().unwrap_or_default()
    }

    pub(super) fn with_here(&self, scope: &Scope, change: impl FnOnce(&mut Here)) {
        change(self.seen().places.entry(scope.clone()).or_default());
    }

    pub(super) fn ground(&self, scope: &Scope) -> &Ground {
        let mut grounds = self.grounds.iter();
        grounds
            .find(|ground| ground.scope == *scope)
            .expect("a place")
    }

    /// The same as the story has it.
    pub(super) fn place(&self, scope: &Scope) -> &Place {
        let grounds = self.grounds.iter();
        let number = grounds.take_while(|ground| ground.scope != *scope).count();
        &self.story.places[number]
    }

    pub(super) fn store(&self) -> Arc<MemoryStore> {
        self.store.upgrade().expect("it outlives its audit")
    }

    pub(super) fn now_us(&self) -> i64 {
        self.clock.now_us()
    }

    /// A stranger was there.
    pub(super) fn meddled(&self, scope: &Scope) {
        self.count("foreign changes");
        let now_us = self.clock.now_us();
        self.with_here(scope, |here| {
            here.meddled_us = Some(now_us);
            here.is_untold = true;
        });
    }

    /// What was appended to a journal just now.
    pub(super) fn appended(&self, id: &DeploymentId, entries: &[Entry]) {
        let inputs = {
            let mut seen = self.seen();
            seen.counters.add("events", entries.len() as u64);
            if let Some(Event::Created(inputs)) = entries.first().map(|entry| &entry.event) {
                let inputs = Arc::new((**inputs).clone());
                seen.inputs.insert(id.clone(), inputs);
            }
            seen.inputs[id].clone()
        };
        for entry in entries {
            self.event(id, &inputs, entry, entries);
        }
    }

    fn event(&self, id: &DeploymentId, inputs: &Inputs, entry: &Entry, batch: &[Entry]) {
        match &entry.event {
            Event::Created(_) => self.created(id, inputs),
            // One behind `Created` is the first.
            Event::Claimed { .. } if entry.seq > 2 => self.count("takeovers"),
            Event::Planned {
                plan,
                baseline,
                goal,
                takes_over,
                remarks,
                ..
            } => {
                self.has_lock(id, inputs, "is planned");
                self.captured(id, inputs, plan, baseline, takes_over.as_deref());
                self.planned(inputs, plan, goal);
                self.is_good_there(inputs);
                match inputs.kind {
                    Kind::Deploy => self.needs_forward(id, inputs, remarks),
                    _ => self.needs_back(id, inputs, (goal, plan), baseline, remarks),
                }
                self.foreign(inputs, takes_over.is_some(), remarks, batch);
                if inputs.kind != Kind::Deploy {
                    self.asks_first(inputs, plan, remarks, batch);
                }
            }
            Event::Started {
                step,
                attempt,
                before,
                ..
            } => {
                self.has_lock(id, inputs, "begins a step");
                self.begins(id, inputs, *step, before.as_deref());
                if *attempt > TOO_MANY {
                    self.breach(format!("I11: attempt {attempt} of {step}"));
                }
            }
            Event::RollbackPlanned {
                cause,
                goal,
                plan,
                before,
                remarks,
                ..
            } => {
                self.asks_first(inputs, plan, remarks, batch);
                let earlier = self.until(id, entry);
                if cause.is_automatic() && inputs.kind == Kind::Deploy {
                    let deployment = Deployment::of(id.clone(), &earlier);
                    if deployment.plans.len() == 1 {
                        self.by_policy(&deployment, inputs, cause);
                    }
                }
                self.goes_back(id, inputs, cause, goal.as_deref(), plan, &earlier);
                if let (Some(goal), Some(before)) = (goal, before) {
                    self.needs_back(id, inputs, (goal, plan), before, remarks);
                }
            }
            Event::Parked {
                step,
                why,
                until_ms,
                then,
            } => {
                if why.contains("a bug in Belay") {
                    self.breach(format!("{id}: {why}"));
                }
                let deployment = Deployment::of(id.clone(), &self.until(id, entry));
                let cannot = step.filter(|_| deployment.goes_back());
                if let Some(step) = cannot {
                    let asks = (*until_ms, then.as_ref());
                    self.asks_for_capacity(&deployment, inputs, step, asks);
                }
                match (until_ms, step) {
                    (Some(_), Some(_)) if cannot.is_some() => {}
                    (Some(_), Some(step)) => self.asks_by_policy(&deployment, inputs, *step),
                    _ => self.needs_operator(&deployment, *step, why),
                }
            }
            Event::Signal {
                ask: Ask::Supersede { by: None },
                ..
            } => {
                self.count("hotfixes: did not take over");
            }
            Event::Ended { outcome, ignored } => {
                let journal = self.store().journal(id);
                let deployment = Deployment::of(id.clone(), &journal);
                self.end_counted(outcome, &deployment, &journal);
                ended::judge(self, &deployment, inputs, outcome, ignored, &journal);
            }
            _ => {}
        }
    }

    /// What stands before an event.
    fn until(&self, id: &DeploymentId, entry: &Entry) -> Vec<Entry> {
        let mut journal = self.store().journal(id);
        journal.retain(|it| it.seq < entry.seq);
        journal
    }

    fn end_counted(&self, outcome: &Outcome, deployment: &Deployment, journal: &[Entry]) {
        use belay_model::event::RollbackResult;
        self.count(match outcome {
            Outcome::Succeeded => "ended: succeeded",
            Outcome::Stopped => "ended: stopped",
            Outcome::Replaced { .. } => return self.count("ended: replaced"),
            Outcome::Failed { rollback, .. } => match rollback {
                RollbackResult::None => "ended: unchanged",
                RollbackResult::Complete => "ended: rolled back",
                RollbackResult::Limited => "ended: limited",
                RollbackResult::Incomplete => "ended: incomplete",
            },
        });
        if ended::is_called_off(deployment, journal) {
            self.count("called off while they waited");
        } else if deployment.epoch == 0 {
            self.breach(format!("I6: {} ended under no lease", deployment.id));
        }
    }

    /// Someone is about to answer it.
    pub(super) fn answered(&self, summary: &Summary) {
        let id = &summary.id;
        if summary.stuck.as_deref().unwrap_or_default().is_empty() {
            self.breach(format!("P2: {id} waits for a person and does not say why"));
        }
        if summary.phase != Phase::NeedsOperator {
            self.breach(format!("P2: {id} was answered and had not asked"));
        }
        let queue = self.store().queue(&summary.scope);
        self.keeps_its_lock(id, queue.get(1..).unwrap_or_default());
    }

    /// Nothing is open and nothing is owed.
    pub(super) fn at_rest(&self) {
        for ground in self.grounds.iter() {
            ended::at_rest(self, ground);
        }
    }
}
