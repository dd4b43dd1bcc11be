//! What people ask of deployments, releases and instances, other than going forward and back.

use crate::{Belay, Error};
use belay_model::environment::{Known, Standing};
use belay_model::event::Ask;
use belay_model::id::{
    DeploymentId, EnvironmentName, RecordHash, ReleaseNumber, Scope, ServiceName,
};
use belay_model::release::Release;
use belay_model::summary::Summary;
use std::path::PathBuf;

/// A release and what it is where.
#[derive(Clone, Debug)]
pub struct ReleaseInfo {
    /// It.
    pub release: Release,
    /// Its records by environment, newest standing first.
    pub standings: Vec<(EnvironmentName, Known)>,
    /// Environments in which it serves.
    pub serves: Vec<EnvironmentName>,
}

/// A quarantine that was lifted.
#[derive(Clone, Debug, PartialEq)]
pub struct Lifted {
    /// Where.
    pub scope: Scope,
    /// Whose.
    pub record: RecordHash,
    /// What it stands for now.
    pub standing: Standing,
}

/// Where the output of an instance is.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceLog {
    /// Its group: release and short hash.
    pub group: String,
    /// Its name.
    pub instance: String,
    /// Its output; rotated files beside it as `output.log.1`.
    pub path: PathBuf,
}

impl Belay {
    /// Tells a deployment something. Answers how it stood before.
    ///
    /// # Errors
    /// There is no such deployment, it has ended, or it does not wait for that (`retry`, `skip`, `abandon` answer one
    /// that is parked).
    pub async fn signal(
        &self,
        _id: &DeploymentId,
        _ask: Ask,
        _reason: Option<String>,
    ) -> Result<Summary, Error> {
        unimplemented!()
    }

    /// Lifts the quarantine of a release, in one environment or wherever it is quarantined.
    ///
    /// # Errors
    /// No record of it is quarantined there.
    pub async fn lift(
        &self,
        _service: &ServiceName,
        _environment: Option<&EnvironmentName>,
        _release: ReleaseNumber,
        _reason: String,
    ) -> Result<Vec<Lifted>, Error> {
        unimplemented!()
    }

    /// Newest deployments first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn history(&self, _scope: &Scope, _limit: usize) -> Result<Vec<Summary>, Error> {
        unimplemented!()
    }

    /// Releases of a service, newest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn releases(&self, _service: &ServiceName) -> Result<Vec<ReleaseInfo>, Error> {
        unimplemented!()
    }

    /// Where instances write; all groups unless one is named.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub async fn logs(
        &self,
        _scope: &Scope,
        _group: Option<&str>,
    ) -> Result<Vec<InstanceLog>, Error> {
        unimplemented!()
    }
}
