//! What people ask of a deployment.

use crate::id::DeploymentId;
use serde::{Deserialize, Serialize};

/// What someone asked of a deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// Go back.
    Abort,
    /// Try the stuck step again.
    Retry,
    /// Go on without the stuck step; what it leaves is named.
    Skip,
    /// End it as it is, and free the lock.
    Abandon,
    /// Yes.
    Approve,
    /// No: go back.
    Reject,
    /// Begin no further step for now.
    Pause,
    /// Go on.
    Resume,
    /// Do not wait any longer.
    Advance,
    /// End it, and leave what was done as it is.
    Stop,
    /// End it for a hotfix, which gets its lock and its baseline.
    Supersede {
        /// Which; absent: it does not take over after all, and this one goes on.
        by: Option<DeploymentId>,
    },
}
