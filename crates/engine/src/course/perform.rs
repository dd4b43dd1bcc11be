//! One attempt of an effect: journalled before it begins and when it ends, and compared with what is there then.

use super::run::Course;
use crate::conclude;
use crate::ports::{Materials, StoreError};
use belay_driver::Applied;
use belay_model::error::{Class, Failure};
use belay_model::event::{Event, Finish};
use belay_model::id::StepId;
use belay_model::plan::Effect;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long a request in flight is waited for once someone asked to go back (I12).
const GRACE_MS: u64 = 10_000;

/// How an attempt ended: the times that it measured, or why it failed.
type Attempted = Result<BTreeMap<String, i64>, Failure>;

impl Course {
    pub(super) async fn perform(&mut self, id: StepId) -> Result<(), StoreError> {
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
    pub(super) async fn finish(
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
    async fn apply(
        &mut self,
        id: StepId,
        attempt: u32,
        effect: &Effect,
    ) -> Result<Option<Attempted>, StoreError> {
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
                () = store.changed(self.journal.generation()), if grace_from.is_none() => {
                    if let Err(error) = self.journal.refresh().await {
                        // Taken over, perhaps: nothing is done any more in our name (I6).
                        call.abort();
                        return Err(error);
                    }
                }
                () = clock.sleep_ms(rest), if grace_from.is_some() => {}
            }
        }
    }

    pub(super) async fn material(&self, effect: &Effect) -> Result<Materials, Failure> {
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
}

fn fingerprint(effect: &Effect) -> String {
    let text = serde_json::to_string(effect).unwrap_or_default();
    hex::encode(&Sha256::digest(text)[..8])
}
