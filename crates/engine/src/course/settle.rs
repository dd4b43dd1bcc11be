//! What became of an attempt that we lost sight of (I4).

use super::run::Course;
use crate::ports::StoreError;
use belay_driver::{Settled, is_there};
use belay_model::error::{Class, Failure};
use belay_model::event::{Event, Finish};
use belay_model::id::StepId;
use belay_model::plan::Effect;
use belay_model::state::State;
use std::collections::BTreeMap;

impl Course {
    /// I4: settle, then observe, then compare. Nothing done: a new attempt. All done: done. Something done: a new
    /// attempt only if the step is idempotent, else it failed and nobody knows.
    pub(super) async fn settle(&mut self, id: StepId) -> Result<(), StoreError> {
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
}
