//! Whether a release goes out, looked at once more when it has the lock: not where its content is quarantined, something is
//! frozen, or it is not good any more where it came from. That is said in environment streams, which others append to at any
//! time: the plan is appended only where they still end where they ended here.

use super::run::Course;
use crate::mutant::{self, Mutant};
use crate::ports::StoreError;
use crate::{conclude, freeze};
use belay_model::environment::View;
use belay_model::event::Kind;
use belay_model::id::Scope;
use std::sync::Arc;

/// Environment streams that were looked into, and where they ended.
pub(super) type Seen = Vec<(Scope, u64)>;

impl Course {
    /// What is known of the environment, and what was looked into for it; or why the deployment does not go out.
    pub(super) async fn admission(&self) -> Result<Result<(Arc<View>, Seen), String>, StoreError> {
        let mut seen = Seen::new();
        let inputs = self.inputs();
        let view = self.look_into(inputs.scope.clone(), &mut seen).await?;
        let why = match conclude::refusal(inputs, &view) {
            Some(why) => Some(why),
            None => match self.frozen(&view, &mut seen).await? {
                Some(why) => Some(why),
                None => self.unproved(&mut seen).await?,
            },
        };
        Ok(why.map_or(Ok((view, seen)), Err))
    }

    async fn look_into(&self, scope: Scope, seen: &mut Seen) -> Result<Arc<View>, StoreError> {
        let view = self.ports.store.view(&scope).await?;
        seen.push((scope, view.seq));
        Ok(view)
    }

    /// Freezes hold up releases, and never a way back; nor a hotfix where policy says so.
    async fn frozen(&self, own: &View, seen: &mut Seen) -> Result<Option<String>, StoreError> {
        let inputs = self.inputs();
        if inputs.kind != Kind::Deploy || inputs.hotfix.is_some_and(|it| it.passes_freeze) {
            return Ok(None);
        }
        let [scope, every_service, every_environment] = inputs.scope.frozen_by();
        let services = self.look_into(every_service.clone(), seen).await?;
        let environments = self.look_into(every_environment.clone(), seen).await?;
        let views = [
            (&scope, own),
            (&every_service, services.as_ref()),
            (&every_environment, environments.as_ref()),
        ];
        let held = freeze::frozen(views, self.journal.now_us() / 1000);
        Ok(held.map(|held| held.why))
    }

    /// What was good where it came from when it was asked for may have been rolled back there while it waited.
    async fn unproved(&self, seen: &mut Seen) -> Result<Option<String>, StoreError> {
        let inputs = self.inputs();
        let Some(promotion) = &inputs.promotion else {
            return Ok(None);
        };
        let place = Scope {
            service: inputs.scope.service.clone(),
            environment: promotion.from.clone(),
        };
        let view = self.look_into(place, seen).await?;
        if mutant::is(Mutant::PromotesAnything) {
            return Ok(None);
        }
        Ok(promotion.withdrawn(&view))
    }
}
