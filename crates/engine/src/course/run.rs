//! The loop, and what all its parts ask: the fold, the target and its driver, what is there now.

use super::foreseen::Foreseen;
use super::hands::{Accepted, Hands, Note, Told};
use super::perform::Work;
use super::rest::Rest;
use super::sinks::Lines;
use crate::decide::{Command, Decision, decide};
use crate::fold::Deployment;
use crate::journal::Journal;
use crate::mutant::{self, Mutant};
use crate::ports::{Materials, Ports, StoreError};
use crate::targets::{self, Place, Targets};
use crate::{conclude, retry};
use belay_driver::{Context, Progress, Remark};
use belay_model::environment::View;
use belay_model::error::Failure;
use belay_model::event::{Event, Finish, Inputs, Outcome, RollbackResult};
use belay_model::id::{DeploymentId, StepId};
use belay_model::plan::{Action, Plan};
use belay_model::release::Record;
use belay_model::state::{State, States};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Longest time that one call that changes or follows something may take, milliseconds: far beyond what drivers wait for
/// themselves, so that one that hangs does not hang the deployment (I11).
pub const DEADLINE_MS: u64 = 2 * 60 * 60 * 1000;
/// The same for calls that only look.
pub const LOOK_MS: u64 = 5 * 60 * 1000;
/// How long calls in hand are waited for once no step begins any more (I12), microseconds.
const GRACE_US: i64 = 10_000_000;

/// How long what was seen counts as what is there on the way back: who goes back is in a hurry, and a driver refuses to change
/// what moved since.
const FRESH_US: i64 = 100_000;

/// Times that a driver measured, Unix microseconds by name.
pub(super) type Times = BTreeMap<String, i64>;

/// How a course left the worker.
pub enum Left {
    /// It ended.
    Ended,
    /// It waits for a person; its lock stays.
    Parked,
    /// Nothing is to be done until that is over; then it is taken again.
    Rests(Rest),
}

/// See the module.
pub struct Course {
    pub(super) ports: Ports,
    pub(super) journal: Journal,
    pub(super) id: DeploymentId,
    pub(super) hands: Hands,
    /// No step begins any more: something else takes the place of what is in flight, or nothing does.
    pub(super) is_halt: bool,
    /// Since when calls in hand are only waited for, Unix microseconds.
    halted_us: Option<i64>,
    /// Looks in a row at what is there that failed.
    blind: u32,
    /// When a target was seen as it was left, Unix microseconds; of those that nothing was begun on since.
    seen_us: BTreeMap<String, i64>,
}

impl Course {
    /// Takes a deployment over.
    pub async fn take(ports: Ports, owner: &str, id: &DeploymentId) -> Result<Self, StoreError> {
        let journal = Journal::open(ports.store.clone(), ports.clock.clone(), owner, id).await?;
        Ok(Self {
            ports,
            journal,
            id: id.clone(),
            hands: Hands::new(),
            is_halt: false,
            halted_us: None,
            blind: 0,
            seen_us: BTreeMap::new(),
        })
    }

    /// Goes on after a rest: what was at rest is in hand again, as far as the journal still says that it goes on.
    pub fn after(mut self, rest: Rest) -> Self {
        for (step, quiet) in rest.bakes {
            let state = self.journal.state();
            if state.ended.is_none() && state.is_under_way(step, quiet.attempt) {
                self.hands.rest(step, quiet, self.ports.clock.clone());
            }
        }
        self
    }

    /// Goes on until it ends, waits for a person, or only waits.
    ///
    /// # Errors
    /// The store cannot be used, or another worker has taken over; the deployment is as the journal says, and nothing
    /// of it is in hand any more.
    pub async fn run(&mut self) -> Result<Left, StoreError> {
        loop {
            let decision = decide(
                self.journal.state(),
                self.hands.steps(),
                self.journal.now_us(),
            );
            self.is_halt = decision.is_halt;
            if !decision.commands.is_empty() {
                tracing::debug!(deployment = %self.id, ?decision, "decided");
                self.obey(decision.commands).await?;
                continue;
            }
            if self.hands.steps().is_empty() && decision.until_us.is_none() {
                if !self.journal.is_only_claimed() && !self.journal.flush().await? {
                    continue;
                }
                let ended = self.journal.state().ended.is_some();
                return Ok(if ended { Left::Ended } else { Left::Parked });
            }
            if let Some(rest) = self.wait(&decision).await? {
                return Ok(Left::Rests(rest));
            }
        }
    }

