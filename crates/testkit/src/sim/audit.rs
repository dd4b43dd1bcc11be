//! Looks at every event in the moment in which it is appended, when the world is as it is then: the invariants that a journal
//! alone cannot show. What must hold of an end is in `ended`.

use super::counters::Counters;
use super::ended;
use super::handed::Own;
use super::stage::{Ground, Report, name};
use super::story::Story;
use crate::{FakeClock, MemoryStore};
use belay_driver::Context;
use belay_engine::fold::Deployment;
use belay_engine::ports::{Clock, Running};
use belay_model::environment::{Standing, View};
use belay_model::event::{Ask, Entry, Event, Inputs, Kind};
use belay_model::id::{DeploymentId, Scope};
use belay_model::plan::{Effect, Plan};
use belay_model::state::Goal;
use belay_model::summary::{Phase, Summary};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Attempts of a step that no policy, cap or patience of a person explains (I11).
const TOO_MANY: u32 = 120;
/// Steps of a plan (I11).
const LONGEST_PLAN: usize = 500;

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
    counters: Counters,
    breaches: Vec<String>,
    /// Beginnings of commands, by deployment and text.
    runs: BTreeMap<(DeploymentId, String), u32>,
    /// Who has which place, and what was done there.
    pub(super) places: BTreeMap<Scope, Here>,
    /// What is known of deployments that have their plans.
    pub(super) owns: BTreeMap<DeploymentId, Own>,
    /// Commands in the order in which they began, and for whom.
    pub(super) ran: Vec<(DeploymentId, String)>,
    /// Those that needed a person.
    pub(super) parked: BTreeSet<DeploymentId>,
    order: Vec<DeploymentId>,
    inputs: BTreeMap<DeploymentId, Arc<Inputs>>,
}

/// What is known of a place.
#[derive(Clone, Default)]
pub(super) struct Here {
    /// When a stranger changed it last.
    pub(super) meddled_us: Option<i64>,
    /// Nobody was told of that yet.
    is_untold: bool,
    /// People or policies left it as it was, so that nobody knows what it should be.
    pub(super) is_rough: bool,
    /// How the last one ended is known to say what is there.
    pub(super) is_known: bool,
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

