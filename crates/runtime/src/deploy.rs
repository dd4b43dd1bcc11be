//! Putting a release out: from a configuration to a deployment in the journal.

use crate::config::Loaded;
use crate::{Accepted, Belay, DeployPlan, Error};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A request to put a release out.
#[derive(Clone, Debug)]
pub struct DeployRequest {
    /// The configuration.
    pub loaded: Loaded,
    /// Where.
    pub environment: String,
    /// What is released, instead of the configuration's `release.artifact`; relative to the working directory.
    pub artifact: Option<PathBuf>,
    /// The commit it was built from.
    pub commit: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Someone is there to be asked: decides what inconclusive means unless the configuration says so.
    pub interactive: bool,
    /// The caller's environment variables, for secrets of the form `env:NAME`.
    pub env: BTreeMap<String, String>,
}

impl Belay {
    /// Writes a deployment down. A worker does it: see [`Belay::ensure_worker`].
    ///
    /// # Errors
    /// The configuration, a secret or the artifact is wrong; the content is quarantined; too many are open. Nothing
    /// was changed then, but for the artifact and the release's number.
    pub async fn deploy(&self, _request: &DeployRequest) -> Result<Accepted, Error> {
        unimplemented!()
    }

    /// What [`Belay::deploy`] would do. Changes nothing.
    ///
    /// # Errors
    /// As [`Belay::deploy`]; a quarantine is told in the plan.
    pub async fn plan(&self, _request: &DeployRequest) -> Result<DeployPlan, Error> {
        unimplemented!()
    }
}