    async fn obey(&mut self, commands: Vec<Command>) -> Result<(), StoreError> {
        let mut calls = Vec::new();
        let plans = self.state().plans.len();
        for command in commands {
            if self.state().plans.len() < plans {
                // A word that was heard first took back the way that these belong to.
                return Ok(());
            }
            match command {
                Command::Plan => self.plan().await?,
                Command::Perform(step) => calls.extend(self.intend(step).await?),
                Command::Settle(step) => self.settle(step),
                Command::Verify(step) => self.verify(step).await?,
                Command::Drop(step) => self.hands.drop(step),
                Command::Rollback(cause) => self.roll_back(cause, false).await?,
                Command::Replan => self.replan().await?,
                Command::HandOver(by) => self.hand_over(&by).await?,
                Command::Leave { cause, policy } => self.leave(&cause, policy).await?,
                Command::Await { step, within_ms } => self.begin_to_wait(step, within_ms),
                Command::Finish { step, failure } => {
                    if matches!(self.state().step(step).0.action, Action::Approve(_)) {
                        // A no that came before is heard first: what begins behind it cannot be taken back, perhaps.
                        self.journal.conclude();
                    }
                    let finish = failure.map_or(Finish::Done, Finish::Failed);
                    let attempt = self.state().step(step).1.last_attempt;
                    self.finish(step, attempt, finish, None, Times::new())
                        .await?;
                }
                Command::Lapse(step) => self.journal.push(Event::TimerFired { step }),
                Command::Confirm => self.confirm().await?,
                Command::Park {
                    step,
                    why,
                    until_ms,
                    then,
                } => self.journal.push(Event::Parked {
                    step,
                    why,
                    until_ms,
                    then,
                }),
                Command::End(outcome) => self.end(outcome).await?,
            }
        }
        if calls.is_empty() {
            return Ok(());
        }
        // P1: what these steps replace and that they begin is durable before they do anything.
        if !mutant::is(Mutant::ActsFirst) {
            self.journal.flush().await?;
        }
        if self.state().ended.is_some() {
            // Replaced before it had begun: then nothing of it begins.
            return Ok(());
        }
        for call in calls {
            // Not where a word was heard first, and the way that it belongs to is taken back.
            if call.is_under_way(self.state()) {
                self.perform(call);
            }
        }
        Ok(())
    }

    /// Until something in hand has to tell, something was appended, or it is time. Not here where all of it only waits.
    async fn wait(&mut self, decision: &Decision) -> Result<Option<Rest>, StoreError> {
        if !self.journal.flush().await? || self.state().ended.is_some() {
            return Ok(None);
        }
        if let Some(bakes) = self.hands.at_rest(self.journal.now_us()) {
            return Ok(Some(Rest {
                bakes,
                until_us: decision.until_us,
                generation: self.journal.generation(),
            }));
        }
        let now_us = self.journal.now_us();
        let is_short = decision.is_halt && self.hands.has_calls();
        let is_left = |id| self.is_accepted(id) && self.is_superseded(id);
        let wait_us = if self.hands.calls().all(is_left) {
            0
        } else {
            GRACE_US
        };
        let grace_us = is_short.then(|| *self.halted_us.get_or_insert(now_us) + wait_us);
        if grace_us.is_none() {
            self.halted_us = None;
        }
        if grace_us.is_some_and(|until_us| until_us <= now_us) {
            // Cut off: `decide` sees steps without an end and settles them.
            self.hands.drop_calls();
            self.halted_us = None;
            return Ok(None);
        }
        let until_us = grace_us.into_iter().chain(decision.until_us).min();
        let clock = self.ports.clock.clone();
        let store = self.ports.store.clone();
        let sleep = async {
            match until_us {
                Some(until_us) => {
                    let rest = u64::try_from((until_us - now_us).max(0) / 1000).unwrap_or(0);
                    clock.sleep_ms(rest + 1).await;
                }
                None => std::future::pending().await,
            }
        };
        let told = tokio::select! {
            biased;
            told = self.hands.told() => Some(told),
            () = store.changed(self.journal.generation()) => None,
            () = sleep => return Ok(None),
        };
        match told {
            Some(Told::Note(step, note)) => self.note(step, note).await?,
            Some(Told::Accepted(accepted)) => self.accepted(accepted).await?,
            // Taken over, perhaps: then nothing is done any more in our name (I6).
            None => self.journal.refresh().await.map(drop)?,
        }
        Ok(None)
    }

