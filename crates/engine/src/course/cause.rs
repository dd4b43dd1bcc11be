//! Why a target is not as it should be, as far as its platform tells: what is in the way of every change there. Where somebody
//! takes away all that a target lives in, what a look shows is only that things are missing.

use super::perform::Reach;
use super::run::Course;
use belay_driver::{Context, Driver, Remark};
use belay_model::error::{Class, Failure};
use belay_model::release::Target;
use belay_model::state::State;
use std::sync::Arc;

/// None: nothing, or nobody can say.
async fn cause(driver: &dyn Driver, cx: &Context, target: &Target, now: &State) -> Option<String> {
    let said = driver.remarks(cx, target, now, &[]).await.ok()?;
    let refusal = said.iter().find_map(Remark::refusal)?;
    Some(refusal.to_string())
}

impl Course {
    /// What someone else changed on a target, and why, if that is known.
    pub(super) async fn explained(&self, target: &str, now: &State, changed: String) -> String {
        let Ok(targets) = self.targets() else {
            return changed;
        };
        let Some(place) = targets.get(target) else {
            return changed;
        };
        let cx = self.context(None, 0, Arc::default());
        match cause(place.driver.as_ref(), &cx, &place.target, now).await {
            Some(cause) => format!("{cause}: {changed}"),
            None => changed,
        }
    }
}

impl Reach {
    /// The end of an attempt: a conflict with its cause, if that is known.
    pub(super) async fn explained<T>(
        &self,
        outcome: Result<T, Failure>,
        now: Option<&State>,
    ) -> Result<T, Failure> {
        let (failure, now) = match (outcome, now) {
            (Err(failure), Some(now)) if failure.class == Class::Conflict => (failure, now),
            (outcome, _) => return outcome,
        };
        let cause = cause(self.driver.as_ref(), self.context(), &self.target, now).await;
        let message = match cause {
            Some(cause) => format!("{}; {cause}", failure.message),
            None => failure.message,
        };
        Err(Failure { message, ..failure })
    }
}
