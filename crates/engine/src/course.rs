//! One deployment's course: ask `decide`, perform, append, ask again. The only place where the core meets the world.
//!
//! A value crosses a crash only through the journal: nothing kept here is needed to go on after SIGKILL.

use crate::decide::{self, Command, decide};
use crate::fold::Deployment;
use crate::journal::Journal;
use crate::ports::{Evidence, Ledger, Materials, Ports, Question, StoreError};
use crate::{conclude, goal, planning};
use async_trait::async_trait;
use belay_driver::{Applied, Context, Driver, Progress, Settled};
use belay_model::environment::View;
use belay_model::error::{Class, Failure};
use belay_model::event::{Cause, Event, Finish, Inputs, Kind, Outcome, RollbackResult};
use belay_model::id::{DeploymentId, StepId};
use belay_model::plan::{Action, Effect, Look, Plan};
use belay_model::release::Target;
use belay_model::state::{Goal, Health, State};
use belay_model::verdict::{self, Verdict};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Longest time that one attempt of an effect may take, milliseconds, beyond what the driver waits for itself.
pub const DEADLINE_MS: u64 = 30 * 60 * 1000;
/// How long a request in flight is waited for once someone asked to go back (I12).
const GRACE_MS: u64 = 10_000;
/// How often the instances are looked at while a verification watches, microseconds.
const LOOK_US: i64 = 1_000_000;
/// How long a bake is extended while the evidence does not say, milliseconds from its beginning.
const LONGEST_BAKE_MS: u64 = 30 * 60 * 1000;
/// How often in a row they must be seen unready before that is a verdict.
const UNREADY_LOOKS: u32 = 3;

/// How a course left the worker.
#[derive(Debug, PartialEq)]
pub enum Left {
    /// It ended.
    Ended,
    /// It waits for a person; its lock stays.
    Parked,
}

/// See the module.
pub struct Course {
    ports: Ports,
    journal: Journal,
    id: DeploymentId,
}

impl Course {
    /// Takes a deployment over.
    pub async fn take(ports: Ports, owner: &str, id: &DeploymentId) -> Result<Self, StoreError> {
        let journal = Journal::open(ports.store.clone(), ports.clock.clone(), owner, id).await?;
        Ok(Self {
            ports,
            journal,
            id: id.clone(),
        })
    }

    /// Goes on until it ends or waits for a person.
    ///
    /// # Errors
    /// The store cannot be used, or another worker has taken over; the deployment is as the journal says.
    pub async fn run(&mut self) -> Result<Left, StoreError> {
        loop {
            let command = decide(self.journal.state(), self.journal.now_us());
            tracing::debug!(deployment = %self.id, ?command, "decided");
            match command {
                Command::Plan => self.plan().await?,
                Command::Perform(step) => self.perform(step).await?,
                Command::Settle(step) => self.settle(step).await?,
                Command::Verify(step) => self.verify(step).await?,
                Command::Rollback(cause) => self.roll_back(cause).await?,
                Command::Confirm => self.confirm().await?,
                Command::Park { step, why } => self.journal.push(Event::Parked { step, why }),
                Command::End(outcome) => self.end(outcome).await?,
                Command::WaitUntil(at_us) => self.wait_until(at_us).await?,
                Command::Rest => {
                    if !self.journal.is_only_claimed() {
                        self.journal.flush().await?;
                    }
                    let ended = self.journal.state().ended.is_some();
                    return Ok(if ended { Left::Ended } else { Left::Parked });
                }
            }
        }
    }

    fn state(&self) -> &Deployment {
        self.journal.state()
    }

    fn inputs(&self) -> &Inputs {
        self.state()
            .inputs
            .as_ref()
            .expect("decided on after Created")
    }

    async fn view(&self) -> Result<View, StoreError> {
        Ok(View::of(
            &self
                .ports
                .store
                .environment(&self.inputs().scope, 0)
                .await?,
        ))
    }

