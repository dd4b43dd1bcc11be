//! One attempt of an effect: journalled before it begins and when it ends, and compared with what is there then.

use super::foreseen::Foreseen;
use super::hands::{Accepted, Note};
use super::run::{Course, Times};
use crate::conclude;
use crate::fold::Deployment;
use crate::mutant::{self, Mutant};
use crate::ports::{Materials, Ports, Running, StoreError};
use crate::targets::{Place, Targets};
use belay_driver::{Applied, Context, Driver, Material, Settled};
use belay_model::error::{Class, Effect as Touched, Failure};
use belay_model::event::{Event, Finish};
use belay_model::id::StepId;
use belay_model::plan::{Action, Effect, Run};
use belay_model::release::{Record, Target};
use belay_model::state::State;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// An attempt that is journalled and may be made.
pub(super) struct Call {
    step: StepId,
    attempt: u32,
    work: Work,
}

impl Call {
    pub(super) fn is_under_way(&self, state: &Deployment) -> bool {
        state.is_under_way(self.step, self.attempt)
    }
}

/// What changes the world.
pub(super) enum Work {
    /// By a driver.
    Effect(Effect),
    /// By something of the user's own.
    Run(Run),
}

/// Why a phase does not begin.
enum Stays {
    /// Nobody can say what is there.
    Unseen(Failure),
    /// Someone else changed it.
    Foreign(String),
}

/// What has to be known of a step's own target where an earlier attempt may have done something.
pub(super) struct Doubt {
    /// What was there before the first attempt.
    pub(super) before: State,
    /// What a person was told of, and said that it be tried again; absent: nobody has seen it since.
    pub(super) told: Option<State>,
    pub(super) own: Targets,
    /// What should be there.
    pub(super) foreseen: Foreseen,
}

/// Everything that a call on an effect needs, apart from the course.
pub(super) struct Reach {
    pub(super) driver: Arc<dyn Driver>,
    pub(super) target: Target,
    cx: Context,
    records: Vec<Record>,
    pub(super) ports: Ports,
}

impl Course {
    /// Journals that an attempt begins.
    ///
    /// None: someone else changed the target before the phase began, and a person was asked; or nobody can say, and it is
    /// looked at again.
    ///
    /// # Errors
    /// The store cannot be used, or another worker has taken over.
    pub(super) async fn intend(&mut self, id: StepId) -> Result<Option<Call>, StoreError> {
        let work = self.work(id);
        let before = match self.look_again(id).await {
            Ok(before) => before.map(Box::new),
            Err(Stays::Unseen(failure)) => {
                if !self.may_look_again(&failure).await? {
                    let name = self.state().target_of(id).unwrap_or_default();
                    let why = format!("look at {name}: {}", failure.message);
                    self.journal.push(Event::parked(Some(id), why));
                }
                return Ok(None);
            }
            Err(Stays::Foreign(why)) => {
                self.journal.push(Event::parked(Some(id), why));
                return Ok(None);
            }
        };
        if before.is_some() {
            self.has_looked();
        }
        let attempt = self.state().step(id).1.last_attempt + 1;
        let fingerprint = fingerprint(&self.state().step(id).0.action);
        self.journal.push(Event::Started {
            step: id,
            attempt,
            fingerprint,
            before,
        });
        Ok(Some(Call {
            step: id,
            attempt,
            work,
        }))
    }

    /// I1: a later phase captures its target anew before it begins. If it moved since, someone else did it (I10).
    async fn look_again(&self, id: StepId) -> Result<Option<State>, Stays> {
        let (_, run) = self.state().current().expect("a step of the plan");
        let phase = run.phase_of(usize::from(id.index));
        let has_begun = |phase: usize| {
            let is_move = |index: usize| run.step(index).effect().is_some();
            let mut moves = run.range(phase).filter(|index| is_move(*index));
            moves.any(|index| run.steps[index].has_begun())
        };
        let is_first = !(0..run.plan.phases.len()).any(has_begun);
        let is_move = run.step(usize::from(id.index)).effect().is_some();
        if id.plan > 0 || !is_move || is_first || has_begun(phase) {
            return Ok(None);
        }
        let (Ok(targets), Some(name)) = (self.targets(), self.state().target_of(id)) else {
            return Ok(None);
        };
        let own = targets.only(|other| other == name);
        let Some(place) = own.get(name) else {
            return Ok(None);
        };
        let seen = self.observe_one(place).await.map_err(Stays::Unseen)?;
        let foreseen = Foreseen::of(self.state(), &own);
        let now = [(name.to_owned(), seen.clone())].into_iter().collect();
        let foreign = foreseen.foreign(&own, &now);
        if !foreign.is_empty() && !self.state().step(id).1.is_as_it_is {
            let changed = format!(
                "someone else changed {name} before its phase began: {}; `retry` goes on with it as it is",
                foreign.join("; ")
            );
            let why = self.explained(name, &seen, changed).await;
            return Err(Stays::Foreign(why));
        }
        Ok(Some(seen))
    }

