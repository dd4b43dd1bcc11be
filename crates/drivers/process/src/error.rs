use std::path::PathBuf;

use crate::supervisor::NotReady;

/// What can go wrong with a supervised command. Messages read well after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused; `what` names the act and its object.
    #[error("{what}")]
    Io {
        what: String,
        source: std::io::Error,
    },
    /// A file of the directory does not hold what it should.
    #[error("read {}: not what it should hold", path.display())]
    Malformed {
        path: PathBuf,
        source: serde_json::Error,
    },
    /// Written by a newer Belay.
    #[error("read {}: its format {format} is newer than this belay knows ({known})", path.display())]
    Format {
        path: PathBuf,
        format: u16,
        known: u16,
    },
    /// The specification cannot be run.
    #[error("accept the specification of {id}: {why}")]
    Spec { id: String, why: String },
    /// The directory is in use already.
    #[error("create {}: something is supervised there already", dir.display())]
    Exists { dir: PathBuf },
    /// There is no specification in the directory.
    #[error("find anything supervised in {}", dir.display())]
    Missing { dir: PathBuf },
    /// The key file is no key.
    #[error("use the key file {}: {why}", path.display())]
    Key { path: PathBuf, why: String },
    /// The sealed secrets were sealed with another key, or changed since.
    #[error("unseal the secrets: another key, or the file was changed")]
    Unseal,
    /// The supervisor ended, or did not answer, before it was of use.
    #[error("start a supervisor for {}: {why}", dir.display())]
    Start { dir: PathBuf, why: String },
    /// No supervisor is alive for the directory; `ensure` starts one.
    #[error("reach the supervisor of {}: none is alive", dir.display())]
    Unsupervised { dir: PathBuf },
    /// The supervisor refused or could not do what was asked.
    #[error("have the supervisor of {} do it: {why}", dir.display())]
    Refused { dir: PathBuf, why: String },
    /// The command is not ready; the report says what was seen.
    #[error("see it ready: {}", .0.why)]
    NotReady(Box<NotReady>),
    /// It has to be stopped first.
    #[error("remove {}: it is not stopped ({why})", dir.display())]
    NotStopped { dir: PathBuf, why: String },
}

impl Error {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// The error and its sources in one line: for the edge (a log, an answer on the socket).
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}