    /// The target: that of the record, or of what the goal of an undo runs.
    fn target(&self) -> Target {
        let inputs = self.inputs();
        let from_goal = || {
            let goals = [inputs.goal.as_ref(), self.state().baseline_goal.as_ref()];
            goals
                .into_iter()
                .flatten()
                .find_map(|goal| goal.records.values().next())
        };
        let record = inputs.record.as_ref().or_else(from_goal);
        record.expect("a deployment names a record").target.clone()
    }

    fn driver(&self) -> Result<Arc<dyn Driver>, Failure> {
        let name = self.target().driver;
        self.ports.drivers.driver(&name).ok_or_else(|| {
            let message = format!("find the driver `{name}`: this belay was built without it");
            belay_driver::Error::not_applied(Class::Unknown, message).into()
        })
    }

    fn context(&self, step: Option<StepId>, attempt: u32, material: Materials) -> Context {
        Context {
            deployment: self.id.clone(),
            step,
            attempt,
            epoch: self.state().epoch,
            deadline_ms: DEADLINE_MS,
            material,
            progress: Arc::new(Lines {
                ports: self.ports.clone(),
                id: self.id.clone(),
            }),
        }
    }

    async fn observe(&self) -> Result<State, Failure> {
        let driver = self.driver()?;
        let cx = self.context(None, 0, Arc::default());
        driver
            .observe(&cx, &self.target())
            .await
            .map_err(Failure::from)
    }

    /// The lock is ours: capture what is there, freeze the plan.
    async fn plan(&mut self) -> Result<(), StoreError> {
        let view = self.view().await?;
        if let Some(why) = conclude::refusal(self.inputs(), &view) {
            self.end_unchanged(why);
            return Ok(());
        }
        let planned = match self.observe().await {
            Ok(baseline) => self
                .forward_plan(&view, &baseline)
                .map(|(plan, goal)| (plan, goal, baseline)),
            Err(failure) => Err(failure),
        };
        let (plan, goal, baseline) = match planned {
            Ok(planned) => planned,
            Err(failure) => {
                self.end_unchanged(format!("could not plan: {}", failure.message));
                return Ok(());
            }
        };
        let baseline_goal = Box::new(goal::of_state(&view, &baseline));
        for event in conclude::on_planned(&self.id, self.inputs(), &view) {
            self.journal.push_environment(event);
        }
        self.journal.push(Event::Planned {
            plan,
            baseline,
            baseline_goal,
            goal: Box::new(goal),
        });
        Ok(())
    }

    fn forward_plan(&self, view: &View, baseline: &State) -> Result<(Plan, Goal), Failure> {
        let driver = self.driver()?;
        let inputs = self.inputs();
        let target = self.target();
        let goal = match (&inputs.goal, &inputs.record) {
            (Some(goal), _) => goal.clone(),
            (None, Some(record)) => goal::of_record(driver.as_ref(), record),
            (None, None) => goal::of_state(view, &State::default()),
        };
        let plan = if inputs.kind == Kind::Deploy {
            planning::forward(driver.as_ref(), &target, baseline, &goal, inputs)
        } else {
            planning::back(driver.as_ref(), &target, baseline, &goal, &inputs.checks)
        };
        Ok((plan.map_err(Failure::from)?, goal))
    }

    /// Nothing was changed and nothing will be.
    fn end_unchanged(&mut self, why: String) {
        let outcome = Outcome::Failed {
            rollback: RollbackResult::None,
            residue: vec![why],
        };
        self.journal.push(Event::Ended { outcome });
    }

    async fn perform(&mut self, id: StepId) -> Result<(), StoreError> {
        let effect = self.effect(id);
        let attempt = self.state().step(id).1.last_attempt + 1;
        let fingerprint = fingerprint(&effect);
        self.journal.push(Event::Started {
            step: id,
            attempt,
            fingerprint,
        });
        // P1: what this step replaces and that it begins is durable before it does anything.
        self.journal.flush().await?;
        let outcome = self.apply(id, attempt, &effect).await?;
        let (finish, times) = match outcome {
            Some(Ok(times)) => (Finish::Done, times),
            Some(Err(failure)) => (Finish::Failed(failure), BTreeMap::new()),
            // Cut off: `decide` sees a step without an end and settles it.
            None => return Ok(()),
        };
        let state = self.observe().await.ok();
        let finished = Event::Finished {
            step: id,
            attempt,
            finish,
            state,
            times,
        };
        self.finish(id, &effect, finished).await
    }