    /// Takes the attempt in hand; that it begins is durable.
    pub(super) fn perform(&mut self, call: Call) {
        let Call {
            step,
            attempt,
            work,
        } = call;
        let effect = match work {
            Work::Effect(effect) => effect,
            Work::Run(run) => return self.perform_run(step, attempt, run),
        };
        // On the way back a foreign change is captured and overwritten (I10): what is there counts, not what we left, unless that was
        // seen just now.
        let is_back = self.state().goes_back();
        let is_fresh = self.was_just_seen(step);
        let left = self.left_of(step);
        let doubt = self.doubt_of(step, &effect, &left);
        let reach = self.reach(step, attempt, &effect);
        let acceptance = self.hands.acceptance();
        self.hands.call(step, async move {
            let reach = match reach {
                Ok(reach) => reach,
                Err(failure) => {
                    return Note::Attempted {
                        attempt,
                        outcome: Err(failure),
                        state: None,
                    };
                }
            };
            let seen = match doubt {
                Some(doubt) => reach.before_again(&effect, &doubt, is_back).await,
                None if is_back && !is_fresh => Ok(reach.observe().await.unwrap_or(left)),
                None => Ok(left),
            };
            let seen = match seen {
                Ok(seen) => seen,
                Err((outcome, state)) => {
                    return Note::Attempted {
                        attempt,
                        outcome: reach.explained(outcome, state.as_ref()).await,
                        state,
                    };
                }
            };
            let outcome = reach.apply(step, attempt, &effect, &seen, acceptance).await;
            let (outcome, state) = match outcome {
                Err(failure) if failure.effect == Touched::MaybeApplied => {
                    reach.after_doubt(&effect, &seen, failure).await
                }
                outcome => (outcome, reach.observe().await.ok()),
            };
            Note::Attempted {
                attempt,
                outcome: reach.explained(outcome, state.as_ref()).await,
                state,
            }
        });
    }

    /// Whether an earlier attempt may have done something: then it is looked at before it is tried again (I4).
    fn doubt_of(&self, step: StepId, effect: &Effect, left: &State) -> Option<Doubt> {
        let is_unseen = self.state().unseen.contains(&step);
        let before = self.state().step(step).1.before.as_deref();
        // What may be repeated is, whether the rest of it has come since or not.
        let before = before.filter(|_| !effect.idempotent);
        if !is_unseen && before.is_none() {
            return None;
        }
        let (targets, name) = (self.targets().ok()?, self.state().target_of(step)?);
        let own = targets.only(|other| other == name);
        Some(Doubt {
            before: before.unwrap_or(left).clone(),
            told: (!is_unseen).then(|| left.clone()),
            foreseen: Foreseen::of(self.state(), &own),
            own,
        })
    }

    fn perform_run(&mut self, step: StepId, attempt: u32, run: Run) {
        let own = run
            .record
            .as_ref()
            .and_then(|hash| self.state().record(hash));
        let record = own.or(self.inputs().record.as_ref()).cloned();
        let (deployment, ports) = (self.id.clone(), self.ports.clone());
        let progress = self.lines();
        self.hands.call(step, async move {
            let run = async {
                let material = match &record {
                    Some(record) => Some(material(&ports, record).await?),
                    None => None,
                };
                let running = Running {
                    deployment,
                    step,
                    attempt,
                    material,
                    timeout_ms: run.timeout_ms,
                    call: run.call,
                };
                ports.runner.run(&running, progress).await
            };
            let outcome = run.await;
            Note::Attempted {
                attempt,
                outcome: outcome.map(|()| Times::new()),
                state: None,
            }
        });
    }

    pub(super) async fn attempted(
        &mut self,
        id: StepId,
        attempt: u32,
        outcome: Result<Times, Failure>,
        state: Option<State>,
    ) -> Result<(), StoreError> {
        let (finish, times) = match outcome {
            Ok(times) => (Finish::Done, times),
            Err(failure) => (Finish::Failed(failure), Times::new()),
        };
        self.finish(id, attempt, finish, state, times).await
    }

    /// Journals the end of an attempt, what it means for the environment, and what someone else did meanwhile.
    pub(super) async fn finish(
        &mut self,
        id: StepId,
        attempt: u32,
        finish: Finish,
        state: Option<State>,
        times: Times,
    ) -> Result<(), StoreError> {
        let foreign = self.foreign(id, &finish, state.as_ref());
        let why = match (&state, self.state().goes_back()) {
            (Some(now), false) if !foreign.is_empty() => {
                let changed = format!(
                    "someone else changed the target while Belay worked on it: {}; `retry` goes on with it as it is",
                    foreign.join("; ")
                );
                let name = self.state().target_of(id).unwrap_or_default();
                Some(self.explained(name, now, changed).await)
            }
            _ => None,
        };
        if state.is_some() {
            let name = self.state().target_of(id).map(str::to_owned);
            self.has_seen(name.as_deref());
        }
        self.journal.push(Event::Finished {
            step: id,
            attempt,
            finish,
            state,
            times,
        });
        conclude::after_step(&mut self.journal, &self.ports, id).await?;
        if let Some(why) = why.filter(|_| !self.state().goes_back()) {
            // I10: forward, what someone else changed is theirs to judge; a retry goes on with it as it is.
            self.journal.push(Event::parked(None, why));
        }
        Ok(())
    }

