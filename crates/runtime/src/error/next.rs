//! What to do next, by error.

use super::Error;
use crate::promote::prove;
use belay_engine::ports::StoreError;
use belay_model::id::EVERY;
use belay_store::{CopyError, OpenError};

impl Error {
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
