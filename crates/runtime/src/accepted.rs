//! What became of a request: written down, passed on, or not needed.

use belay_model::id::{DeploymentId, ReleaseNumber};

/// What became of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Accepted {
    /// A new deployment was written down; a worker does it.
    New {
        /// It.
        id: DeploymentId,
        /// The release it leads to; absent: what was there before.
        release: Option<ReleaseNumber>,
        /// Open deployments of the same scope that come first, in order.
        behind: Vec<DeploymentId>,
        /// Those that waited, had not begun, and were ended in its favour.
        replaces: Vec<DeploymentId>,
        /// The one that was told to make way for it.
        supersedes: Option<DeploymentId>,
        /// What people should know, one line each.
        remarks: Vec<String>,
    },
    /// A deployment of the scope is open: it was told to go back (I12), and those that wait behind it were told to end.
    /// One that goes back already was told nothing: a second request does not turn it round.
    Signal {
        /// It.
        id: DeploymentId,
        /// Those that waited and were told to end, in the order in which they were asked for.
        ended: Vec<DeploymentId>,
    },
    /// What was asked for serves already, and nothing is open.
    NothingToDo {
        /// The release that serves.
        release: ReleaseNumber,
        /// The deployment that brought it.
        deployment: DeploymentId,
    },
}

impl Accepted {
    /// What people should know, one line each.
    pub fn remarks(&self) -> &[String] {
        match self {
            Self::New { remarks, .. } => remarks,
            Self::Signal { .. } | Self::NothingToDo { .. } => &[],
        }
    }

    /// The deployment to follow, if there is one.
    pub fn id(&self) -> Option<&DeploymentId> {
        match self {
            Self::New { id, .. } | Self::Signal { id, .. } => Some(id),
            Self::NothingToDo { .. } => None,
        }
    }
}
