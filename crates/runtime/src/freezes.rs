//! Freezes: no release goes out in a scope, an environment or of a service until someone lifts that. Rollbacks are never
//! held up.

use crate::{Belay, Error};
use belay_engine::freeze::{self, Held};
use belay_model::environment::{Event as InEnvironment, Freeze, View};
use belay_model::id::Scope;

impl Belay {
    /// Holds up releases: in one scope, or, with [`EVERY`] for a name, in an environment or of a service. `for_ms`: how
    /// long, milliseconds; absent: until someone lifts it. A person's freeze that holds already is replaced; Belay's own holds
    /// beside it, and is answered, too.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn freeze(
        &self,
        scope: &Scope,
        reason: String,
        for_ms: Option<u64>,
    ) -> Result<(Freeze, Option<Freeze>), Error> {
        let now_us = self.now_us();
        let for_ms = for_ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX / 2000));
        let freeze = Freeze {
            actor: Some(self.actor().to_owned()),
            reason,
            until_ms: for_ms.map(|ms| now_us / 1000 + ms),
            since_us: now_us,
        };
        let event = InEnvironment::Frozen {
            actor: freeze.actor.clone(),
            reason: freeze.reason.clone(),
            until_ms: freeze.until_ms,
        };
        self.tell(scope, event).await?;
        Ok((freeze, self.view(scope).await?.breaker.clone()))
    }

    /// Lets releases go out again; answers the freezes that held, Belay's own first.
    ///
    /// # Errors
    /// None holds in exactly that scope.
    pub async fn thaw(&self, scope: &Scope, reason: Option<String>) -> Result<Vec<Freeze>, Error> {
        let now_ms = self.now_us() / 1000;
        if self.view(scope).await?.frozen(now_ms).next().is_none() {
            return Err(Error::NotFrozen {
                scope: scope.clone(),
            });
        }
        let thawed = InEnvironment::Thawed {
            actor: self.actor().to_owned(),
            reason,
        };
        self.tell(scope, thawed.clone()).await?;
        // One that began in between is lifted, too, and told of.
        let mut entries = self.store().environment(scope, 0).await?;
        let own = entries.iter().rposition(|entry| entry.event == thawed);
        entries.truncate(own.unwrap_or(entries.len()));
        Ok(View::of(&entries).frozen(now_ms).cloned().collect())
    }

    /// What holds up releases there, if anything does.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn frozen(&self, scope: &Scope) -> Result<Option<Held>, Error> {
        let mut views = Vec::new();
        for scope in scope.frozen_by() {
            let view = self.view(&scope).await?;
            views.push((scope, view));
        }
        let views = views.iter().map(|(scope, view)| (scope, view.as_ref()));
        Ok(freeze::frozen(views, self.now_us() / 1000))
    }

    pub(crate) async fn require_thawed(&self, scope: &Scope) -> Result<(), Error> {
        match self.frozen(scope).await? {
            Some(held) => Err(Error::Frozen {
                scope: scope.clone(),
                held: held.scope,
                why: held.why,
            }),
            None => Ok(()),
        }
    }

    async fn tell(&self, scope: &Scope, event: InEnvironment) -> Result<(), Error> {
        let events = vec![(self.now_us(), event)];
        let kept = self.store().append_environment(scope, None, events).await;
        kept.map_err(Error::Store)
    }

    /// Scopes that something was deployed to, or is known of; not those that only stand for several.
    pub(crate) async fn scopes(&self) -> Result<Vec<Scope>, Error> {
        let mut scopes = self.store().scopes().await?;
        scopes.retain(|scope| !scope.stands_for_several());
        Ok(scopes)
    }
}
