//! The errors of requests. Each has a code with a page under docs/errors, says what to do next, and a class that
//! decides the exit code.

use crate::config::Diagnostic;
use crate::kubernetes;
use crate::promote::{numbered, prove, unproved};
use crate::uri;
use belay_driver::Refusal;
use belay_engine::goal::Skipped;
use belay_engine::ports::StoreError;
use belay_model::id::{ArtifactDigest, DeploymentId, EVERY, EnvironmentName, ReleaseNumber, Scope};
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
    /// `E0340` to `E0343`, `E0345` to `E0349`, `E0353` to `E0358`: it cannot go to Kubernetes as it is written.
    #[error(transparent)]
    Kubernetes(#[from] kubernetes::Error),
    /// `E0320` to `E0325`: it cannot be done with what a URI names.
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

    /// What to do next, one line each.
    pub fn next(&self) -> Vec<String> {
        let did_you_mean = |nearest: &Option<String>, known: &[String]| match nearest {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None if known.is_empty() => "nothing was deployed yet: `belay deploy`".to_owned(),
            None => format!("known: {}", known.join(", ")),
        };
        let line = match self {
            Self::Configuration(_) => {
                "correct the file; `belay check` looks at it again".to_owned()
            }
            Self::NoEnvironment { nearest, known, .. } | Self::NotFound { nearest, known, .. } => {
                did_you_mean(nearest, known)
            }
            Self::Secret { reference, .. } => match reference.strip_prefix("env:") {
                Some(name) => format!("set the variable: `{name}=... belay deploy`"),
                None => "make the file readable for whoever deploys".to_owned(),
            },
            Self::Artifact { .. } => {
                "build it, or name another one with `--artifact PATH`".to_owned()
            }
            Self::Kubernetes(error) => error.next(),
            Self::Uri(error) => error.next(),
            Self::Opposed(refusal) => refusal.next.clone(),
            Self::OtherSource { instead, .. } => format!("leave it out, or use `{instead}`"),
            Self::Quarantined { scope, release, .. } => format!(
                "deploy something else; or lift it: `belay release lift {release} {} -e {} --reason TEXT`",
                scope.service, scope.environment
            ),
            Self::NothingGood {
                to: Some(to),
                skipped,
                ..
            } if skipped.iter().any(|one| one.is_unproven) => format!(
                "leave `--to` out; or take the risk: `belay rollback --to {to} --accept unproven --reason TEXT`"
            ),
            Self::NothingGood { to: Some(_), .. } => {
                "leave `--to` out, or name a good one: `belay release list`".to_owned()
            }
            Self::NothingGood { to: None, .. } => {
                "deploy a release that works; a quarantined one after `belay release lift`"
                    .to_owned()
            }
            Self::NotRestorable { .. } => {
                "deploy that release again from its source, or go to another one with `--to`"
                    .to_owned()
            }
            Self::NoUndo {
                instead: Some(last),
                ..
            } => format!("the last one is {last}: `belay rollback --undo {last}`"),
            Self::NoUndo { instead: None, .. } => {
                "name a release instead: `belay rollback --to RELEASE`".to_owned()
            }
            Self::Ambiguous { candidates, .. } => format!("one of: {}", candidates.join(", ")),
            Self::NotAsked {
                has_ended: true, ..
            } => "what has ended is not taken up again: `belay deploy` and `belay rollback` make a new one".to_owned(),
            Self::NotAsked { id, .. } => {
                format!("see how it stands: `belay status`, `belay watch {id}`")
            }
            Self::TooMany(_) => "wait for them, or end them: `belay status`".to_owned(),
            Self::Target { .. } => {
                "see that the place is there and can be reached, then try again".to_owned()
            }
            Self::NoDriver(_) => "use a build with that driver".to_owned(),
            Self::Store(error) => store_next(error).to_owned(),
            Self::Shared(error) => shared_next(error).to_owned(),
            Self::Copy { source, .. } => copy_next(source).to_owned(),
            Self::Elsewhere { host, .. } => format!("ask there: the same command on {host}"),
            Self::Launch { log: Some(log), .. } => format!("see {}", log.display()),
            Self::Launch { log: None, .. } | Self::Io { .. } => {
                "see that the disk has room and that you own the directory".to_owned()
            }
            Self::NotQuarantined { .. } => {
                "see what is quarantined: `belay release list`".to_owned()
            }
            Self::Frozen { held, .. } => {
                let which = match (held.service.as_str(), held.environment.as_str()) {
                    (EVERY, environment) => format!("--all-services -e {environment}"),
                    (service, EVERY) => format!("{service} --all-environments"),
                    (service, environment) => format!("{service} -e {environment}"),
                };
                format!("wait, or lift it: `belay freeze --lift {which} --reason TEXT`")
            }
            Self::NotYours { by, .. } if by.is_empty() => {
                "you have answered already: someone else has to".to_owned()
            }
            Self::NotYours { by, .. } => format!("ask one of: {}", by.join(", ")),
            Self::GoesBack { id, .. } => {
                format!(
                    "wait for it, then deploy: `belay watch {id}`; what goes back is soon there"
                )
            }
            Self::Unproved {
                scope,
                release,
                from,
                why,
            } => prove(scope, *release, from, why),
            Self::NothingServes { scope } => format!(
                "deploy there first: `belay deploy {} -e {}`; or name a release that was good there with `--release`",
                scope.service, scope.environment
            ),
            Self::ArtifactLost { .. } => {
                "deploy that release again from its source, or promote another one with `--release`"
                    .to_owned()
            }
            Self::ComesFrom { scope, from, .. } => {
                format!("`belay promote {from} {}`", scope.environment)
            }
            Self::NotFrozen { .. } => "see what is frozen: `belay status`".to_owned(),
            Self::Key(_) => {
                "bring the key file from where it was made, or set BELAY_KEY to that key".to_owned()
            }
            Self::Open { open, .. } => {
                format!("leave `--to` out, or wait for it: `belay watch {open}`")
            }
        };
        vec![line]
    }
}

