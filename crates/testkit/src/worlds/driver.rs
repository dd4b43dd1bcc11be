//! The driver of a simulated target: what its platform does with each call.

use super::work::{End, Job, LATENCY_MS, LONGEST_MS};
use super::world::{Fault, World, lock};
use async_trait::async_trait;
use belay_driver::{
    Applied, Capabilities, Capacity, Context, Driver, Error, Restorability, Revision, Settled,
    Stage,
};
use belay_model::error::Class;
use belay_model::plan::{Effect, Wave};
use belay_model::release::{Record, Target};
use belay_model::state::{Difference, DifferenceEntry, Goal, State};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;

#[async_trait]
impl Driver for World {
    fn capabilities(&self, _: &Target) -> Capabilities {
        self.rules.capabilities()
    }

    fn desired(&self, record: &Record, _: &Target) -> State {
        self.rules.desired(record)
    }

    fn plan(
        &self,
        target: &Target,
        from: &State,
        goal: &Goal,
        stage: Stage,
    ) -> Result<Vec<Effect>, Error> {
        self.rules
            .plan(from, goal.want.of(&target.name), goal, stage)
    }

    fn after(&self, _: &Target, from: &State, effect: &Effect) -> State {
        self.rules.after(from, effect)
    }

    fn capacity(&self, _: &Target, state: &State) -> Option<Capacity> {
        self.rules.capacity(state)
    }

    fn scaled(&self, _: &Target, state: &State, instances: u32) -> State {
        self.rules.scaled(state, instances)
    }

    fn diff(&self, want: &State, have: &State) -> Difference {
        let keys: BTreeSet<_> = want.resources.keys().chain(have.resources.keys()).collect();
        let spec = |state: &State, key: &str| {
            let resource = state.resources.get(key);
            resource.map_or(Value::Null, |one| one.spec.clone())
        };
        let entry = |key: &String| DifferenceEntry {
            weight: self.rules.weight(want, have, key),
            key: key.clone(),
            want: spec(want, key),
            have: spec(have, key),
        };
        let entries = keys.into_iter().map(entry);
        Difference(entries.filter(|entry| entry.want != entry.have).collect())
    }

    async fn observe(&self, _: &Context, _: &Target) -> Result<State, Error> {
        self.crashes.pass("observe", "before").await;
        if let Some(class) = *lock(&self.locked_out) {
            return Err(Error::not_applied(class, "locked out by the test"));
        }
        self.looks.fetch_add(1, Ordering::Relaxed);
        Ok(self.state())
    }

    async fn changes(&self, _: &Context, _: &Target) -> Option<watch::Receiver<()>> {
        Some(lock(&self.told).as_ref()?.subscribe())
    }

    async fn apply(
        &self,
        cx: &Context,
        _: &Target,
        effect: &Effect,
        seen: &State,
    ) -> Result<Applied, Error> {
        self.crashes.pass("apply", "before").await;
        let parts = {
            let platform = self.platform();
            if platform.is_fenced(cx) {
                return answer(&End::Refused).map(|()| done());
            }
            if self.rules.is_exclusive() && platform.is_at_work() {
                return Err(throttled(LATENCY_MS, "another operation is in progress"));
            }
            self.rules.parts(&platform.truth, effect)
        };
        self.precondition(effect, seen)?;
        let fault = lock(&self.faults).pop_front().flatten();
        let is_operation = self.rules.goes_on_by_itself(effect);
        let mut how = How::Operation;
        match fault {
            Some(Fault::Refused(class)) => {
                return Err(Error::not_applied(class, "refused by the test"));
            }
            Some(Fault::Throttled(ms)) => return Err(throttled(ms, "too many requests")),
            Some(Fault::Half(_)) if self.rules.gives_up(effect) => {
                how = How::BrokenOffAt(parts / 2);
            }
            Some(Fault::Half(class)) if !is_operation => {
                self.drive(cx, effect, 0..parts / 2).await?;
                return Err(Error::maybe_applied(class, "broken half-way by the test"));
            }
            Some(Fault::Half(class) | Fault::AnswerLost(class)) => {
                self.send(cx, effect, 0..parts, how_lost(is_operation));
                return Err(Error::maybe_applied(class, "answer lost by the test"));
            }
            Some(Fault::Late(ms)) => {
                let job = self.job(cx, effect, 0..parts, how_lost(is_operation));
                // All of it within the time that a request can be under way.
                let all_ms = LATENCY_MS * parts.max(1) as u64;
                let late_ms = ms.min(LONGEST_MS.saturating_sub(all_ms));
                self.platform().send_late(job, late_ms);
                return Err(Error::maybe_applied(
                    Class::Timeout,
                    "the request was late by the test",
                ));
            }
            None => {}
        }
        if !is_operation {
            self.drive(cx, effect, 0..parts).await?;
            self.crashes.pass("apply", "after").await;
            return Ok(done());
        }
        let job = self.send(cx, effect, 0..parts, how);
        self.crashes.pass("apply", "sent").await;
        pause(LATENCY_MS).await;
        self.crashes.pass("apply", "after").await;
        Ok(Applied::Accepted { handle: json!(job) })
    }

