//! Why something cannot go to Kubernetes as it is written.

use belay_driver_kubernetes::helm::Unusable;
use belay_driver_kubernetes::render;

/// See the module. Messages read well after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `E0340`: it is not clear which cluster is meant, or it is not known here.
    #[error("{what}")]
    Cluster {
        /// The act and its object.
        what: String,
        /// What to do.
        next: String,
    },
    /// `E0341`: the manifests cannot be read.
    #[error("{what}")]
    Manifests {
        /// The act, its object, and why not.
        what: String,
        /// What to do.
        next: String,
    },
    /// `E0341` to `E0343`: they are no release.
    #[error(transparent)]
    Rendered(#[from] render::Error),
    /// `E0345`: a release that was not made of manifests cannot go to Kubernetes.
    #[error("find the manifests of the release: it was made of something else")]
    NoManifests,
    /// `E0339`: a release of what is running needs something that runs.
    #[error(
        "look at {workload} in {namespace}: it is not there, and a release of what is running changes only what is"
    )]
    NotRunning {
        /// `deployment/api`.
        workload: String,
        /// Where it was looked for.
        namespace: String,
    },
    /// `E0353`: there is no helm that will do.
    #[error(transparent)]
    Helm(#[from] Unusable),
    /// `E0354`: the chart cannot be fetched or rendered.
    #[error("{what}")]
    Chart {
        /// The act, its object, and why not.
        what: String,
        /// What to do.
        next: String,
    },
    /// `E0355`: the values of the chart are not as they have to be.
    #[error("{what}")]
    Values {
        /// The act, its object, and why not.
        what: String,
        /// What to do.
        next: String,
    },
    /// `E0356`: the chart puts a secret where everybody reads it.
    #[error("keep the secret {secret}: the chart writes it into {object} in clear")]
    InClear {
        /// Its name.
        secret: String,
        /// Where it is.
        object: String,
    },
    /// `E0357`: the cluster cannot be asked what it knows, which a chart may depend on.
    #[error("render the chart for the cluster: {0}")]
    Asked(String),
    /// `E0336`: who asks may not do there what it takes.
    #[error("do it on the cluster: {} may not do all that it takes, and nothing was changed", .who.as_deref().unwrap_or("this account"))]
    Forbidden {
        /// As whom the cluster knows us.
        who: Option<String>,
        /// What is missing, one line each.
        missing: Vec<String>,
        /// What is meant, as the command line has it.
        place: String,
    },
    /// `E0337`: an environment has no target on Kubernetes.
    #[error("find a target on Kubernetes in the environment `{0}`: it has none")]
    NotOnKubernetes(String),
    /// `E0338`: the cluster did not say what we may do.
    #[error("{0}")]
    Unasked(String),
    /// `E0358`: a release that was not made of a chart cannot be a Helm release.
    #[error("find the chart of the release: it was made of something else")]
    NoChart,
    /// `E0346`: nobody can be moved to a release, or ask it, as no Service leads there.
    #[error("find the Service that leads to {}: there is none", .0.join(" and "))]
    NoService(Vec<String>),
    /// `E0347`: it is not clear which Service is meant.
    #[error("choose a Service: {} lead to what runs", .0.join(" and "))]
    WhichService(Vec<String>),
    /// `E0348`: two of it cannot be there at once.
    #[error("put the release beside the one before: there can be only one {0}")]
    OnlyOnce(String),
    /// `E0349`: the Service that is named leads elsewhere.
    #[error("reach the release by service/{0}: it selects none of the pods")]
    LeadsNowhere(String),
}

impl Error {
    /// More lines that explain it.
    pub fn detail(&self) -> Vec<String> {
        match self {
            Self::Forbidden { missing, .. } => missing.clone(),
            _ => Vec::new(),
        }
    }

    /// Whether it is no mistake of whoever asked.
    pub(crate) fn is_failure(&self) -> bool {
        matches!(self, Self::Unasked(_))
    }

    /// The stable code; docs/errors has a page of that name.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Cluster { .. } => "E0340",
            Self::Manifests { .. }
            | Self::Rendered(render::Error::Syntax { .. } | render::Error::NoObject { .. }) => {
                "E0341"
            }
            Self::Rendered(render::Error::TooLarge { .. }) => "E0343",
            Self::Rendered(_) => "E0342",
            Self::NotRunning { .. } => "E0339",
            Self::NoManifests => "E0345",
            Self::Helm(_) => "E0353",
            Self::Chart { .. } => "E0354",
            Self::Values { .. } => "E0355",
            Self::InClear { .. } => "E0356",
            Self::Asked(_) => "E0357",
            Self::Forbidden { .. } => "E0336",
            Self::NotOnKubernetes(_) => "E0337",
            Self::Unasked(_) => "E0338",
            Self::NoChart => "E0358",
            Self::NoService(_) => "E0346",
            Self::WhichService(_) => "E0347",
            Self::OnlyOnce(_) => "E0348",
            Self::LeadsNowhere(_) => "E0349",
        }
    }

    /// What to do next.
    pub fn next(&self) -> String {
        match self {
            Self::Cluster { next, .. }
            | Self::Manifests { next, .. }
            | Self::Chart { next, .. }
            | Self::Values { next, .. } => next.clone(),
            Self::Helm(_) => {
                "install helm 3.12 or newer, or 4, where you deploy and where workers run"
                    .to_owned()
            }
            Self::NotRunning { .. } => "correct `workloads` in the target; or say with `release: { manifests: ./k8s }` what shall run"
                .to_owned(),
            Self::InClear { .. } => {
                "have the chart write it into a Secret, and refer to that one".to_owned()
            }
            Self::Asked(_) => {
                "see that the cluster answers: `kubectl version`; and what you may do there: `belay doctor kubernetes`".to_owned()
            }
            Self::Forbidden { place, .. } => {
                format!("belay doctor kubernetes {place} --print-rbac    a Role that allows it, for whoever may grant that")
            }
            Self::NotOnKubernetes(_) => {
                "name one that has with `-e ENV`, or what is meant by `--namespace` and `--strategy`".to_owned()
            }
            Self::Unasked(_) => {
                "see that the cluster answers: `kubectl auth whoami`".to_owned()
            }
            Self::NoChart => {
                "deploy it again from its chart, or promote another release".to_owned()
            }
            Self::Rendered(error) => error.next(),
            Self::NoManifests => {
                "deploy it again from its manifests, or promote another release".to_owned()
            }
            Self::NoService(_) => {
                "add it to the manifests; or name one that is in the cluster with `service:` in the target".to_owned()
            }
            Self::WhichService(_) => {
                "name the one that users reach it by, or all of them, with `service:` in the target".to_owned()
            }
            Self::OnlyOnce(_) => {
                "use `strategy: rolling`, or give it a target of its own with phases".to_owned()
            }
            Self::LeadsNowhere(_) => {
                "name another with `service:` in the target, or correct its `spec.selector`".to_owned()
            }
        }
    }
}
