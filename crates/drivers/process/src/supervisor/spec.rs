//! What is supervised: written once when it is created, never changed, so that a supervisor started again does exactly what the
//! first one did.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Error;

/// A command to keep running. Holds no secret values: they are sealed beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// [`Spec::FORMAT`] when it was written.
    pub format: u16,
    /// Names the instance; the command sees it as `BELAY_INSTANCE`.
    pub id: String,
    /// The program, looked up in `PATH` unless it has a slash (then relative to `cwd`), and its arguments.
    pub command: Vec<String>,
    /// Absolute.
    pub cwd: PathBuf,
    /// Added to the few variables that are inherited (`PATH`, `HOME`, `USER`, `LANG`, `TMPDIR`, `TZ`).
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Given to the command as `PORT`; where readiness is asked, on 127.0.0.1.
    #[serde(default)]
    pub port: Option<u16>,
    pub ready: Readiness,
    /// Accept an answer from a process that is not part of the command: for commands that have something else listen for them (a container engine).
    #[serde(default)]
    pub any_listener: bool,
    /// How long `wait_ready` waits unless told otherwise. The command is not stopped when it has passed.
    pub ready_timeout_ms: u64,
    /// Between SIGTERM and SIGKILL, unless told otherwise.
    pub stop_timeout_ms: u64,
    /// Start the command again when it ends by itself. If not, its end is the end of the supervisor, too.
    pub restart: bool,
    /// `output.log` is rotated when it is larger.
    pub log_max_bytes: u64,
    /// How many rotated files are kept.
    pub log_keep: u32,
    /// The key that `secrets.sealed` was sealed with; needed only if there are secrets.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    #[serde(default)]
    pub timing: Timing,
}

/// When a command counts as ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Readiness {
    /// `GET path` on the port answers with a status from `from` to `to`, both included.
    Http { path: String, from: u16, to: u16 },
    /// The port accepts a connection.
    Tcp,
    /// It runs, and has for [`Timing::started_ms`].
    Started,
}

impl Readiness {
    /// `GET path` answers 200..=399.
    pub fn http(path: impl Into<String>) -> Self {
        Self::Http {
            path: path.into(),
            from: 200,
            to: 399,
        }
    }
}

/// How fast things are tried; the defaults are right outside of tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Timing {
    /// Before the first restart; doubles with each one.
    pub backoff_first_ms: u64,
    pub backoff_max_ms: u64,
    /// A run at least this long starts the back-off afresh.
    pub healthy_ms: u64,
    /// Between the first two readiness probes; doubles with each one.
    pub probe_first_ms: u64,
    pub probe_max_ms: u64,
    /// Between probes of a command that is ready.
    pub probe_ready_ms: u64,
    /// How long one probe may take.
    pub probe_timeout_ms: u64,
    /// How long a command with [`Readiness::Started`] has to run to be ready.
    pub started_ms: u64,
    /// Between looks at the size of the output.
    pub log_check_ms: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            backoff_first_ms: 100,
            backoff_max_ms: 10_000,
            healthy_ms: 60_000,
            probe_first_ms: 10,
            probe_max_ms: 100,
            probe_ready_ms: 1_000,
            probe_timeout_ms: 2_000,
            started_ms: 200,
            log_check_ms: 1_000,
        }
    }
}

impl Spec {
    pub const FORMAT: u16 = 1;

    /// A specification with the usual limits: restarted, ready when started, 10 MiB of output and three old files.
    pub fn new(id: impl Into<String>, command: Vec<String>, cwd: impl Into<PathBuf>) -> Self {
        Self {
            format: Self::FORMAT,
            id: id.into(),
            command,
            cwd: cwd.into(),
            env: BTreeMap::new(),
            port: None,
            ready: Readiness::Started,
            any_listener: false,
            ready_timeout_ms: 60_000,
            stop_timeout_ms: 10_000,
            restart: true,
            log_max_bytes: 10 << 20,
            log_keep: 3,
            key_file: None,
            timing: Timing::default(),
        }
    }

    pub(crate) fn check(&self, has_secrets: bool) -> Result<(), Error> {
        let refuse = |why: &str| {
            Err(Error::Spec {
                id: self.id.clone(),
                why: why.to_owned(),
            })
        };
        if self.id.is_empty() || self.id.contains('\0') {
            return refuse("it has no usable id");
        }
        if self.command.first().is_none_or(String::is_empty) {
            return refuse("it has no command");
        }
        if !self.cwd.is_absolute() {
            return refuse("its working directory is not absolute");
        }
        if self.ready != Readiness::Started && self.port.is_none() {
            return refuse("its readiness needs a port");
        }
        if has_secrets && self.key_file.is_none() {
            return refuse("it has secrets but names no key file");
        }
        Ok(())
    }
}
