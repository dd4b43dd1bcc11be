//! The errors of requests. Each has a code with a page under docs/errors, says what to do next, and a class that
//! decides the exit code.

use crate::config::Diagnostic;
use belay_engine::goal::Skipped;
use belay_engine::ports::StoreError;
use belay_model::id::{ArtifactDigest, DeploymentId, ReleaseNumber, Scope};
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
    #[error("use the configuration: {} problem(s)", .0.len())]
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
    #[error("read the secret {name} from `{source_name}`: {why}")]
    Secret {
        /// The secret.
        name: String,
        /// The reference.
        source_name: String,
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
    /// `E0206`: there is nothing good to go back to.
    #[error("roll {scope} back: no release was ever good here but the one that runs")]
    NothingGood {
        /// Where.
        scope: Scope,
        /// Asked for by number.
        to: Option<ReleaseNumber>,
        /// What there is, and why not.
        skipped: Vec<Skipped>,
    },
    /// `E0207`: the goal cannot be built again.
    #[error("restore release {release}: {}", lines.join("; "))]
    NotRestorable {
        /// Which.
        release: ReleaseNumber,
        /// What it runs.
        artifact: ArtifactDigest,
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
    Store(#[source] StoreError),
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
}

impl Error {
    /// The stable code; docs/errors has a page of that name.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Configuration(_) => "E0201",
            Self::NoEnvironment { .. } => "E0202",
            Self::Secret { .. } => "E0203",
            Self::Artifact { .. } => "E0204",
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
            Self::Launch { .. } => "E0216",
            Self::Io { .. } => "E0217",
            Self::NotQuarantined { .. } => "E0218",
        }
    }

    /// What kind of failure it is.
    pub fn exit(&self) -> Exit {
        unimplemented!()
    }

    /// What to do next, one line each: commands first.
    pub fn next(&self) -> Vec<String> {
        unimplemented!()
    }
}