    async fn note(&mut self, step: StepId, note: Note) -> Result<(), StoreError> {
        match note {
            Note::Attempted {
                attempt,
                outcome,
                state,
            } => self.attempted(step, attempt, outcome, state).await,
            Note::Settled {
                attempt,
                finish,
                state,
            } => {
                self.finish(step, attempt, finish, state, Times::new())
                    .await
            }
            Note::Decided(verdict) => self.decided(step, verdict).await,
            Note::Rests(quiet) => {
                self.hands.rest(step, quiet, self.ports.clock.clone());
                Ok(())
            }
            Note::Stirs(quiet) => {
                // Not where a word that was heard in this moment has ended it.
                if self.state().is_under_way(step, quiet.attempt) {
                    self.watch(step, Some(quiet));
                }
                Ok(())
            }
        }
    }

    /// The handle is durable before the call is followed: whoever takes over can ask with it (I4).
    async fn accepted(&mut self, accepted: Accepted) -> Result<(), StoreError> {
        let Accepted {
            step,
            attempt,
            handle,
            go_on,
        } = accepted;
        self.journal.push(Event::Accepted {
            step,
            attempt,
            handle,
        });
        self.journal.flush().await?;
        // Who was dropped meanwhile does not listen.
        let _ = go_on.send(());
        Ok(())
    }

    pub(super) fn state(&self) -> &Deployment {
        self.journal.state()
    }

    pub(super) fn inputs(&self) -> &Inputs {
        self.state()
            .inputs
            .as_ref()
            .expect("decided on after Created")
    }

    pub(super) async fn view(&self) -> Result<Arc<View>, StoreError> {
        self.ports.store.view(&self.inputs().scope).await
    }

    /// All targets that this deployment may touch: those of its record first, then those of what was there before.
    pub(super) fn targets(&self) -> Result<Targets, Failure> {
        self.targets_with([])
    }

