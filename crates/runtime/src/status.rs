//! How things stand.

use crate::{Belay, Error};
use belay_model::environment::Standing;
use belay_model::id::{DeploymentId, RecordHash, ReleaseNumber, Scope};
use belay_model::summary::Summary;

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
    /// Instances that can take traffic.
    pub ready: u32,
    /// Instances that shall be there.
    pub instances: u32,
    /// Share of the traffic, per mille.
    pub weight: u32,
    /// Why it is not healthy.
    pub unhealthy: Option<String>,
    /// It is kept warm until then, Unix milliseconds.
    pub removed_at_ms: Option<i64>,
}

/// A target as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetStatus {
    /// Its name.
    pub name: String,
    /// Where clients connect, where the platform tells.
    pub listen: Option<String>,
    /// What is there.
    pub groups: Vec<GroupStatus>,
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
    /// The target as it is; or why it could not be observed. Absent: it is not known yet.
    pub target: Option<Result<TargetStatus, String>>,
}

impl Belay {
    /// How every scope stands, in the order of their names.
    ///
    /// # Errors
    /// The store cannot be read. A target that cannot be observed is no error: see [`ScopeStatus::target`].
    pub async fn status(&self) -> Result<Vec<ScopeStatus>, Error> {
        unimplemented!()
    }
}