    /// Journals the end of an attempt, what it means for the environment, and what someone else did meanwhile.
    async fn finish(
        &mut self,
        id: StepId,
        effect: &Effect,
        finished: Event,
    ) -> Result<(), StoreError> {
        let foreign = self.foreign(effect, &finished);
        self.journal.push(finished);
        conclude::after_step(&mut self.journal, &self.ports, id).await?;
        if !foreign.is_empty() && !self.state().goes_back() {
            // I10: forward, what someone else changed is theirs to judge; a retry goes on with it as it is.
            let why = format!(
                "someone else changed the target while Belay worked on it: {}; `retry` goes on with it as it is",
                foreign.join("; ")
            );
            self.journal.push(Event::Parked { step: None, why });
        }
        Ok(())
    }

    /// Differences between what is there and what it should be after this attempt, without what the step itself
    /// touches where it is not known to be done.
    fn foreign(&self, effect: &Effect, finished: &Event) -> Vec<String> {
        let (
            Event::Finished {
                finish,
                state: Some(now),
                ..
            },
            Ok(driver),
        ) = (finished, self.driver())
        else {
            return Vec::new();
        };
        let before = &self.state().left;
        let after = driver.after(&self.target(), before, effect);
        let touched: Vec<String> = driver
            .diff(&after, before)
            .0
            .into_iter()
            .map(|entry| entry.key)
            .collect();
        let expected = if *finish == Finish::Done {
            &after
        } else {
            before
        };
        let foreign = driver.diff(expected, now);
        let foreign = foreign
            .must()
            .filter(|entry| *finish == Finish::Done || !touched.contains(&entry.key));
        foreign
            .map(|entry| {
                format!(
                    "{}: expected {}, found {}",
                    entry.key, entry.want, entry.have
                )
            })
            .collect()
    }

    /// Applies and follows; none: it was cut off because someone asked to go back.
    #[allow(clippy::type_complexity)]
    async fn apply(
        &mut self,
        id: StepId,
        attempt: u32,
        effect: &Effect,
    ) -> Result<Option<Result<BTreeMap<String, i64>, Failure>>, StoreError> {
        let prepared = match self.driver() {
            Ok(driver) => self
                .material(effect)
                .await
                .map(|material| (driver, material)),
            Err(failure) => Err(failure),
        };
        let (driver, material) = match prepared {
            Ok(prepared) => prepared,
            Err(failure) => return Ok(Some(Err(failure))),
        };
        let cx = self.context(Some(id), attempt, material);
        let target = self.target();
        // On the way back a foreign change is captured and overwritten (I10): what is there counts, not what we left.
        let seen = if self.state().goes_back() {
            self.observe()
                .await
                .unwrap_or_else(|_| self.state().left.clone())
        } else {
            self.state().left.clone()
        };
        let effect = effect.clone();
        let call = tokio::spawn({
            let driver = driver.clone();
            let (cx, target, effect) = (cx.clone(), target.clone(), effect.clone());
            async move { driver.apply(&cx, &target, &effect, &seen).await }
        });
        let Some(applied) = self.unless_aborted(call).await? else {
            return Ok(None);
        };
        match applied {
            Ok(Applied::Done { times }) => Ok(Some(Ok(times))),
            Ok(Applied::Accepted { handle }) => {
                self.journal.push(Event::Accepted {
                    step: id,
                    attempt,
                    handle: handle.clone(),
                });
                self.journal.flush().await?;
                let settled = driver.settle(&cx, &target, &effect, Some(&handle)).await;
                Ok(Some(
                    settled.map(|_| BTreeMap::new()).map_err(Failure::from),
                ))
            }
            Err(error) => Ok(Some(Err(error.into()))),
        }
    }

