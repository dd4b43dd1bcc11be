//! Looks at every event in the moment in which it is appended, when the world is as it is then: the invariants that a journal
//! alone cannot show. What must hold of an end is in `ended`.

use super::counters::Counters;
use super::ended;
use super::stage::{Ground, Report, name};
use super::story::Story;
use crate::{FakeClock, MemoryStore};
use belay_driver::{Context, Driver};
use belay_engine::fold::Deployment;
use belay_engine::ports::{Clock, Running};
use belay_model::environment::{Standing, View};
use belay_model::event::{Cause, Entry, Event, Inputs, Kind};
use belay_model::id::{DeploymentId, Scope};
use belay_model::plan::{Action, Effect, Plan, Wave};
use belay_model::state::{Goal, States};
use belay_model::summary::{Phase, Summary};
use std::collections::BTreeMap;
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
                remarks,
                ..
            } => {
                self.has_lock(id, inputs, "is planned");
                self.planned(inputs, plan, baseline, goal, remarks, batch);
            }
            Event::Started { step, attempt, .. } => {
                self.has_lock(id, inputs, "begins a step");
                if *attempt > TOO_MANY {
                    self.breach(format!("I11: attempt {attempt} of {step}"));
                }
            }
            Event::RollbackPlanned {
                cause, goal, plan, ..
            } => {
                let journal = self.store().journal(id);
                let earlier = journal.iter().take_while(|it| it.seq < entry.seq);
                let earlier: Vec<&Entry> = earlier.collect();
                self.goes_back(inputs, cause, goal.as_deref(), plan, &earlier);
            }
            Event::Parked { why, .. } if why.contains("a bug in Belay") => {
                self.breach(format!("{id}: {why}"));
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

    fn planned(
        &self,
        inputs: &Inputs,
        plan: &Plan,
        baseline: &States,
        goal: &Goal,
        remarks: &[String],
        batch: &[Entry],
    ) {
        let (here, view) = (self.here(&inputs.scope), self.store().view(&inputs.scope));
        let ground = self.ground(&inputs.scope);
        if plan.len() > LONGEST_PLAN {
            self.breach(format!("I11: a plan of {} steps", plan.len()));
        }
        if here.meddled_us.is_none() {
            for (name, world) in &ground.worlds {
                let lines = world.diff(baseline.of(name), &world.state()).lines();
                for line in lines {
                    self.breach(format!("I1: captured, and it is not so: {name}: {line}"));
                }
            }
        }
        if inputs.kind != Kind::Deploy {
            self.seals(&view, goal);
        } else {
            let frozen = inputs.scope.frozen_by().into_iter();
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
        self.foreign(inputs, &here, remarks, batch);
    }

    /// I10: what a stranger did between two deployments is for a person to judge, or told of on the way back.
    fn foreign(&self, inputs: &Inputs, here: &Here, remarks: &[String], batch: &[Entry]) {
        if !here.is_untold {
            return;
        }
        self.with_here(&inputs.scope, |here| here.is_untold = false);
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
    fn seals(&self, view: &View, goal: &Goal) {
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

    fn goes_back(
        &self,
        inputs: &Inputs,
        cause: &Cause,
        goal: Option<&Goal>,
        plan: &Plan,
        earlier: &[&Entry],
    ) {
        let view = self.store().view(&inputs.scope);
        self.count(match cause {
            Cause::Phase { .. } => "rollbacks: of a phase",
            Cause::Request { .. } => "rollbacks: asked for",
            _ => "rollbacks: automatic",
        });
        let before = earlier.iter().rposition(|entry| {
            matches!(entry.event, Event::RollbackPlanned { .. })
                || (inputs.kind != Kind::Deploy && matches!(entry.event, Event::Planned { .. }))
        });
        let since = earlier[before.unwrap_or(0)..].iter();
        let mut asked = since.filter(|entry| matches!(entry.event, Event::Signal { .. }));
        if before.is_some() && asked.next().is_none() {
            self.breach("I9: a rollback triggered another, and nobody asked");
        }
        if inputs.kind == Kind::Deploy && cause.is_automatic() && view.went_back.len() >= 3 {
            match &view.breaker {
                Some(_) => self.count("freezes: by Belay"),
                None => self.breach("I9: three went back by themselves, and nothing is frozen"),
            }
        }
        let Some(goal) = goal else { return };
        self.seals(&view, goal);
        let standing = goal.record.as_ref().and_then(|hash| view.records.get(hash));
        let is_touched = earlier
            .iter()
            .any(|entry| matches!(&entry.event, Event::Finished { state: Some(_), .. }));
        // Of what serves and is all there is, it may turn out only now.
        let is_own = goal.record
            == inputs
                .record
                .as_ref()
                .map(belay_model::release::Record::hash);
        if is_touched
            && !is_own
            && standing.is_some_and(|known| known.standing == Standing::Quarantined)
        {
            self.breach(format!(
                "P5: {} is quarantined and shall serve again",
                goal.title
            ));
        }
        if !matches!(cause, Cause::Phase { .. }) {
            self.covers(plan, earlier);
        }
        self.one_move(plan);
    }

    /// I2: every target that something was begun on.
    fn covers(&self, back: &Plan, earlier: &[&Entry]) {
        let plans: Vec<&Plan> = earlier
            .iter()
            .filter_map(|entry| match &entry.event {
                Event::Planned { plan, .. } | Event::RollbackPlanned { plan, .. } => Some(plan),
                _ => None,
            })
            .collect();
        for entry in earlier {
            let Event::Started { step, .. } = &entry.event else {
                continue;
            };
            let plan = plans[usize::from(step.plan)];
            let Some((phase, step)) = ended::step(plan, step.index) else {
                continue;
            };
            let is_effect = step.effect().is_some();
            if is_effect && !back.phases.iter().any(|it| it.target == phase.target) {
                self.breach(format!("I2: the way back leaves out {:?}", phase.target));
            }
        }
    }

    /// I13: one move per target, looked at once.
    fn one_move(&self, plan: &Plan) {
        for phase in &plan.phases {
            let moves = |wave: Wave| {
                move |step: &belay_model::plan::Step| {
                    step.effect().is_some_and(|effect| effect.wave == wave)
                }
            };
            let looks =
                |step: &belay_model::plan::Step| matches!(step.action, Action::Verify { .. });
            let look = phase.steps.iter().position(looks);
            let last = phase.steps.iter().rposition(moves(Wave::Switch));
            let is_effect = |step: &belay_model::plan::Step| step.effect().is_some();
            let others = plan.phases.iter().filter(|it| it.target == phase.target);
            let others = others.filter(|it| it.steps.iter().any(is_effect));
            let twice = phase.target.is_some() && others.count() > 1;
            if twice || look.zip(last).is_some_and(|(look, last)| look < last) {
                self.breach(format!(
                    "I13: {} goes back in more than one move",
                    phase.name
                ));
            }
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

    /// It waits for a person.
    pub(super) fn parked(&self, summary: &Summary) {
        let weather = self.story.weather;
        self.count("needs_operator");
        self.count(format!("needs_operator: {weather:?}"));
        let stuck = summary.stuck.as_deref().unwrap_or_default();
        // It may always turn out that nothing that proved itself is left.
        let is_last = stuck.contains("is quarantined, and no other release was ever good here");
        if weather.is_gentle() && !is_last {
            let id = &summary.id;
            self.breach(format!(
                "P2: {id} needs a person in {weather:?} weather: {stuck}"
            ));
        }
        if stuck.is_empty() {
            self.breach(format!(
                "P2: {} waits for a person and does not say why",
                summary.id
            ));
        }
        for behind in self.store().queue(&summary.scope).iter().skip(1) {
            let planned = |event: &Event| matches!(event, Event::Planned { .. });
            if self.store().any_event(behind, planned) {
                self.breach(format!(
                    "I12: {behind} went on although {} has the lock",
                    summary.id
                ));
            }
        }
        if summary.phase != Phase::NeedsOperator {
            self.breach(format!("P2: {} was answered and had not asked", summary.id));
        }
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
