//! How things stand.

use crate::{Belay, Error};
use belay_engine::{goal, half_way};
use belay_model::environment::{Standing, View};
use belay_model::event::Outcome;
use belay_model::id::{DeploymentId, RecordHash, ReleaseNumber, Scope};
use belay_model::release::Record;
use belay_model::state::{Health, ROUTE, State};
use belay_model::summary::{Phase, Summary};
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use std::collections::BTreeMap;
use std::time::Duration;

/// How many deployments are looked through for the last one that ended.
const HISTORY: usize = 30;
/// How long a look at a target may take. A status that waits long for a broken target helps nobody; one that gives up on a target
/// that is only slow, as where the machine is busy, does not, either. Whoever refuses connections is known at once.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many scopes are looked at at once: the broken targets of several are waited for together.
const AT_ONCE: usize = 16;

/// What serves.
#[derive(Clone, Debug, PartialEq)]
pub struct Serving {
    /// Its release.
    pub release: ReleaseNumber,
    /// Its content.
    pub record: RecordHash,
    /// Its group: release and short hash.
    pub group: String,
    /// Its standing.
    pub standing: Standing,
    /// The deployment that brought it.
    pub deployment: DeploymentId,
    /// Since when, Unix microseconds.
    pub since_us: i64,
}

/// One group of instances as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupStatus {
    /// Its name: release and short hash.
    pub group: String,
    /// Its release, if it is known here.
    pub release: Option<ReleaseNumber>,
    /// Instances that can take traffic, or do their work where there is none.
    pub ready: u32,
    /// Instances that shall be there.
    pub instances: u32,
    /// Share of the traffic, per mille; 0 where there is none.
    pub weight: u32,
    /// Why it is not healthy.
    pub unhealthy: Option<String>,
    /// How often its supervisors had to start instances again.
    pub restarts: u64,
    /// It is kept warm until then, Unix milliseconds.
    pub removed_at_ms: Option<i64>,
    /// It was there before Belay, stands by, and stays until somebody removes it: by this command.
    pub removed_by: Option<String>,
}

/// A target as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetStatus {
    /// Its name.
    pub name: String,
    /// Where clients connect, where the platform tells; absent, too, where nobody does.
    pub listen: Option<String>,
    /// What is there.
    pub groups: Vec<GroupStatus>,
    /// While no deployment is open, and the last one left what it should: how what is there differs from that, one line each.
    /// Someone else did it.
    pub foreign: Vec<String>,
}

/// How a scope stands.
#[derive(Clone, Debug)]
pub struct ScopeStatus {
    /// Which.
    pub scope: Scope,
    /// What serves, by the journal; absent: nothing.
    pub serving: Option<Serving>,
    /// Open deployments, in order.
    pub open: Vec<Summary>,
    /// The last one that ended.
    pub last: Option<Summary>,
    /// Why no release goes out, if none does.
    pub frozen: Option<String>,
    /// The targets as they are, by name; or why one could not be observed. Empty: they are not known yet.
    pub targets: BTreeMap<String, Result<TargetStatus, String>>,
}

impl Belay {
    /// How every scope stands, in the order of their names.
    ///
    /// # Errors
    /// The store cannot be read. A target that cannot be observed is no error: see [`ScopeStatus::targets`].
    pub async fn status(&self) -> Result<Vec<ScopeStatus>, Error> {
        let mut scopes = self.scopes().await?;
        scopes.sort();
        let told = stream::iter(scopes).map(|scope| self.status_of(scope));
        told.buffered(AT_ONCE).try_collect().await
    }