    /// Waits for a call; once someone asks to go back, at most for the grace time (I12).
    async fn unless_aborted<T: Send + 'static>(
        &mut self,
        mut call: tokio::task::JoinHandle<T>,
    ) -> Result<Option<T>, StoreError> {
        let store = self.ports.store.clone();
        let clock = self.ports.clock.clone();
        let mut grace_from = None;
        loop {
            let asked = self.state().abort.is_some() || self.state().abandon.is_some();
            let now = self.journal.now_us();
            if asked && grace_from.is_none() {
                grace_from = Some(now);
            }
            let spent_ms =
                grace_from.map_or(0, |from| u64::try_from((now - from) / 1000).unwrap_or(0));
            if spent_ms >= GRACE_MS {
                call.abort();
                return Ok(None);
            }
            let rest = GRACE_MS - spent_ms;
            tokio::select! {
                biased;
                done = &mut call => {
                    return match done {
                        Ok(done) => Ok(Some(done)),
                        Err(error) => std::panic::resume_unwind(error.into_panic()),
                    };
                }
                () = store.changed(self.journal.generation()), if grace_from.is_none() => { self.journal.refresh().await?; }
                () = clock.sleep_ms(rest), if grace_from.is_some() => {}
            }
        }
    }

    async fn material(&self, effect: &Effect) -> Result<Materials, Failure> {
        let mut materials = BTreeMap::new();
        for hash in &effect.records {
            let Some(record) = self.state().record(hash) else {
                let message = format!(
                    "find record {}: the plan names it but no goal holds it",
                    hash.short()
                );
                return Err(belay_driver::Error::not_applied(Class::Unknown, message).into());
            };
            let material = self.ports.secrets.material(record).await.map_err(|error| {
                let message = format!("unseal the secrets of {}: {error}", record.title());
                Failure::from(belay_driver::Error::not_applied(Class::Unknown, message))
            })?;
            materials.insert(hash.clone(), material);
        }
        Ok(Arc::new(materials))
    }

    /// I4: settle, then observe, then compare. Nothing done: a new attempt. All done: done. Something done: a new
    /// attempt only if the step is idempotent, else it failed and nobody knows.
    async fn settle(&mut self, id: StepId) -> Result<(), StoreError> {
        let effect = self.effect(id);
        let (attempt, handle) = {
            let run = self.state().step(id).1;
            (run.last_attempt, run.handle.clone())
        };
        let before = self.state().left.clone();
        let (finish, state) = match self
            .look_after_loss(id, attempt, &effect, handle.as_ref(), &before)
            .await
        {
            Ok((finish, state)) => (finish, Some(state)),
            Err(failure) => (Finish::Failed(failure), None),
        };
        let finished = Event::Finished {
            step: id,
            attempt,
            finish,
            state,
            times: BTreeMap::new(),
        };
        self.finish(id, &effect, finished).await
    }

    async fn look_after_loss(
        &self,
        id: StepId,
        attempt: u32,
        effect: &Effect,
        handle: Option<&serde_json::Value>,
        before: &State,
    ) -> Result<(Finish, State), Failure> {
        let driver = self.driver()?;
        let target = self.target();
        let cx = self.context(Some(id), attempt, self.material(effect).await?);
        let settled = driver
            .settle(&cx, &target, effect, handle)
            .await
            .map_err(Failure::from)?;
        let now = driver.observe(&cx, &target).await.map_err(Failure::from)?;
        let is_done = is_there(driver.as_ref(), &target, effect, before, &now);
        let finish = if settled == Settled::Done || is_done {
            Finish::Done
        } else if effect.idempotent || driver.diff(before, &now).is_met() {
            Finish::Unknown
        } else {
            let message = format!(
                "finish \"{}\": it was interrupted and may not be repeated",
                effect.title
            );
            Finish::Failed(belay_driver::Error::maybe_applied(Class::Unknown, message).into())
        };
        Ok((finish, now))
    }

    async fn verify(&mut self, id: StepId) -> Result<(), StoreError> {
        let (look, checks, hold_ms) = match &self.state().step(id).0.action {
            Action::Verify {
                look,
                checks,
                hold_ms,
            } => (*look, checks.clone(), *hold_ms),
            Action::Effect(_) => unreachable!("verify is asked of verify steps"),
        };
        if self.state().step(id).1.status != crate::fold::Status::Started {
            let attempt = self.state().step(id).1.last_attempt + 1;
            self.journal.push(Event::Started {
                step: id,
                attempt,
                fingerprint: String::new(),
            });
            if hold_ms > 0 {
                let due_ms = self.journal.now_us() / 1000
                    + i64::try_from(hold_ms).unwrap_or(i64::MAX / 2000);
                self.journal.push(Event::TimerSet { step: id, due_ms });
            }
        }
        // The end of the effect before is durable while we watch: a crash in a bake must not lose a promotion.
        self.journal.flush().await?;
        let Some(record) = self.record_in_question() else {
            let verdict = nothing_to_ask();
            self.journal.push(Event::Verified { step: id, verdict });
            return Ok(());
        };
        let against = self.state().baseline_goal.as_ref().and_then(|goal| {
            goal.record
                .as_ref()
                .filter(|hash| **hash != record.hash())
                .and_then(|hash| goal.records.get(hash))
        });
        let question = Question {
            deployment: self.id.clone(),
            step: id,
            look,
            checks,
            hold_ms,
            since_us: self.state().step(id).1.started_us,
            target: self.target(),
            state: self.state().left.clone(),
            against: against.cloned(),
            record,
        };
        let Some(verdict) = self.answer_in_time(question).await? else {
            return Ok(());
        };
        if hold_ms > 0 {
            self.journal.push(Event::TimerFired { step: id });
        }
        self.journal.push(Event::Verified { step: id, verdict });
        conclude::after_step(&mut self.journal, &self.ports, id).await
    }

    fn record_in_question(&self) -> Option<belay_model::release::Record> {
        let (_, run) = self.state().current()?;
        let goal = run.goal.as_ref()?;
        goal.records.get(goal.record.as_ref()?).cloned()
    }

    /// A bake without enough evidence is extended before policy decides: traffic may come later.
    async fn answer_in_time(
        &mut self,
        mut question: Question,
    ) -> Result<Option<Verdict>, StoreError> {
        let bake_ms = question.hold_ms;
        loop {
            let Some(verdict) = self.answer(&question).await? else {
                return Ok(None);
            };
            let spent_ms =
                u64::try_from((self.journal.now_us() - question.since_us) / 1000).unwrap_or(0);
            let undecided =
                verdict.outcome == verdict::Outcome::Inconclusive && question.look == Look::Bake;
            if !undecided || spent_ms >= LONGEST_BAKE_MS {
                return Ok(Some(verdict));
            }
            question.hold_ms = (spent_ms + bake_ms.max(1000)).min(LONGEST_BAKE_MS);
            let line = format!("the bake is extended: {}", verdict.sentence);
            Lines {
                ports: self.ports.clone(),
                id: self.id.clone(),
            }
            .line(&line);
        }
    }

    /// Asks the verifier while watching the instances and the journal; none: someone asked for something else.
    async fn answer(&mut self, question: &Question) -> Result<Option<Verdict>, StoreError> {
        let ports = self.ports.clone();
        let keeper = Keeper {
            ports: ports.clone(),
            id: self.id.clone(),
        };
        let lines: Arc<dyn Progress> = Arc::new(Lines {
            ports: ports.clone(),
            id: self.id.clone(),
        });
        let verifying = ports.verifier.verify(question, &keeper, lines);
        tokio::pin!(verifying);
        let mut unready = 0;
        let mut look_us = self.journal.now_us() + LOOK_US;
        loop {
            let until_look_ms =
                u64::try_from((look_us - self.journal.now_us()).max(0) / 1000).unwrap_or(0);
            tokio::select! {
                biased;
                verdict = &mut verifying => return Ok(Some(verdict)),
                () = ports.store.changed(self.journal.generation()) => {
                    self.journal.refresh().await?;
                    let state = self.state();
                    if state.abort.is_some() || state.abandon.is_some() {
                        return Ok(None);
                    }
                }
                () = ports.clock.sleep_ms(until_look_ms), if question.hold_ms > 0 => {
                    look_us = self.journal.now_us() + LOOK_US;
                    let why = self.unready_instances(question).await;
                    unready = if why.is_some() { unready + 1 } else { 0 };
                    if let Some(why) = why.filter(|_| unready >= UNREADY_LOOKS) {
                        return Ok(Some(unready_verdict(question, &why)));
                    }
                }
            }
        }
    }

    async fn unready_instances(&self, question: &Question) -> Option<String> {
        let driver = self.driver().ok()?;
        let now = self.observe().await.ok()?;
        let own = driver.desired(&question.record);
        let sick = now.unhealthy();
        sick.into_iter().find(|line| {
            own.resources
                .keys()
                .any(|key| line.starts_with(key.as_str()))
        })
    }

    async fn roll_back(&mut self, cause: Cause) -> Result<(), StoreError> {
        let view = self.view().await?;
        let before = self.observe().await.ok();
        let number = u16::try_from(self.state().plans.len()).expect("rollbacks are bounded");
        let planned = self.way_back(&view, before.as_ref());
        let (goal, plan, mut remarks) = planned;
        if before.is_none() {
            remarks.push(
                "what is there now could not be observed, so this rollback cannot be taken back"
                    .to_owned(),
            );
        }
        for event in conclude::on_rollback(&self.id, self.inputs(), &cause, goal.as_ref(), &view) {
            self.journal.push_environment(event);
        }
        let why = remarks.last().cloned();
        let stuck = goal.is_none();
        let goal = goal.map(Box::new);
        self.journal.push(Event::RollbackPlanned {
            number,
            cause,
            goal,
            plan,
            before,
            remarks,
        });
        if stuck {
            let why = why.unwrap_or_else(|| "there is nothing to go back to".to_owned());
            self.journal.push(Event::Parked { step: None, why });
        }
        Ok(())
    }

    fn way_back(&self, view: &View, before: Option<&State>) -> (Option<Goal>, Plan, Vec<String>) {
        let nothing = Plan {
            format: 1,
            phases: Vec::new(),
        };
        let driver = match self.driver() {
            Ok(driver) => driver,
            Err(failure) => return (None, nothing, vec![failure.message]),
        };
        let (goal, mut remarks) = goal::undo(driver.as_ref(), view, self.state());
        if let Some(before) = before {
            let foreign = driver.diff(&self.state().left, before).lines();
            remarks.extend(
                foreign
                    .iter()
                    .map(|line| format!("changed by someone else: {line}")),
            );
        }
        let Some(goal) = goal else {
            return (None, nothing, remarks);
        };
        let from = before.unwrap_or(&self.state().left);
        match planning::back(
            driver.as_ref(),
            &self.target(),
            from,
            &goal,
            &self.inputs().checks,
        ) {
            Ok(plan) => (Some(goal), plan, remarks),
            Err(error) => {
                remarks.push(format!("failed to plan the way back: {error}"));
                (None, nothing, remarks)
            }
        }
    }

    /// I5: restored only when what is there equals the goal.
    async fn confirm(&mut self) -> Result<(), StoreError> {
        let unmet = match (self.driver(), self.observe().await) {
            (Ok(driver), Ok(now)) => {
                let (_, run) = self.state().current().expect("confirming a plan");
                let goal = run.goal.as_ref().expect("a plan with a goal");
                driver.diff(&goal.want, &now).lines()
            }
            (Err(failure), _) | (_, Err(failure)) => vec![failure.message],
        };
        let skipped = !self.state().residue.is_empty();
        if unmet.is_empty() || skipped {
            let outcome = decide::ending(self.state());
            return self.end(outcome).await;
        }
        let why = format!("the goal is not met: {}", unmet.join("; "));
        self.journal.push(Event::Parked {
            step: self.last_effect(),
            why,
        });
        Ok(())
    }

    /// The step that a retry repeats when the goal is not met though every step was done.
    fn last_effect(&self) -> Option<StepId> {
        let (plan, run) = self.state().current()?;
        let index = run
            .plan
            .steps()
            .position(|step| matches!(step.action, Action::Effect(_)))?;
        Some(StepId {
            plan,
            index: u16::try_from(index).ok()?,
        })
    }

    async fn end(&mut self, outcome: Outcome) -> Result<(), StoreError> {
        let view = self.view().await?;
        for event in conclude::on_end(self.journal.state(), &outcome, &view) {
            self.journal.push_environment(event);
        }
        self.journal.push(Event::Ended { outcome });
        self.journal.flush().await
    }

    async fn wait_until(&mut self, at_us: i64) -> Result<(), StoreError> {
        self.journal.flush().await?;
        let rest_ms = u64::try_from((at_us - self.journal.now_us()).max(0) / 1000 + 1).unwrap_or(1);
        tokio::select! {
            () = self.ports.clock.sleep_ms(rest_ms) => {}
            () = self.ports.store.changed(self.journal.generation()) => { self.journal.refresh().await?; }
        }
        Ok(())
    }

    fn effect(&self, id: StepId) -> Effect {
        match &self.state().step(id).0.action {
            Action::Effect(effect) => effect.clone(),
            Action::Verify { .. } => unreachable!("only effect steps are performed"),
        }
    }
}

