//! One attempt of an effect: journalled before it begins and when it ends, and compared with what is there then.

use super::hands::{Accepted, Note};
use super::run::{Course, Times};
use crate::conclude;
use crate::ports::{Materials, Ports, StoreError};
use crate::targets::Place;
use belay_driver::{Applied, Context, Driver, Settled};
use belay_model::error::{Class, Effect as Touched, Failure};
use belay_model::event::{Event, Finish};
use belay_model::id::StepId;
use belay_model::plan::Effect;
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
    effect: Effect,
}

/// Everything that a call on an effect needs, apart from the course.
pub(super) struct Reach {
    pub(super) driver: Arc<dyn Driver>,
    pub(super) target: Target,
    cx: Context,
    records: Vec<Record>,
    ports: Ports,
}

impl Course {
    /// Journals that an attempt begins.
    pub(super) fn intend(&mut self, id: StepId) -> Call {
        let effect = self.effect(id);
        let attempt = self.state().step(id).1.last_attempt + 1;
        let fingerprint = fingerprint(&effect);
        self.journal.push(Event::Started {
            step: id,
            attempt,
            fingerprint,
        });
        Call {
            step: id,
            attempt,
            effect,
        }
    }

    /// Takes the attempt in hand; that it begins is durable.
    pub(super) fn perform(&mut self, call: Call) {
        let Call {
            step,
            attempt,
            effect,
        } = call;
        // On the way back a foreign change is captured and overwritten (I10): what is there counts, not what we left.
        let is_back = self.state().goes_back();
        let left = self.state().left.of(self.state().target_of(step)).clone();
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
            let seen = if is_back {
                reach.observe().await.unwrap_or(left)
            } else {
                left
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
                outcome,
                state,
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
        self.journal.push(Event::Finished {
            step: id,
            attempt,
            finish,
            state,
            times,
        });
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
    fn foreign(&self, id: StepId, finish: &Finish, now: Option<&State>) -> Vec<String> {
        let (Some(now), Ok(Place { target, driver })) = (now, self.place(id)) else {
            return Vec::new();
        };
        let before = self.state().left.of(&target.name);
        let effect = &self.effect(id);
        let after = driver.after(&target, before, effect);
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
        match settled.map_err(Failure::from)? {
            Settled::Done => Ok(Times::new()),
            Settled::Quiet => {
                // It is over, and only the world tells whether it was done: the platform may have broken it off.
                let message = format!("{}: it was accepted and not done", effect.title);
                let error = belay_driver::Error::maybe_applied(Class::Connectivity, message);
                Err(error.into())
            }
        }
    }

    async fn material(&self) -> Result<Materials, Failure> {
        let mut materials = BTreeMap::new();
        for record in &self.records {
            let material = self.ports.secrets.material(record).await.map_err(|error| {
                let message = format!("unseal the secrets of {}: {error}", record.title());
                Failure::from(belay_driver::Error::not_applied(Class::Unknown, message))
            })?;
            materials.insert(record.hash(), material);
        }
        Ok(Arc::new(materials))
    }
}

fn fingerprint(effect: &Effect) -> String {
    let text = serde_json::to_string(effect).unwrap_or_default();
    hex::encode(&Sha256::digest(text)[..8])
}
