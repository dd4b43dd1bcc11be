//! Putting a release out: from a configuration to a deployment in the journal.

use crate::config::Loaded;
use crate::kubernetes::Allowed;
use crate::prepare::Prepared;
use crate::{Accepted, Belay, Error, Images};
use belay_engine::ports::StoreError;
use belay_engine::queue::{self, Entered, Entrant};
use belay_model::environment::{Event as InEnvironment, Standing, View};
use belay_model::event::Inputs;
use belay_model::id::{DeploymentId, EnvironmentName, ReleaseNumber, Scope};
use belay_model::release::Record;
use belay_model::summary::Summary;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Most deployments that may be open in a scope (I11).
const OPEN: usize = 20;

/// A request to put a release out.
#[derive(Clone, Debug)]
pub struct DeployRequest {
    /// The configuration.
    pub loaded: Loaded,
    /// Where.
    pub environment: String,
    /// What is released.
    pub released: Released,
    /// Why.
    pub reason: Option<String>,
    /// It supersedes what runs, and takes the way that the environment allows a hotfix.
    pub hotfix: bool,
    /// Someone is there to be asked: decides what inconclusive means unless the configuration says so.
    pub interactive: bool,
    /// The caller's environment variables, for secrets of the form `env:NAME`.
    pub env: BTreeMap<String, String>,
}

/// What is released.
#[derive(Clone, Debug)]
pub enum Released {
    /// What is there now.
    New {
        /// This instead of the configuration's `release.artifact`; relative to the working directory.
        artifact: Option<PathBuf>,
        /// These instead of those of the manifests.
        images: Images,
        /// The commit it was built from.
        commit: Option<String>,
    },
    /// A release that is good in another environment. Of the configuration only what it lays over releases counts, and how
    /// they go out.
    Promoted {
        /// In which.
        from: EnvironmentName,
        /// Its number; absent: what serves there.
        release: Option<ReleaseNumber>,
    },
}

impl Belay {
    /// Writes a deployment down. A worker does it: see [`Belay::ensure_worker`].
    ///
    /// # Errors
    /// The configuration, a secret or the artifact is wrong; it is not good where it comes from; the content is
    /// quarantined; too many are open. Nothing was changed then, but for the artifact and the release's number.
    pub async fn deploy(&self, request: &DeployRequest) -> Result<Accepted, Error> {
        // Before the artifact is stored: a disk without room shall not be filled further.
        self.require_writable().await?;
        let prepared = self.prepare(request, true).await?;
        let Prepared {
            record,
            inputs,
            queue,
            ..
        } = prepared;
        let scope = inputs.scope.clone();
        let view = self.view(&scope).await?;
        let open = self.open_in(&scope).await?;
        if let Some(error) = quarantine(&view, &record) {
            return Err(error);
        }
        if !inputs.hotfix.is_some_and(|hotfix| hotfix.passes_freeze) {
            self.require_thawed(&scope).await?;
        }
        let serves = view
            .serving()
            .is_some_and(|known| known.record.hash() == record.hash());
        if let (true, true, Some(deployment)) = (serves, open.is_empty(), view.serving_since()) {
            return Ok(Accepted::NothingToDo {
                release: record.release,
                deployment: deployment.clone(),
            });
        }
        let allowed = self.require_rights_to(&record, &inputs, &view).await?;
        let release = record.release;
        let recorded = InEnvironment::Recorded {
            record: Box::new(record),
        };
        let new = self.entrant(inputs, vec![recorded]);
        let entered = queue::enter(&*self.store(), &new, queue).await;
        let Entered {
            replaces,
            supersedes,
        } = entered.map_err(|error| not_entered(&scope, error))?;
        let behind = open.into_iter().map(|summary| summary.id);
        Ok(Accepted::New {
            id: new.id,
            release: Some(release),
            behind: behind.filter(|id| !replaces.contains(id)).collect(),
            replaces,
            supersedes,
            remarks: allowed.remarks(),
        })
    }

    /// See [`Belay::require_rights`]: those that it takes to put a record out, and to go back from it.
    pub(crate) async fn require_rights_to(
        &self,
        record: &Record,
        inputs: &Inputs,
        view: &View,
    ) -> Result<Allowed, Error> {
        let serving = view.serving().map(|known| &known.record);
        let records = std::iter::once(record).chain(serving);
        self.require_rights(&inputs.scope, records, &inputs.checks)
            .await
    }

    /// A deployment that is asked for now.
    pub(crate) fn entrant(&self, inputs: Inputs, environment: Vec<InEnvironment>) -> Entrant {
        Entrant {
            id: self.new_id(),
            at_us: self.now_us(),
            inputs,
            environment,
            limit: OPEN,
        }
    }

    /// An id that sorts by time.
    pub(crate) fn new_id(&self) -> DeploymentId {
        let now_us = u64::try_from(self.now_us()).unwrap_or(0);
        let nanos = u32::try_from(now_us % 1_000_000 * 1000).unwrap_or(0);
        let at = uuid::Timestamp::from_unix(uuid::NoContext, now_us / 1_000_000, nanos);
        DeploymentId::new(format!("dep_{}", uuid::Uuid::new_v7(at).simple()))
    }

    pub(crate) async fn view(&self, scope: &Scope) -> Result<Arc<View>, Error> {
        Ok(self.store().view(scope).await?)
    }

    /// Open deployments of a scope, in the order in which they run.
    pub(crate) async fn open_in(&self, scope: &Scope) -> Result<Vec<Summary>, Error> {
        let mut open = self.store().open().await?;
        open.retain(|summary| summary.scope == *scope);
        Ok(open)
    }
}

pub(crate) fn not_entered(scope: &Scope, error: queue::Error) -> Error {
    match error {
        queue::Error::GoesBack(id) => Error::GoesBack {
            scope: scope.clone(),
            id,
        },
        queue::Error::Store(StoreError::TooLarge(why)) => Error::TooMany(why),
        queue::Error::Store(error) => Error::Store(error),
    }
}

/// The refusal of quarantined content.
pub(crate) fn quarantine(view: &View, record: &Record) -> Option<Error> {
    let known = view.records.get(&record.hash())?;
    if known.standing != Standing::Quarantined {
        return None;
    }
    let why = known.reason.clone();
    Some(Error::Quarantined {
        scope: record.scope.clone(),
        release: record.release,
        since_us: known.since_us,
        by: known.deployment.clone(),
        why: why.unwrap_or_else(|| "it was rolled back".to_owned()),
    })
}
