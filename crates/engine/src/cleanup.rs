//! Clean-ups: what a promotion kept warm is removed when its time is over. They run under the environment's lock
//! (no deployment is open), and never touch what serves.

use crate::lease::Lease;
use crate::mutant::{self, Mutant};
use crate::ports::{Ports, StoreError};
use belay_driver::{Applied, Context, Driver, Error, Progress, Settled, Stage, is_there};
use belay_model::environment::{Event, Known};
use belay_model::error::Class;
use belay_model::id::DeploymentId;
use belay_model::plan::{Effect, Wave};
use belay_model::release::Target;
use belay_model::state::{State, States};
use std::sync::Arc;

/// Pause after a clean-up failed, milliseconds.
const PAUSE_MS: u64 = 10_000;

/// Does what is due; false: nothing is now.
///
/// # Errors
/// The store cannot be used, or another worker has the scope.
pub(crate) async fn next(ports: &Ports, lease: &Lease) -> Result<bool, StoreError> {
    let scope = &lease.scope;
    let generation = ports.store.generation();
    let view = ports.store.view(scope).await?;
    let Some((record, cleanup)) = view
        .cleanups
        .iter()
        .min_by_key(|(_, cleanup)| cleanup.due_ms)
    else {
        return Ok(false);
    };
    let now_ms = ports.clock.now_us() / 1000;
    if cleanup.due_ms > now_ms {
        return Ok(false);
    }
    let serves = view
        .serving()
        .is_some_and(|known| known.record.hash() == *record);
    let append = |event| {
        ports.store.append_environment(
            scope,
            Some(lease.epoch),
            vec![(ports.clock.now_us(), event)],
        )
    };
    if serves {
        let reason = "it serves again".to_owned();
        append(Event::CleanupCancelled {
            record: record.clone(),
            reason,
        })
        .await?;
        return Ok(true);
    }
    if cleanup.started {
        // What was asked for before may still be under way: done is only what nothing is left of (I4).
        settle_begun(ports, lease).await?;
    } else {
        append(Event::CleanupStarted {
            record: record.clone(),
        })
        .await?;
    }
    let known = view.records.get(record);
    let removed = match known {
        Some(known) => {
            // As the deployment that left it, with the epoch that the scope has now: a platform that refuses older epochs
            // takes no call without one.
            let cx = context(&cleanup.deployment, lease.epoch);
            remove(ports, &cx, known, view.serving()).await
        }
        None => Ok(()),
    };
    match removed {
        Ok(()) => {
            append(Event::CleanupDone {
                record: record.clone(),
            })
            .await?
        }
        Err(error) => {
            tracing::warn!(%scope, %error, "a clean-up failed; it is tried again");
            tokio::select! {
                biased;
                () = ports.clock.sleep_ms(PAUSE_MS) => {}
                () = ports.store.changed(generation) => {}
            }
        }
    }
    Ok(true)
}

/// Before a deployment works where a clean-up was broken off: what was asked for there may still be under way, and would
/// take away what the deployment counts on. A platform that cannot be asked does not keep the deployment from saying so.
///
/// # Errors
/// The store cannot be used.
pub(crate) async fn settle_begun(ports: &Ports, lease: &Lease) -> Result<(), StoreError> {
    let scope = &lease.scope;
    if mutant::is(Mutant::SettlesNothing) {
        return Ok(());
    }
    let view = ports.store.view(scope).await?;
    for (record, cleanup) in view.cleanups.iter().filter(|(_, it)| it.started) {
        let Some(known) = view.records.get(record) else {
            continue;
        };
        let cx = context(&cleanup.deployment, lease.epoch);
        for removal in removals(ports, known, view.serving()) {
            if let Err(error) = removal.settle(&cx).await {
                tracing::warn!(%scope, %error, "a clean-up that was broken off could not be settled");
            }
        }
    }
    Ok(())
}

/// Removes the instances of one record and nothing else.
async fn remove(
    ports: &Ports,
    cx: &Context,
    known: &Known,
    serving: Option<&Known>,
) -> Result<(), Error> {
    for removal in removals(ports, known, serving) {
        removal.perform(cx).await?;
    }
    Ok(())
}

