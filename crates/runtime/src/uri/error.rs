//! Why something cannot be done with what a URI names.

use crate::Exit;
use std::path::PathBuf;

/// See the module. Messages read well after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `E0320`: it is no URI of something that Belay knows.
    #[error("read the URI `{uri}`: {why}")]
    Malformed {
        /// As it was written.
        uri: String,
        /// What is wrong.
        why: String,
    },
    /// `E0320`: no context is named, and we are in no cluster.
    #[error("find the cluster of `{0}`: it names no context, and Belay runs in no cluster")]
    NotInCluster(String),
    /// `E0321`: nothing is there by that name.
    #[error("find {title} in the namespace {namespace}")]
    NotThere {
        /// What.
        title: String,
        /// Where.
        namespace: String,
    },
    /// `E0322`: Belay deploys it.
    #[error("use {title} by its URI: Belay deploys it, as {target}")]
    Ours {
        /// What.
        title: String,
        /// The target.
        target: String,
        /// The store that has it, where it is another one, and the Lease that says so.
        elsewhere: Option<(String, String)>,
    },
    /// `E0323`: there is no revision to go back to.
    #[error("go back with {title}: {why}")]
    NoRevision {
        /// What.
        title: String,
        /// Why not.
        why: String,
        /// Revisions that were passed over, and why, one line each.
        passed_over: Vec<String>,
        /// What to do.
        next: String,
    },
    /// `E0324`: the configuration cannot be written.
    #[error("write {}: {why}", path.display())]
    Unwritten {
        /// Where.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// `E0359`: what made a Helm release cannot be built again of helm's record.
    #[error("build the chart of {title} again: {why}")]
    Unbuilt {
        /// What.
        title: String,
        /// Why not.
        why: String,
        /// What to do.
        next: String,
    },
    /// `E0325`: it cannot be done with that kind of thing.
    #[error("{what}")]
    NotFor {
        /// The act and its object, and why not.
        what: String,
        /// What to do.
        next: String,
    },
}

impl Error {
    /// The stable code; docs/errors has a page of that name.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } | Self::NotInCluster(_) => "E0320",
            Self::NotThere { .. } => "E0321",
            Self::Ours { .. } => "E0322",
            Self::NoRevision { .. } => "E0323",
            Self::Unwritten { .. } => "E0324",
            Self::Unbuilt { .. } => "E0359",
            Self::NotFor { .. } => "E0325",
        }
    }

    /// What kind of failure it is.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Ours { .. } | Self::NoRevision { .. } => Exit::Blocked,
            _ => Exit::Usage,
        }
    }

    /// More lines that explain it.
    pub fn detail(&self) -> Vec<String> {
        match self {
            Self::NoRevision { passed_over, .. } => passed_over.clone(),
            _ => Vec::new(),
        }
    }

    /// What to do next.
    pub fn next(&self) -> String {
        match self {
            Self::Malformed { .. } => "write it as kubernetes://CONTEXT/NAMESPACE/deployment/NAME (or statefulset, daemonset), or as \
                                       helm://CONTEXT/NAMESPACE/RELEASE"
                .to_owned(),
            Self::NotInCluster(_) => {
                "name the context; the current one is never taken: `kubectl config get-contexts`".to_owned()
            }
            Self::NotThere { title, namespace } if title.starts_with("the Helm release") => {
                format!("see what is there: `helm list --all -n {namespace}`")
            }
            Self::NotThere { namespace, .. } => {
                format!("see what is there: `kubectl -n {namespace} get deployments,statefulsets,daemonsets`")
            }
            Self::Ours {
                target,
                elsewhere: None,
                ..
            } => match target.split_once('/') {
                Some((service, environment)) => {
                    let environment = environment.split('/').next().unwrap_or_default();
                    format!("`belay rollback {service} -e {environment}`")
                }
                None => "see `belay status`".to_owned(),
            },
            Self::Ours {
                elsewhere: Some((store, lease)),
                ..
            } => format!(
                "use the store that has it ({store}); if that one is gone for good, delete the Lease {lease}"
            ),
            Self::NoRevision { next, .. }
            | Self::NotFor { next, .. }
            | Self::Unbuilt { next, .. } => next.clone(),
            Self::Unwritten { .. } => "nothing was written: name another directory, or move what is there away".to_owned(),
        }
    }
}