    /// Differences between what is there and what it should be after this attempt, without what the step itself
    /// touches where it is not known to be done.
    fn foreign(&self, id: StepId, finish: &Finish, now: Option<&State>) -> Vec<String> {
        let (Some(now), Ok(targets)) = (now, self.targets()) else {
            return Vec::new();
        };
        let name = self.state().target_of(id).unwrap_or_default();
        let (Some(Place { target, driver }), Work::Effect(effect)) =
            (targets.get(name), &self.work(id))
        else {
            return Vec::new();
        };
        let foreseen = Foreseen::before(self.state(), &targets, id);
        let before = foreseen.states.of(name);
        let after = driver.after(target, before, effect);
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
            .filter(|entry| *finish == Finish::Done || !touched.contains(&entry.key))
            .filter(|entry| !foreseen.is_doubtful(name, entry));
        foreign
            .map(|entry| {
                format!(
                    "{}: expected {}, found {}",
                    entry.key, entry.want, entry.have
                )
            })
            .collect()
    }

    /// # Errors
    /// This Belay lacks the driver, or the plan names a record that nobody holds.
    pub(super) fn reach(
        &self,
        step: StepId,
        attempt: u32,
        effect: &Effect,
    ) -> Result<Reach, Failure> {
        let place = self.place(step)?;
        let record = |hash: &belay_model::id::RecordHash| {
            self.state().record(hash).cloned().ok_or_else(|| {
                let message = format!(
                    "find record {}: the plan names it but no goal holds it",
                    hash.short()
                );
                belay_driver::Error::not_applied(Class::Unknown, message).into()
            })
        };
        let records: Result<Vec<Record>, Failure> = effect.records.iter().map(record).collect();
        Ok(Reach {
            driver: place.driver,
            target: place.target,
            cx: self.context(Some(step), attempt, Arc::default()),
            records: records?,
            ports: self.ports.clone(),
        })
    }
}

impl Reach {
    /// Of calls that run nothing.
    pub(super) fn context(&self) -> &Context {
        &self.cx
    }

    pub(super) async fn observe(&self) -> Result<State, Failure> {
        let seen = self.driver.observe(&self.cx, &self.target).await;
        seen.map_err(Failure::from)
    }

    /// The call's context with everything that it may need to run its records.
    pub(super) async fn equipped(&self) -> Result<Context, Failure> {
        Ok(Context {
            material: self.material().await?,
            ..self.cx.clone()
        })
    }

    /// Applies, and follows what the platform only accepted.
    async fn apply(
        &self,
        step: StepId,
        attempt: u32,
        effect: &Effect,
        seen: &State,
        acceptance: mpsc::UnboundedSender<Accepted>,
    ) -> Result<Times, Failure> {
        let cx = self.equipped().await?;
        let applied = self.driver.apply(&cx, &self.target, effect, seen).await?;
        let handle = match applied {
            Applied::Done { times } => return Ok(times),
            Applied::Accepted { handle } => handle,
        };
        let (go_on, told) = oneshot::channel();
        let accepted = Accepted {
            step,
            attempt,
            handle: handle.clone(),
            go_on,
        };
        if acceptance.send(accepted).is_err() || told.await.is_err() {
            // The course is gone, and this with it at its next await.
            std::future::pending::<()>().await;
        }
        let settled = self
            .driver
            .settle(&cx, &self.target, effect, Some(&handle))
            .await;
        // It was accepted: that it could not be followed says nothing about what it does.
        let lost_sight = |error| {
            let mut failure = Failure::from(error);
            if !mutant::is(Mutant::ForgetsWhatWasAccepted) {
                failure.effect = Touched::MaybeApplied;
            }
            failure
        };
        match settled.map_err(lost_sight)? {
            Settled::Done => Ok(Times::new()),
            Settled::Quiet => {
                // It is over, and only the world tells whether it was done: the platform may have broken it off.
                let message = format!(
                    "see \"{}\" done: it was accepted and broken off",
                    effect.title
                );
                let error = belay_driver::Error::maybe_applied(Class::Connectivity, message);
                Err(error.into())
            }
        }
    }

    async fn material(&self) -> Result<Materials, Failure> {
        let mut materials = BTreeMap::new();
        for record in &self.records {
            materials.insert(record.hash(), material(&self.ports, record).await?);
        }
        Ok(Arc::new(materials))
    }
}

/// A record with its secrets.
async fn material(ports: &Ports, record: &Record) -> Result<Material, Failure> {
    ports.secrets.material(record).await.map_err(|error| {
        let message = format!("unseal the secrets of {}: {error}", record.title());
        belay_driver::Error::not_applied(Class::Unknown, message).into()
    })
}

fn fingerprint(action: &Action) -> String {
    let text = serde_json::to_string(action).unwrap_or_default();
    hex::encode(&Sha256::digest(text)[..8])
}