fn copy_next(error: &CopyError) -> &'static str {
    match error {
        CopyError::NotEmpty(_) => "nothing was changed: name an empty store",
        CopyError::Open(_) => "nothing was changed: wait for them, or end them: `belay status`",
        CopyError::Malformed { .. } => "nothing was changed: use another backup",
        CopyError::File(_) => {
            "nothing was changed: name a file that can be read, or for a backup one that is not there yet"
        }
        CopyError::Store(error) => store_next(error),
        CopyError::Artifact(_) => {
            "nothing was changed: `belay store check`, and see that the disk has room"
        }
    }
}

fn shared_next(error: &OpenError) -> &'static str {
    match error {
        OpenError::Url(_) => "correct `--store` or BELAY_STORE; docs/shared-store.md says how",
        OpenError::Unreachable(_) => {
            "nothing was changed, and what serves goes on: see that the server runs, and that host, user, password and database are right"
        }
        OpenError::NoTls => {
            "nothing was sent: switch TLS on at the server (`ssl = on`), or leave sslmode out where you trust the network"
        }
        OpenError::Untrusted(_) => {
            "nothing was sent: see that the host is the right one, and name the file of its authority (`sslrootcert=/PATH`)"
        }
        OpenError::Certificates(_) => {
            "correct sslrootcert, sslcert and sslkey; docs/shared-store.md says how"
        }
        OpenError::TooOld(_) => "use a newer server",
        OpenError::NoTables => "`belay deploy` makes it, or name another database",
        OpenError::OldTables { .. } => {
            "when all who use it have this version: `belay store migrate`"
        }
        OpenError::Store(error) => store_next(error),
    }
}

fn store_next(error: &StoreError) -> &'static str {
    match error {
        StoreError::Unwritable(_) => {
            "see that its disk has room and can be written, and that its server answers if it has one; then try again"
        }
        StoreError::Damaged(_) => "stop, copy the directory away, and restore the last backup",
        StoreError::Newer(_) => "use the newer belay",
        StoreError::Moved(_)
        | StoreError::Stale(_)
        | StoreError::Fenced(_)
        | StoreError::Missing(_)
        | StoreError::TooLarge(_) => "see how things stand: `belay status`",
    }
}