    /// With a handle the operation is followed to its end. Without one nothing is known but how long a request can be
    /// under way, and whether the platform is at work.
    async fn settle(
        &self,
        cx: &Context,
        _: &Target,
        _: &Effect,
        handle: Option<&Value>,
    ) -> Result<Settled, Error> {
        self.crashes.pass("settle", "before").await;
        if self.rules.fences() {
            // A fence never goes down again: an older worker may ask late.
            let fences = &mut self.platform().fences;
            let fence = fences.entry(cx.deployment.clone()).or_default();
            *fence = cx.epoch.max(*fence);
        }
        if let Some(job) = handle.and_then(Value::as_u64) {
            pause(LATENCY_MS).await;
            self.crashes.pass("settle", "inside").await;
            let end = self
                .end_of(usize::try_from(job).unwrap_or(usize::MAX))
                .await;
            answer(&end)?;
            let is_done = end == End::Done;
            return Ok(if is_done {
                Settled::Done
            } else {
                Settled::Quiet
            });
        }
        pause(LONGEST_MS).await;
        self.crashes.pass("settle", "inside").await;
        while self.platform().is_at_work() {
            pause(LATENCY_MS).await;
        }
        Ok(Settled::Quiet)
    }

    async fn restorable(&self, _: &Context, _: &Target, _: &Goal) -> Result<Restorability, Error> {
        Ok(Restorability::Exact { millis: None })
    }

    async fn history(&self, _: &Context, _: &Target) -> Result<Vec<Revision>, Error> {
        Ok(self.rules.history(&self.platform().truth))
    }
}

/// What goes on unseen: an operation where it is one, else a request that is late.
fn how_lost(is_operation: bool) -> How {
    if is_operation {
        How::Operation
    } else {
        How::Request
    }
}

fn throttled(ms: u64, message: &str) -> Error {
    let mut error = Error::not_applied(Class::Quota, message);
    error.retry_after_ms = Some(ms);
    error
}

fn done() -> Applied {
    Applied::Done {
        times: BTreeMap::new(),
    }
}

fn target() -> Target {
    Target {
        driver: "world".to_owned(),
        name: "world".to_owned(),
        host: None,
        settings: Value::Null,
    }
}

impl World {
    /// I10: a switch is refused where someone else was since `seen`.
    fn precondition(&self, effect: &Effect, seen: &State) -> Result<(), Error> {
        if effect.wave != Wave::Switch {
            return Ok(());
        }
        let after = self.after(&target(), seen, effect);
        let now = self.state();
        let touched: BTreeSet<String> = keys(self.diff(&after, seen)).collect();
        let differs = |want: &State| -> BTreeSet<String> { keys(self.diff(want, &now)).collect() };
        let (from_seen, from_after) = (differs(seen), differs(&after));
        let theirs = from_seen.intersection(&from_after);
        let mut theirs = theirs.filter(|key| touched.contains(*key) || self.rules.guards(key));
        match theirs.next() {
            Some(key) => {
                let message = format!("someone else changed {key}");
                Err(Error::not_applied(Class::Conflict, message))
            }
            None => Ok(()),
        }
    }

    fn send(&self, cx: &Context, effect: &Effect, parts: Range<usize>, how: How) -> usize {
        let job = self.job(cx, effect, parts, how);
        self.platform().send_late(job, 0)
    }

    fn job(&self, cx: &Context, effect: &Effect, parts: Range<usize>, how: How) -> Job {
        Job {
            deployment: cx.deployment.clone(),
            epoch: cx.epoch,
            effect: effect.clone(),
            gives_up_at: match how {
                How::BrokenOffAt(part) => Some(part),
                _ => None,
            },
            is_operation: how != How::Request,
            parts,
        }
    }

    /// One request after the other, as long as the caller lives.
    async fn drive(&self, cx: &Context, effect: &Effect, parts: Range<usize>) -> Result<(), Error> {
        for part in parts {
            if part > 0 {
                self.crashes.pass("apply", "inside").await;
            }
            let job = self.send(cx, effect, part..part + 1, How::Request);
            self.crashes.pass("apply", "sent").await;
            let end = self.end_of(job).await;
            answer(&end)?;
        }
        Ok(())
    }

    async fn end_of(&self, job: usize) -> End {
        loop {
            if let Some(end) = self.platform().end_of(job) {
                return end.clone();
            }
            pause(LATENCY_MS / 2).await;
        }
    }
}

/// How a request is served.
#[derive(Clone, Copy, PartialEq)]
enum How {
    /// At once, or not.
    Request,
    /// As an operation of the platform.
    Operation,
    /// The same, and the platform breaks it off before that part.
    BrokenOffAt(usize),
}

fn answer(end: &End) -> Result<(), Error> {
    match end {
        End::Done | End::GaveUp => Ok(()),
        End::Refused => {
            let message = "this call was settled by another worker";
            Err(Error::not_applied(Class::Conflict, message))
        }
        End::NotReady => {
            let message = "see it become ready in time";
            Err(Error::maybe_applied(Class::Application, message))
        }
    }
}

async fn pause(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

fn keys(difference: Difference) -> impl Iterator<Item = String> {
    difference.0.into_iter().map(|entry| entry.key)
}