/// What is removed of a record on one of its targets.
struct Removal<'a> {
    driver: Arc<dyn Driver>,
    target: &'a Target,
    known: &'a Known,
    serving: Option<&'a Known>,
}

/// On all targets that this Belay has a driver for.
fn removals<'a>(ports: &Ports, known: &'a Known, serving: Option<&'a Known>) -> Vec<Removal<'a>> {
    let targets = known.record.targets.iter();
    let removals = targets.filter_map(|target| {
        Some(Removal {
            driver: ports.drivers.driver(&target.driver)?,
            target,
            known,
            serving,
        })
    });
    removals.collect()
}

impl Removal<'_> {
    async fn perform(&self, cx: &Context) -> Result<(), Error> {
        let (driver, target) = (self.driver.as_ref(), self.target);
        for effect in self.plan(cx).await? {
            let seen = driver.observe(cx, target).await?;
            perform(driver, cx, target, &effect, &seen).await?;
        }
        Ok(())
    }

    async fn settle(&self, cx: &Context) -> Result<(), Error> {
        for effect in self.plan(cx).await? {
            self.driver.settle(cx, self.target, &effect, None).await?;
        }
        Ok(())
    }

    async fn plan(&self, cx: &Context) -> Result<Vec<Effect>, Error> {
        let Self {
            driver,
            target,
            known,
            serving,
        } = self;
        let now = driver.observe(cx, target).await?;
        // What it owns beside what serves: by name, as a removal that was broken off leaves less than the record had.
        let own = driver.desired(&known.record, target);
        let shared = serving.and_then(|serving| {
            let target = serving.record.target(&target.name)?;
            Some(driver.desired(&serving.record, target))
        });
        let is_shared = |key: &String| match &shared {
            Some(shared) => shared.resources.contains_key(key),
            // Nothing of ours serves: what is there in another form is someone else's.
            None => spec(&own, key) != spec(&now, key),
        };
        let mut want = now.clone();
        want.resources
            .retain(|key, _| !own.resources.contains_key(key) || is_shared(key));
        let goal = belay_model::state::Goal {
            want: States::one(&target.name, want),
            records: [(known.record.hash(), known.record.clone())].into(),
            title: format!("without {}", known.record.title()),
            record: None,
        };
        let mut removals = driver.plan(target, &now, &goal, Stage::BACK)?;
        // What serves may be sick, and is not for us to replace: what a driver builds for that is no removal, and nor is a
        // move of the traffic that counts on it.
        let removes = |effect: &Effect| effect.wave == Wave::Shrink;
        let builds = |effect: &Effect| !removes(effect) && !effect.records.is_empty();
        let replaces = removals.iter().any(builds) && !mutant::is(Mutant::Rebuilds);
        removals.retain(|effect| removes(effect) || !replaces);
        Ok(removals)
    }
}

/// Applies, and follows what the platform only accepted: a clean-up is not done while it still happens.
async fn perform(
    driver: &dyn Driver,
    cx: &Context,
    target: &Target,
    effect: &Effect,
    seen: &State,
) -> Result<(), Error> {
    let Applied::Accepted { handle } = driver.apply(cx, target, effect, seen).await? else {
        return Ok(());
    };
    if driver.settle(cx, target, effect, Some(&handle)).await? == Settled::Done {
        return Ok(());
    }
    let now = driver.observe(cx, target).await?;
    if is_there(driver, target, effect, seen, &now) {
        return Ok(());
    }
    let message = format!("{}: the platform broke it off", effect.title);
    Err(Error::maybe_applied(Class::Connectivity, message))
}

fn spec<'a>(state: &'a State, key: &str) -> Option<&'a serde_json::Value> {
    state.resources.get(key).map(|resource| &resource.spec)
}

fn context(deployment: &DeploymentId, epoch: u64) -> Context {
    Context {
        deployment: deployment.clone(),
        step: None,
        attempt: 1,
        epoch,
        deadline_ms: crate::course::DEADLINE_MS,
        material: Arc::default(),
        progress: Arc::new(Silent),
    }
}

struct Silent;

impl Progress for Silent {
    fn line(&self, _: &str) {}
}
