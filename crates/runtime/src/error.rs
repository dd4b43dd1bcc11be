//! The errors of requests. Each has a code with a page under docs/errors, says what to do next, and a class that
//! decides the exit code.

mod next;

use crate::config::Diagnostic;
use crate::kubernetes;
use crate::promote::{numbered, unproved};
use crate::uri;
use belay_driver::Refusal;
use belay_engine::goal::Skipped;
use belay_engine::ports::StoreError;
use belay_model::id::{ArtifactDigest, DeploymentId, EnvironmentName, ReleaseNumber, Scope};
use belay_model::promotion::Unproved;
use belay_store::{BlobError, CopyError, OpenError};
use std::path::PathBuf;

/// What kind of failure it is, for the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// What was asked for makes no sense as it stands: names, configuration, arguments.
    Usage,
    /// It makes sense, and a rule or the state of the world forbids it now. Nothing was changed.
    Blocked,
    /// Something is broken: the store, the disk, the proxy.
    Failed,
}

/// Why a request was not accepted. Messages read well after "failed to".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `E0201`: the configuration cannot be used.
    #[error("use the configuration: {}", problems(.0.len()))]
    Configuration(Vec<Diagnostic>),
    /// `E0202`: it has no such environment.
    #[error("find the environment `{name}` in {}", file.display())]
    NoEnvironment {
        /// What was asked for.
        name: String,
        /// In which file.
        file: PathBuf,
        /// What there is.
        known: Vec<String>,
        /// The nearest of them.
        nearest: Option<String>,
    },
    /// `E0203`: a secret has no value.
    #[error("read the secret {name} from `{reference}`: {why}")]
    Secret {
        /// The secret.
        name: String,
        /// The reference.
        reference: String,
        /// Why not.
        why: String,
    },
    /// `E0204`: the artifact cannot be taken in.
    #[error("take in the artifact {}: {why}", path.display())]
    Artifact {
        /// Which.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// `E0336` to `E0338`, `E0340` to `E0343`, `E0345` to `E0349`, `E0353` to `E0358`: it cannot go to Kubernetes as it is written.
    #[error(transparent)]
    Kubernetes(#[from] kubernetes::Error),
    /// `E0320` to `E0325`, `E0359`: it cannot be done with what a URI names.
    #[error(transparent)]
    Uri(#[from] uri::Error),
    /// `E0326` to `E0331`: others are in the way there, and nothing was changed.
    #[error("go back: {}", .0.what)]
    Opposed(Refusal),
    /// `E0344`: what is given on the command line is no part of this kind of release.
    #[error("use `{given}`: the release is {kind}")]
    OtherSource {
        /// The option.
        given: &'static str,
        /// What the release is made of.
        kind: &'static str,
        /// The option that fits.
        instead: &'static str,
    },
    /// `E0205`: the content is quarantined.
    #[error("deploy release {release} to {scope}: it is quarantined ({why})")]
    Quarantined {
        /// Where.
        scope: Scope,
        /// Which.
        release: ReleaseNumber,
        /// Since when, Unix microseconds.
        since_us: i64,
        /// By which deployment; absent: by a person.
        by: Option<DeploymentId>,
        /// Why.
        why: String,
    },
    /// `E0242`: it is not good where releases come from.
    #[error("deploy {} to {scope}: {}", numbered(*release), unproved(from, why))]
    Unproved {
        /// Where to.
        scope: Scope,
        /// Which; absent: a new one.
        release: Option<ReleaseNumber>,
        /// Where it should be good.
        from: EnvironmentName,
        /// Why it is not.
        why: Unproved,
    },
    /// `E0243`: there is nothing to promote.
    #[error("promote what serves in {scope}: nothing does")]
    NothingServes {
        /// Where.
        scope: Scope,
    },
    /// `E0244`: the artifact of a release is gone, or not what it was.
    #[error("promote release {release}: {why}")]
    ArtifactLost {
        /// Which.
        release: ReleaseNumber,
        /// Why.
        why: String,
    },
    /// `E0245`: releases of the environment come from another one.
    #[error("promote from {asked} to {scope}: its releases come from {from}")]
    ComesFrom {
        /// Where to.
        scope: Scope,
        /// Where they come from.
        from: EnvironmentName,
        /// What was asked for.
        asked: EnvironmentName,
    },
    /// `E0206`: there is nothing good to go back to.
    #[error("roll {scope} back: {}", nothing_good(*to, skipped))]
    NothingGood {
        /// Where.
        scope: Scope,
        /// Asked for by number.
        to: Option<ReleaseNumber>,
        /// What there is, and why not.
        skipped: Vec<Skipped>,
    },
    /// `E0207`: the goal cannot be built again.
    #[error("restore {goal}: {}", lines.join("; "))]
    NotRestorable {
        /// What, in words: `release 1`.
        goal: String,
        /// What it runs, if it is a release.
        artifact: Option<ArtifactDigest>,
        /// What is missing.
        lines: Vec<String>,
    },
    /// `E0208`: that deployment cannot be undone.
    #[error("undo {of}: {why}")]
    NoUndo {
        /// Which.
        of: DeploymentId,
        /// Why not.
        why: String,
        /// The deployment that can be.
        instead: Option<DeploymentId>,
    },
    /// `E0209`: no such service, environment, deployment or release.
    #[error("find {what}")]
    NotFound {
        /// What was looked for.
        what: String,
        /// What there is.
        known: Vec<String>,
        /// The nearest of them.
        nearest: Option<String>,
    },
    /// `E0210`: several could be meant.
    #[error("tell which {what} is meant")]
    Ambiguous {
        /// What was looked for.
        what: String,
        /// Which could be.
        candidates: Vec<String>,
    },
    /// `E0211`: the deployment does not take that now.
    #[error("tell {id} to {ask}: {why}")]
    NotAsked {
        /// Which.
        id: DeploymentId,
        /// What was asked.
        ask: &'static str,
        /// Why not.
        why: String,
        /// It is over: nothing can be said to it any more.
        has_ended: bool,
    },
    /// `E0212`: too many deployments are open.
    #[error("queue another deployment: {0}")]
    TooMany(String),
    /// `E0213`: the target cannot be observed or planned for.
    #[error("work with the target {target}: {why}")]
    Target {
        /// Which.
        target: String,
        /// Why.
        why: String,
    },
    /// `E0214`: this build has no such driver.
    #[error("use the driver `{0}`: this build does not have it")]
    NoDriver(String),
    /// `E0215`: the store cannot be used.
    #[error("use the store")]
    Store(#[from] StoreError),
    /// `E0216`: a process of Belay's own did not start.
    #[error("start the {what}: {why}")]
    Launch {
        /// Which.
        what: &'static str,
        /// Why.
        why: String,
        /// Where more is written.
        log: Option<PathBuf>,
    },
    /// `E0217`: a file or directory of the store cannot be used.
    #[error("{what}")]
    Io {
        /// The act and its object.
        what: String,
        /// Why.
        source: std::io::Error,
    },
    /// `E0218`: there is nothing to lift.
    #[error("lift the quarantine of release {release}: no record of it is quarantined")]
    NotQuarantined {
        /// Which.
        release: ReleaseNumber,
    },
    /// `E0221`: no release goes out there for now.
    #[error("deploy to {scope}: {why}")]
    Frozen {
        /// Where.
        scope: Scope,
        /// What is frozen: the scope, its environment or its service.
        held: Scope,
        /// By whom, and why.
        why: String,
    },
    /// `E0223`: someone answered who was not asked.
    #[error("take the answer of {actor}: {id} does not wait for it")]
    NotYours {
        /// Which deployment.
        id: DeploymentId,
        /// Who answered.
        actor: String,
        /// Whom it waits for; empty: anyone who has not answered.
        by: Vec<String>,
    },
    /// `E0222`: there is no freeze to lift.
    #[error("lift the freeze of {scope}: nothing is frozen there")]
    NotFrozen {
        /// Where.
        scope: Scope,
    },
    /// `E0219`: the key of sealed values cannot be used.
    #[error("use the key of the store's secrets")]
    Key(#[source] BlobError),
    /// `E0241`: a hotfix waits for what goes back.
    #[error("put a hotfix out to {scope}: {id} goes back")]
    GoesBack {
        /// Where.
        scope: Scope,
        /// What goes back.
        id: DeploymentId,
    },
    /// `E0230` to `E0233`, `E0270` to `E0272`: the store that machines share was not opened.
    #[error("use the shared store")]
    Shared(#[source] OpenError),
    /// `E0235` to `E0237`: the store was not copied.
    #[error("{what}")]
    Copy {
        /// The act and its object.
        what: &'static str,
        /// Why.
        source: CopyError,
    },
    /// `E0234`: only another machine can look there.
    #[error("look at {target}: it is on {host}")]
    Elsewhere {
        /// Which target.
        target: String,
        /// Which machine.
        host: String,
    },
    /// `E0220`: a deployment is open, and going back from it leads elsewhere.
    #[error("go to release {to}: {open} is open, and going back from it leads to {leads_to}")]
    Open {
        /// What was asked for.
        to: ReleaseNumber,
        /// The open deployment.
        open: DeploymentId,
        /// Where a signal to it leads.
        leads_to: String,
    },
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Store(error) => Self::Store(error),
            error => Self::Shared(error),
        }
    }
}

fn problems(count: usize) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} problem{plural}")
}

fn nothing_good(to: Option<ReleaseNumber>, skipped: &[Skipped]) -> String {
    match to {
        Some(to) if skipped.is_empty() => format!("release {to} was never here"),
        Some(to) => format!("release {to} is no release to go back to"),
        None => "no other release was ever good here".to_owned(),
    }
}

impl Error {
    /// Whether the server of a shared store cannot be used at the moment.
    pub fn is_server_away(&self) -> bool {
        match self {
            Self::Shared(OpenError::Unreachable(_)) => true,
            Self::Key(BlobError::Store(error)) | Self::Store(error) => {
                matches!(error, StoreError::Unwritable(_))
            }
            _ => false,
        }
    }

    /// The stable code; docs/errors has a page of that name.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Configuration(_) => "E0201",
            Self::NoEnvironment { .. } => "E0202",
            Self::Secret { .. } => "E0203",
            Self::Artifact { .. } => "E0204",
            Self::Kubernetes(error) => error.code(),
            Self::Uri(error) => error.code(),
            Self::Opposed(refusal) => refusal.code,
            Self::OtherSource { .. } => "E0344",
            Self::Quarantined { .. } => "E0205",
            Self::NothingGood { .. } => "E0206",
            Self::NotRestorable { .. } => "E0207",
            Self::NoUndo { .. } => "E0208",
            Self::NotFound { .. } => "E0209",
            Self::Ambiguous { .. } => "E0210",
            Self::NotAsked { .. } => "E0211",
            Self::TooMany(_) => "E0212",
            Self::Target { .. } => "E0213",
            Self::NoDriver(_) => "E0214",
            Self::Store(_) => "E0215",
            Self::Shared(OpenError::Url(_)) => "E0230",
            Self::Shared(OpenError::Unreachable(_) | OpenError::Store(_)) => "E0231",
            Self::Shared(OpenError::NoTables | OpenError::OldTables { .. }) => "E0232",
            Self::Shared(OpenError::TooOld(_)) => "E0233",
            Self::Shared(OpenError::NoTls) => "E0270",
            Self::Shared(OpenError::Untrusted(_)) => "E0271",
            Self::Shared(OpenError::Certificates(_)) => "E0272",
            Self::Elsewhere { .. } => "E0234",
            Self::Copy { source, .. } => match source {
                CopyError::NotEmpty(_) => "E0236",
                CopyError::Open(_) => "E0237",
                _ => "E0235",
            },
            Self::Launch { .. } => "E0216",
            Self::Io { .. } => "E0217",
            Self::NotQuarantined { .. } => "E0218",
            Self::Key(_) => "E0219",
            Self::Open { .. } => "E0220",
            Self::Frozen { .. } => "E0221",
            Self::NotFrozen { .. } => "E0222",
            Self::NotYours { .. } => "E0223",
            Self::GoesBack { .. } => "E0241",
            Self::Unproved { .. } => "E0242",
            Self::NothingServes { .. } => "E0243",
            Self::ArtifactLost { .. } => "E0244",
            Self::ComesFrom { .. } => "E0245",
        }
    }

    /// What kind of failure it is.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Uri(error) => error.exit(),
            Self::Kubernetes(error) if error.is_failure() => Exit::Failed,
            Self::Kubernetes(kubernetes::Error::Forbidden { .. }) => Exit::Blocked,
            Self::Configuration(_)
            | Self::NoEnvironment { .. }
            | Self::Secret { .. }
            | Self::Artifact { .. }
            | Self::Kubernetes(_)
            | Self::OtherSource { .. }
            | Self::NotFound { .. }
            | Self::Ambiguous { .. }
            | Self::Shared(OpenError::Url(_) | OpenError::NoTables | OpenError::Certificates(_))
            | Self::NoDriver(_) => Exit::Usage,
            Self::Quarantined { .. }
            | Self::Opposed(_)
            | Self::NothingGood { .. }
            | Self::NotRestorable { .. }
            | Self::NoUndo { .. }
            | Self::NotAsked { .. }
            | Self::TooMany(_)
            | Self::NotQuarantined { .. }
            | Self::Frozen { .. }
            | Self::NotFrozen { .. }
            | Self::NotYours { .. }
            | Self::Elsewhere { .. }
            | Self::Copy {
                source: CopyError::NotEmpty(_) | CopyError::Open(_),
                ..
            }
            | Self::GoesBack { .. }
            | Self::Unproved { .. }
            | Self::NothingServes { .. }
            | Self::ArtifactLost { .. }
            | Self::ComesFrom { .. }
            | Self::Open { .. } => Exit::Blocked,
            Self::Target { .. }
            | Self::Store(_)
            | Self::Shared(_)
            | Self::Copy { .. }
            | Self::Launch { .. }
            | Self::Io { .. }
            | Self::Key(_) => Exit::Failed,
        }
    }
}