    async fn status_of(&self, scope: Scope) -> Result<ScopeStatus, Error> {
        let view = self.view(&scope).await?;
        let open = self.open_in(&scope).await?;
        let history = self.store().history(&scope, HISTORY).await?;
        let last = history
            .iter()
            .find(|summary| summary.phase == Phase::Ended && !was_replaced(summary))
            .cloned();
        let serving = match (view.serving(), view.serving_since()) {
            (Some(known), Some(deployment)) => {
                let summary = self.store().summary(deployment).await?;
                let since_us = summary.map_or(known.since_us, |summary| {
                    let promoted_us = summary.promoted_us.or(summary.ended_us);
                    promoted_us.unwrap_or(known.since_us)
                });
                Some(Serving {
                    release: known.record.release,
                    record: known.record.hash(),
                    group: known.record.group(),
                    standing: known.standing,
                    deployment: deployment.clone(),
                    since_us,
                })
            }
            _ => None,
        };
        // Where one ended half-way, nobody knows what should be there.
        let is_known =
            open.is_empty() && half_way::is_left_whole(self.store().as_ref(), &scope).await?;
        let targets = self.targets_as_they_are(&view, is_known).await;
        let frozen = self.frozen(&scope).await?.map(|held| held.why);
        Ok(ScopeStatus {
            scope,
            serving,
            open,
            last,
            targets,
            frozen,
        })
    }

    async fn targets_as_they_are(
        &self,
        view: &View,
        is_known: bool,
    ) -> BTreeMap<String, Result<TargetStatus, String>> {
        let newest = || {
            view.records
                .values()
                .max_by_key(|known| known.record.release)
        };
        let Some(known) = view.serving().or_else(newest) else {
            return BTreeMap::new();
        };
        let looks = known.record.targets.iter().map(async |target| {
            let name = target.name.clone();
            let status = self.as_it_is(view, &known.record, &name, is_known).await;
            (name, status)
        });
        join_all(looks).await.into_iter().collect()
    }

    async fn as_it_is(
        &self,
        view: &View,
        record: &Record,
        name: &str,
        is_known: bool,
    ) -> Result<TargetStatus, String> {
        let targets = self.targets([record]).map_err(|error| error.to_string())?;
        let target = targets.only(|other| other == name);
        let observed = tokio::time::timeout(PATIENCE, self.observe(&target)).await;
        let states = match observed {
            Ok(Ok(states)) => states,
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err(format!("no answer within {} s", PATIENCE.as_secs())),
        };
        let mut status = target_status(name, states.of(name), view);
        if let Some(target) = record.target(name).filter(|it| it.driver == "kubernetes") {
            status.groups = crate::kubernetes::groups(states.of(name), view, target);
        }
        if is_known {
            status.foreign = goal::foreign(&target, view, &states);
        }
        Ok(status)
    }
}

/// In the queue, before it had done anything: it says nothing of how things stand.
fn was_replaced(summary: &Summary) -> bool {
    matches!(summary.outcome, Some(Outcome::Replaced { .. }))
}

/// Reads what drivers commonly tell: groups as `group/NAME` and one `route`.
fn target_status(name: &str, state: &State, view: &View) -> TargetStatus {
    let route = state.resources.get(ROUTE);
    let listen = route.and_then(|route| route.spec["listen"].as_str());
    let number = |value: &serde_json::Value| u32::try_from(value.as_u64()?).ok();
    let groups = state.resources.iter().filter_map(|(key, resource)| {
        let group = key.strip_prefix("group/")?;
        let record = resource.spec["record"].as_str().map(RecordHash::new);
        let known = record.as_ref().and_then(|record| view.records.get(record));
        let cleanup = record.as_ref().and_then(|record| view.cleanups.get(record));
        let instances = number(&resource.spec["instances"]).unwrap_or(0);
        let ready = number(&resource.facts["ready"]);
        let restarts = resource.facts["instances"]
            .as_array()
            .map_or(0, |instances| {
                let counts = instances.iter().filter_map(|one| one["restarts"].as_u64());
                counts.sum()
            });
        let unhealthy = match &resource.health {
            Health::Unhealthy(why) => Some(why.clone()),
            Health::Healthy | Health::Unknown => None,
        };
        Some(GroupStatus {
            group: group.to_owned(),
            release: known.map(|known| known.record.release),
            ready: ready.unwrap_or(if unhealthy.is_none() { instances } else { 0 }),
            instances,
            weight: route
                .and_then(|route| number(&route.spec["weights"][group]))
                .unwrap_or(0),
            unhealthy,
            restarts,
            removed_at_ms: cleanup.map(|cleanup| cleanup.due_ms),
            removed_by: None,
        })
    });
    TargetStatus {
        name: name.to_owned(),
        listen: listen.map(str::to_owned),
        groups: groups.collect(),
        foreign: Vec::new(),
    }
}