    pub(super) fn targets_with<'a>(
        &'a self,
        others: impl IntoIterator<Item = &'a Record>,
    ) -> Result<Targets, Failure> {
        let inputs = self.inputs();
        let found = self.state().takes_over.as_ref().map(|over| &*over.found);
        let baseline = self.state().baseline_goal.as_ref();
        let goals = [inputs.goal.as_ref(), baseline, found];
        let plans = self.state().plans.iter();
        let plans = plans.map(|run| run.goal.as_ref());
        let of_goals = goals.into_iter().chain(plans).flatten().flat_map(|goal| {
            // What serves at the goal knows best how its targets are reached.
            let serving = goal.record.as_ref().and_then(|hash| goal.records.get(hash));
            serving.into_iter().chain(goal.records.values())
        });
        let records = inputs.record.iter().chain(of_goals).chain(others);
        Targets::of(
            self.ports.drivers.as_ref(),
            records.flat_map(|record| &record.targets),
        )
    }

    /// The target that a step touches, and its driver.
    pub(super) fn place(&self, step: StepId) -> Result<Place, Failure> {
        let name = self.state().target_of(step).unwrap_or_default();
        let place = self.targets()?.get(name).cloned();
        place.ok_or_else(|| targets::unknown(name))
    }

    pub(super) fn context(
        &self,
        step: Option<StepId>,
        attempt: u32,
        material: Materials,
    ) -> Context {
        Context {
            deployment: self.id.clone(),
            step,
            attempt,
            epoch: self.state().epoch,
            deadline_ms: if step.is_some() { DEADLINE_MS } else { LOOK_MS },
            material,
            progress: self.lines(),
        }
    }

    pub(super) fn lines(&self) -> Arc<dyn Progress> {
        Arc::new(Lines {
            ports: self.ports.clone(),
            id: self.id.clone(),
        })
    }

    /// What is there on one target.
    pub(super) async fn observe_one(&self, place: &Place) -> Result<State, Failure> {
        let cx = self.context(None, 0, Arc::default());
        let seen = place.driver.observe(&cx, &place.target).await;
        seen.map_err(Failure::from)
    }

    /// A look failed that matters: after a pause it may succeed, unless something is said meanwhile. False: that was tried
    /// often enough.
    pub(super) async fn may_look_again(&mut self, failure: &Failure) -> Result<bool, StoreError> {
        if !retry::is_passing(failure.class) || self.blind + 1 >= retry::cap(failure.class, true) {
            self.blind = 0;
            return Ok(false);
        }
        self.blind += 1;
        self.journal.flush().await?;
        let pause_ms = retry::pause_ms(self.blind, failure.retry_after_ms);
        let (clock, store) = (self.ports.clock.clone(), self.ports.store.clone());
        let mut pause = std::pin::pin!(clock.sleep_ms(pause_ms));
        loop {
            tokio::select! {
                biased;
                () = store.changed(self.journal.generation()) => {
                    if self.journal.refresh().await? {
                        return Ok(true);
                    }
                }
                () = &mut pause => return Ok(true),
            }
        }
    }

    /// A look succeeded.
    pub(super) fn has_looked(&mut self) {
        self.blind = 0;
    }

    /// These were seen just now, and are left so.
    pub(super) fn has_seen<'a>(&mut self, targets: impl IntoIterator<Item = &'a str>) {
        let now_us = self.journal.now_us();
        let seen = targets.into_iter().map(|name| (name.to_owned(), now_us));
        self.seen_us.extend(seen);
    }

    /// Something begins on a step's target: whether it was seen only a moment ago.
    pub(super) fn was_just_seen(&mut self, step: StepId) -> bool {
        let name = self.state().target_of(step).unwrap_or_default().to_owned();
        let now_us = self.journal.now_us();
        let seen_us = self.seen_us.remove(&name);
        seen_us.is_some_and(|seen_us| (0..FRESH_US).contains(&(now_us - seen_us)))
    }

    /// What should be there on a step's target before it.
    pub(super) fn left_of(&self, step: StepId) -> State {
        let name = self.state().target_of(step).unwrap_or_default();
        match self.targets() {
            Ok(targets) => {
                let foreseen = Foreseen::before(self.state(), &targets, step);
                foreseen.states.of(name).clone()
            }
            Err(_) => self.state().left.of(name).clone(),
        }
    }

    /// For people, or for time.
    fn begin_to_wait(&mut self, id: StepId, within_ms: Option<u64>) {
        let attempt = self.state().step(id).1.last_attempt + 1;
        self.journal.push(Event::Started {
            step: id,
            attempt,
            fingerprint: String::new(),
            before: None,
        });
        if let Some(ms) = within_ms {
            let ms = i64::try_from(ms).unwrap_or(i64::MAX / 2000);
            let due_ms = self.journal.now_us() / 1000 + ms;
            self.journal.push(Event::TimerSet { step: id, due_ms });
        }
    }

    /// What is there on the targets, and what could not be observed.
    pub(super) async fn observe(&self, targets: &Targets) -> (States, Vec<Failure>) {
        let cx = self.context(None, 0, Arc::default());
        let (states, failures) = targets.observe(&cx).await;
        let failures = failures.into_iter().map(|(_, failure)| failure);
        (states, failures.collect())
    }

    /// What drivers have to say of a plan before anything changes.
    pub(super) async fn remarks(
        &self,
        targets: &Targets,
        from: &States,
        plan: &Plan,
    ) -> Vec<Remark> {
        let cx = self.context(None, 0, Arc::default());
        targets.remarks(&cx, from, plan).await
    }

    pub(super) async fn end(&mut self, outcome: Outcome) -> Result<(), StoreError> {
        let view = self.view().await?;
        let now_us = self.journal.now_us();
        self.journal.conclude();
        for event in conclude::on_end(self.journal.state(), &outcome, &view, now_us) {
            self.journal.push_environment(event);
        }
        let is_half_way = match &outcome {
            Outcome::Stopped => true,
            Outcome::Failed { rollback, .. } => *rollback == RollbackResult::Incomplete,
            Outcome::Succeeded | Outcome::Replaced { .. } => false,
        };
        let is_half_way = is_half_way && !self.state().plans.is_empty();
        if let Some(event) = is_half_way.then(|| self.half_way(&view)).flatten() {
            self.journal.push_environment(event);
        }
        self.push_end(outcome);
        self.journal.flush().await.map(drop)
    }

    /// Says with it what did not stop it (GitLab's `allow_failure`: passed, with warnings).
    pub(super) fn push_end(&mut self, outcome: Outcome) {
        let ended = self.ended(outcome);
        self.journal.push(ended);
    }

    pub(super) fn ended(&self, outcome: Outcome) -> Event {
        let state = self.state();
        let skipped = state.residue.iter().cloned();
        let is_named = matches!(outcome, Outcome::Succeeded);
        let skipped = skipped.filter(|_| is_named);
        let ignored = skipped.chain(state.ignored());
        let ignored = ignored.filter(|_| !mutant::is(Mutant::PassesInSilence));
        let ignored = ignored.collect();
        Event::Ended { outcome, ignored }
    }

    pub(super) fn work(&self, id: StepId) -> Work {
        match &self.state().step(id).0.action {
            Action::Effect(effect) => Work::Effect(effect.clone()),
            Action::Run(run) => Work::Run(run.clone()),
            _ => unreachable!("only what changes the world is performed"),
        }
    }
}