/// Whether `now` shows the whole effect of a step on `before`. What a goal may lack (a group that nobody needs, one that
/// is not ready yet) a step may not: it was to bring just that.
fn is_there(
    driver: &dyn Driver,
    target: &Target,
    effect: &Effect,
    before: &State,
    now: &State,
) -> bool {
    let after = driver.after(target, before, effect);
    let missing = driver.diff(&after, now);
    let touched = driver.diff(&after, before).0;
    let is_whole = |key: &String| {
        let lacks = missing.0.iter().any(|entry| entry.key == *key);
        let is_sick = after.resources.contains_key(key)
            && now
                .resources
                .get(key)
                .is_some_and(|it| matches!(it.health, Health::Unhealthy(_)));
        !lacks && !is_sick
    };
    missing.is_met() && touched.iter().all(|entry| is_whole(&entry.key))
}

fn fingerprint(effect: &Effect) -> String {
    let text = serde_json::to_string(effect).unwrap_or_default();
    hex::encode(&Sha256::digest(text)[..8])
}

fn nothing_to_ask() -> Verdict {
    Verdict {
        outcome: verdict::Outcome::Pass,
        check: "nothing".to_owned(),
        sentence: "nothing serves at the goal, so there is nothing to verify".to_owned(),
        evidence: serde_json::Value::Null,
        first_bad_us: None,
    }
}

fn unready_verdict(question: &Question, why: &str) -> Verdict {
    Verdict {
        outcome: verdict::Outcome::Fail,
        check: "readiness".to_owned(),
        sentence: format!("{} is not ready any more: {why}", question.record.title()),
        evidence: serde_json::json!({ "seen": why, "looks": UNREADY_LOOKS }),
        first_bad_us: None,
    }
}

/// Progress lines into the store.
struct Lines {
    ports: Ports,
    id: DeploymentId,
}

impl Progress for Lines {
    fn line(&self, text: &str) {
        let (ports, id, text) = (self.ports.clone(), self.id.clone(), text.to_owned());
        tokio::spawn(async move {
            let at_us = ports.clock.now_us();
            if let Err(error) = ports.store.progress(&id, at_us, &text).await {
                tracing::debug!(%error, "a progress line was lost");
            }
        });
    }
}

/// Evidence into the ledger.
struct Keeper {
    ports: Ports,
    id: DeploymentId,
}

#[async_trait]
impl Ledger for Keeper {
    async fn keep(&self, evidence: Evidence) {
        if let Err(error) = self.ports.store.evidence(&self.id, vec![evidence]).await {
            tracing::warn!(%error, deployment = %self.id, "evidence was lost");
        }
    }
}