    pub(super) fn store(&self) -> Arc<MemoryStore> {
        self.store.upgrade().expect("it outlives its audit")
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

    /// A command begins; answers how often it had before.
    pub(super) fn ran(&self, running: &Running, text: &str) -> u32 {
        self.is_durable(&running.deployment, running.step, running.attempt, text);
        let mut seen = self.seen();
        seen.counters.count("runs of commands");
        let key = (running.deployment.clone(), text.to_owned());
        seen.ran.push(key.clone());
        let runs = seen.runs.entry(key).or_default();
        *runs += 1;
        *runs - 1
    }

    /// A call on an effect begins.
    pub(super) fn applies(&self, cx: &Context, effect: &Effect) {
        if let Some(step) = cx.step {
            self.is_durable(&cx.deployment, step, cx.attempt, &effect.title);
        }
        for record in &effect.records {
            let material = cx.material.get(record);
            if material.is_none_or(|material| material.record.hash() != *record) {
                let title = &effect.title;
                self.breach(format!("I7: \"{title}\" goes without the record as it was"));
            }
        }
    }

    /// I1, P1: that an attempt begins is in the journal before it does anything.
    fn is_durable(
        &self,
        id: &DeploymentId,
        step: belay_model::id::StepId,
        attempt: u32,
        what: &str,
    ) {
        let is_it = |event: &Event| matches!(event, Event::Started { step: it, attempt: nth, .. } if *it == step && *nth == attempt);
        if !self.store().any_event(id, is_it) {
            self.breach(format!(
                "I1: \"{what}\" begins, and the journal does not know"
            ));
        }
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
                self.foreign(inputs, takes_over.is_some(), remarks, batch);
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
                cause, goal, plan, ..
            } => {
                let earlier = self.until(id, entry);
                if cause.is_automatic() && inputs.kind == Kind::Deploy {
                    let deployment = Deployment::of(id.clone(), &earlier);
                    if deployment.plans.len() == 1 {
                        self.by_policy(&deployment, inputs, cause);
                    }
                }
                self.goes_back(id, inputs, cause, goal.as_deref(), plan, &earlier);
            }
            Event::Parked {
                step,
                why,
                until_ms,
                ..
            } => {
                if why.contains("a bug in Belay") {
                    self.breach(format!("{id}: {why}"));
                }
                let deployment = Deployment::of(id.clone(), &self.until(id, entry));
                match (until_ms, step) {
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
            Event::Ended { outcome, .. } => {
                let journal = self.store().journal(id);
                let deployment = Deployment::of(id.clone(), &journal);
                self.end_counted(outcome, &deployment);
                ended::judge(self, &deployment, inputs, outcome, &journal);
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

    fn created(&self, id: &DeploymentId, inputs: &Inputs) {
        let queue = self.store().queue(&inputs.scope);
        let mut seen = self.seen();
        seen.order.push(id.clone());
        seen.counters.count("deployments");
        seen.counters.count(match inputs.kind {
            Kind::Deploy => "deployments: deploy",
            Kind::Return { .. } => "deployments: return",
            Kind::Undo { .. } => "deployments: undo",
        });
        if inputs.hotfix.is_some() {
            seen.counters.count("deployments: hotfix");
        }
        if queue.len() > 1 {
            seen.counters.count("deployments: queued behind another");
        }
        if !inputs.phases.is_empty() {
            seen.counters.count("deployments: with phases");
        }
        if inputs
            .record
            .as_ref()
            .is_some_and(|record| record.targets.len() > 1)
        {
            seen.counters.count("deployments: on several targets");
        }
    }

    /// I12: the oldest that has not ended, and nobody else.
    fn has_lock(&self, id: &DeploymentId, inputs: &Inputs, what: &str) {
        let queue = self.store().queue(&inputs.scope);
        let seen = self.seen();
        let before = seen.order.iter().take_while(|it| *it != id);
        let older: Vec<&DeploymentId> = before.filter(|it| queue.contains(it)).collect();
        if !older.is_empty() {
            let breach = format!("I12: {id} {what}, and {older:?} are open");
            drop(seen);
            self.breach(breach);
        }
    }

    fn planned(&self, inputs: &Inputs, plan: &Plan, goal: &Goal) {
        let view = self.store().view(&inputs.scope);
        if plan.len() > LONGEST_PLAN {
            self.breach(format!("I11: a plan of {} steps", plan.len()));
        }
        if inputs.kind != Kind::Deploy {
            self.seals(&view, goal);
        } else {
            let passes = inputs.hotfix.is_some_and(|hotfix| hotfix.passes_freeze);
            let frozen = inputs.scope.frozen_by().into_iter();
            let frozen = frozen.filter(|_| !passes);
            let mut frozen = frozen.filter(|scope| {
                let view = self.store().view(scope);
                view.freeze.or(view.breaker).is_some()
            });
            if let Some(scope) = frozen.next() {
                self.breach(format!("I9: a release goes out although {scope} is frozen"));
            }
            let standing = inputs
                .record
                .as_ref()
                .and_then(|record| view.records.get(&record.hash()));
            if standing.is_some_and(|known| known.standing == Standing::Quarantined) {
                self.breach("P5: a quarantined release goes out");
            }
        }
    }

    /// I10: what a stranger did between two deployments is for a person to judge, or told of on the way back.
    fn foreign(&self, inputs: &Inputs, takes_over: bool, remarks: &[String], batch: &[Entry]) {
        let here = self.here(&inputs.scope);
        if !here.is_untold {
            return;
        }
        self.with_here(&inputs.scope, |here| here.is_untold = false);
        // What there was while the one before it worked, that one has taken in, perhaps.
        if takes_over {
            return;
        }
        let ground = self.ground(&inputs.scope);
        let is_stranger = |world: &crate::World| world.users().contains_key("stranger");
        let serves = self.store().view(&inputs.scope).serving().is_some();
        if !here.is_known || here.is_rough || !serves || !ground.worlds.values().any(is_stranger) {
            return;
        }
        let is_parked = batch
            .iter()
            .any(|entry| matches!(entry.event, Event::Parked { .. }));
        let is_told = remarks
            .iter()
            .any(|line| line.starts_with("changed by someone else"));
        if !is_told || (inputs.kind == Kind::Deploy && !is_parked) {
            self.breach("I10: a stranger's change is overwritten, and nobody was told");
        }
    }

    /// I7: secrets are the newest that are known here.
    pub(super) fn seals(&self, view: &View, goal: &Goal) {
        for (hash, record) in &goal.records {
            if record.hash() != *hash {
                self.breach(format!(
                    "I7: the record of {} is not as it was",
                    record.title()
                ));
            }
        }
        let is_back = goal.record.as_ref().and_then(|hash| {
            let sealed = &goal.records.get(hash)?.sealed;
            Some((sealed, &view.records.get(hash)?.record))
        });
        let was_silent = self
            .story
            .incidents
            .iter()
            .any(|incident| matches!(incident.trouble, super::story::Trouble::NoAnswers(..)));
        if let Some((sealed, newest)) = is_back
            && *sealed != newest.sealed
            && !was_silent
        {
            let title = newest.title();
            self.breach(format!(
                "I7: {title} would run with older secrets than there are"
            ));
        }
    }

    fn end_counted(&self, outcome: &belay_model::event::Outcome, deployment: &Deployment) {
        use belay_model::event::{Outcome, RollbackResult};
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
        if deployment.epoch == 0 {
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

    pub(super) fn report(&self, store: &MemoryStore) -> Report {
        let mut logs = Vec::new();
        for (ground, place) in self.grounds.iter().zip(&self.story.places) {
            for (nth, (target, world)) in ground.worlds.iter().enumerate() {
                // Where a stranger was, or a person left things half-way, what was there before may serve nobody.
                let here = self.here(&ground.scope);
                let is_odd = here.meddled_us.is_some() || here.is_rough;
                for breach in world.breaches() {
                    if !is_odd || breach.starts_with("I4") {
                        self.breach(breach);
                    }
                }
                let last = place.faults.iter().map(|(_, call, _)| *call + 1).max();
                let calls = last.unwrap_or(0) - world.faults_left();
                let here = place.faults.iter().filter(|(it, ..)| *it == nth);
                for (_, _, fault) in here.filter(|(_, call, _)| *call < calls) {
                    self.count(name(fault));
                }
                logs.push((target.clone(), world.log()));
            }
        }
        let weather = self.story.weather;
        let seen = self.seen();
        let mut counters = seen.counters.clone();
        counters.count(format!("stories: {weather:?}"));
        counters.add(
            format!("deployments: {weather:?}"),
            counters.of("deployments"),
        );
        Report {
            breaches: seen.breaches.clone(),
            counters,
            journals: seen
                .order
                .iter()
                .map(|id| (id.clone(), store.journal(id)))
                .collect(),
            logs,
        }
    }
}
