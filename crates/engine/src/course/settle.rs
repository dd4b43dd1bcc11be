//! What became of an attempt that we lost sight of (I4).

use super::hands::Note;
use super::perform::{Doubt, Reach, Work};
use super::run::{Course, Times};
use crate::mutant::{self, Mutant};
use crate::retry;
use crate::targets::Place;
use belay_driver::{Settled, is_there, is_untouched};
use belay_model::error::{Class, Effect as Touched, Failure};
use belay_model::event::Finish;
use belay_model::id::StepId;
use belay_model::plan::{Effect, OnUnknown, Run};
use belay_model::state::State;
use serde_json::Value;

impl Course {
    /// I4: settle, then observe, then compare. Nothing done: a new attempt. All done: done. Something done: a new
    /// attempt only if the step is idempotent, else it failed and nobody knows.
    pub(super) fn settle(&mut self, id: StepId) {
        let run = self.state().step(id).1;
        let (attempt, handle) = (run.last_attempt, run.handle.clone());
        // Followed to its end it might keep users on a bad release for as long as it takes.
        let handle = handle.filter(|_| !self.is_superseded(id));
        if mutant::is(Mutant::TrustsSilence) {
            let (finish, state) = (Finish::Unknown, None);
            let note = Note::Settled {
                attempt,
                finish,
                state,
            };
            return self.hands.look(id, async { note });
        }
        let effect = match self.work(id) {
            Work::Effect(effect) => effect,
            Work::Run(run) => {
                // Nobody can be asked about it: the plan says what not knowing means.
                self.hands
                    .look(id, async move { after_loss(&run, attempt) });
                return;
            }
        };
        let before = self.left_of(id);
        let reach = self.reach(id, attempt, &effect);
        self.hands.look(id, async move {
            let found = match reach {
                Ok(reach) => reach.look(&effect, handle.as_ref(), &before).await,
                Err(failure) => Err(failure),
            };
            let (finish, state) = match found {
                Ok((finish, state)) => (finish, Some(state)),
                // That it could not be settled says nothing about what it did.
                Err(failure) => {
                    let effect = Touched::MaybeApplied;
                    (Finish::Failed(Failure { effect, ..failure }), None)
                }
            };
            Note::Settled {
                attempt,
                finish,
                state,
            }
        });
    }
}

impl Course {
    /// Whether the platform took the call of a step, and works on it.
    pub(super) fn is_accepted(&self, id: StepId) -> bool {
        self.state().step(id).1.handle.is_some()
    }

    /// Whether something else takes the place of a step that is in flight, without its having to be seen to its end.
    pub(super) fn is_superseded(&self, id: StepId) -> bool {
        let supersedes = |place: Place| place.driver.capabilities(&place.target).supersedes;
        self.is_halt && self.place(id).is_ok_and(supersedes)
    }
}

fn after_loss(run: &Run, attempt: u32) -> Note {
    let finish = match run.on_unknown {
        OnUnknown::Retry => Finish::Unknown,
        OnUnknown::RollBack | OnUnknown::Ask => {
            let message = format!("see \"{}\" to its end: it was interrupted", run.title);
            Finish::Failed(belay_driver::Error::maybe_applied(Class::Unknown, message).into())
        }
    };
    Note::Settled {
        attempt,
        finish,
        state: None,
    }
}

impl Reach {
    /// What became of an attempt whose answer says that perhaps it had an effect: the world decides.
    pub(super) async fn after_doubt(
        &self,
        effect: &Effect,
        before: &State,
        failure: Failure,
    ) -> (Result<Times, Failure>, Option<State>) {
        match self.look(effect, None, before).await {
            Ok((Finish::Done, state)) => (Ok(Times::new()), Some(state)),
            Ok((Finish::Unknown, state)) => {
                let (driver, target) = (self.driver.as_ref(), &self.target);
                let effect = if is_untouched(driver, target, effect, before, &state) {
                    Touched::NotApplied
                } else {
                    Touched::MaybeApplied
                };
                (Err(Failure { effect, ..failure }), Some(state))
            }
            Ok((Finish::Failed(_), state)) => (Err(failure), Some(state)),
            Err(_) => (Err(failure), None),
        }
    }

    /// Settles and compares, for as long as a way back would try it: what is not settled may not be gone on from.
    async fn look(
        &self,
        effect: &Effect,
        handle: Option<&Value>,
        before: &State,
    ) -> Result<(Finish, State), Failure> {
        let mut failures = 0;
        loop {
            let failure = match self.look_once(effect, handle, before).await {
                Ok(found) => return Ok(found),
                Err(failure) => failure,
            };
            failures += 1;
            let is_passing = retry::is_passing(failure.class);
            if !is_passing || failures >= retry::cap(failure.class, true) {
                return Err(failure);
            }
            let pause_ms = retry::pause_ms(failures, failure.retry_after_ms);
            self.ports.clock.sleep_ms(pause_ms).await;
        }
    }

    /// What an attempt begins from whose forerunner may have done something. Or how it ends: that was done, or may not be
    /// repeated; nobody can look yet; or someone else changed something, which forward is theirs to judge.
    pub(super) async fn before_again(
        &self,
        effect: &Effect,
        doubt: &Doubt,
        is_back: bool,
    ) -> Result<State, (Result<Times, Failure>, Option<State>)> {
        let (finish, now) = match self.look_once(effect, None, &doubt.before).await {
            Ok(found) => found,
            Err(failure) => {
                let effect = Touched::MaybeApplied;
                return Err((Err(Failure { effect, ..failure }), None));
            }
        };
        match finish {
            Finish::Done => return Err((Ok(Times::new()), Some(now))),
            // A person has seen just that, and wants it repeated all the same.
            Finish::Failed(_) if self.is_as(effect, doubt.told.as_ref(), &now) => {}
            Finish::Failed(failure) => return Err((Err(failure), Some(now))),
            Finish::Unknown => {}
        }
        let there = [(self.target.name.clone(), now.clone())];
        let foreign = doubt
            .foreseen
            .foreign(&doubt.own, &there.into_iter().collect());
        if is_back || foreign.is_empty() {
            return Ok(now);
        }
        let message = format!("someone else changed {}", foreign.join("; "));
        let error = belay_driver::Error::not_applied(Class::Conflict, message);
        Err((Err(error.into()), Some(now)))
    }

    /// Whether nothing has come of an effect since it was told like that.
    fn is_as(&self, effect: &Effect, told: Option<&State>, now: &State) -> bool {
        let (driver, target) = (self.driver.as_ref(), &self.target);
        told.is_some_and(|told| is_untouched(driver, target, effect, told, now))
    }

    async fn look_once(
        &self,
        effect: &Effect,
        handle: Option<&Value>,
        before: &State,
    ) -> Result<(Finish, State), Failure> {
        let cx = self.equipped().await?;
        let (driver, target) = (self.driver.as_ref(), &self.target);
        let settled = driver.settle(&cx, target, effect, handle).await?;
        let now = driver.observe(&cx, target).await?;
        let is_done = is_there(driver, target, effect, before, &now);
        let finish = if settled == Settled::Done || is_done {
            Finish::Done
        } else if effect.idempotent || is_untouched(driver, target, effect, before, &now) {
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
}
