//! The handle that the rest of Belay has on a supervised command. Works with and without a live supervisor, and never needs to
//! have started it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::directory::Directory;
use super::protocol::millis;
use super::serve::LONGEST_MS;
use super::{
    Answer, Desired, Ensured, NotReady, Phase, Request, Sealer, Spec, Status, adopt, launch,
    lifecycle, output, protocol,
};
use crate::Error;

const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// For an answer that needs no waiting, and on top of one that does.
const PATIENCE: Duration = Duration::from_secs(5);

/// A supervised command, by its directory. The async functions need a tokio runtime with I/O and time.
#[derive(Debug, Clone)]
pub struct Supervised {
    directory: Directory,
}

impl Supervised {
    /// The one in this directory, whether or not there is one.
    pub fn at(dir: impl AsRef<Path>) -> Self {
        let dir = dir.as_ref();
        // As the supervisor sees it: its path is a mark of the command.
        let path = fs::canonicalize(dir)
            .or_else(|_| std::path::absolute(dir))
            .unwrap_or_else(|_| dir.to_owned());
        Self {
            directory: Directory::new(path),
        }
    }

    /// Makes the directory, durably; starts nothing. `secrets` are added to the environment and lie on disk only sealed, with
    /// the key that `spec.key_file` names. What an interrupted call left is overwritten.
    pub fn create(
        dir: impl AsRef<Path>,
        spec: &Spec,
        secrets: &BTreeMap<String, String>,
        sealer: &dyn Sealer,
    ) -> Result<Self, Error> {
        spec.check(!secrets.is_empty())?;
        let directory = Directory::new(dir.as_ref());
        directory.make()?;
        let supervised = Self::at(dir);
        let directory = &supervised.directory;
        if directory.file("spec.json").exists() {
            return Err(Error::Exists {
                dir: directory.path().to_owned(),
            });
        }
        if !secrets.is_empty() {
            let clear = serde_json::to_vec(secrets).map_err(|source| Error::Malformed {
                path: directory.file("secrets.sealed"),
                source,
            })?;
            directory.write("secrets.sealed", &sealer.seal(&clear), true)?;
        }
        directory.desire(Desired::Running)?;
        directory.write_json("spec.json", spec, true)?;
        Ok(supervised)
    }

    pub fn dir(&self) -> &Path {
        self.directory.path()
    }

    pub fn spec(&self) -> Result<Spec, Error> {
        self.directory.spec()
    }

    /// Where the command writes.
    pub fn output_path(&self) -> PathBuf {
        self.directory.output()
    }

    /// The last lines that it wrote.
    pub fn output(&self, lines: usize) -> Vec<String> {
        output::last_lines(&self.directory.output(), lines)
    }

    /// It shall run, also if it was stopped before. Returns when a supervisor is at work, not when the command is ready. `exe`
    /// is run as `exe supervise DIR`.
    pub async fn start(&self, exe: &Path) -> Result<(), Error> {
        let spec = self.spec()?;
        let patience = PATIENCE + bounded(Duration::from_millis(spec.stop_timeout_ms));
        let deadline = Instant::now() + patience;
        // One that is stopping it is waited for: it would stop what we start.
        while self.directory.is_locked()? {
            if self
                .status()
                .await
                .is_ok_and(|status| status.supervised && status.desired == Desired::Running)
            {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let why = format!(
                    "the one before it was not gone after {} s",
                    patience.as_secs()
                );
                return Err(Error::Start {
                    dir: self.dir().to_owned(),
                    why,
                });
            }
            sleep(LOOK_AGAIN).await;
        }
        self.directory.desire(Desired::Running)?;
        launch::launch(&self.directory, exe).await
    }

    /// Sees to it that what is desired goes on: starts a supervisor if there is none and one is needed.
    pub async fn ensure(&self, exe: &Path) -> Result<Ensured, Error> {
        launch::ensure(&self.directory, exe).await
    }

    /// From the supervisor, or without one from what it left and the process table (`supervised` is false then).
    pub async fn status(&self) -> Result<Status, Error> {
        match self.ask(&Request::Status, PATIENCE).await {
            Ok(Answer::Status(status)) => Ok(*status),
            Ok(other) => Err(self.unexpected(other)),
            Err(Error::Unsupervised { .. }) => self.last_status(),
            Err(error) => Err(error),
        }
    }

    /// Ready, or [`Error::NotReady`] with what was seen as soon as that is known. The specification's timeout if `None`.
    pub async fn wait_ready(&self, timeout: Option<Duration>) -> Result<Status, Error> {
        let limit = timeout.map_or_else(
            || {
                self.spec()
                    .map(|spec| Duration::from_millis(spec.ready_timeout_ms))
            },
            Ok,
        )?;
        let limit = bounded(limit);
        let request = Request::WaitReady {
            timeout_ms: Some(millis(limit)),
        };
        match self.ask(&request, limit + PATIENCE).await {
            Ok(Answer::Ready(status)) => Ok(*status),
            Ok(Answer::NotReady(report)) => Err(Error::NotReady(report)),
            Ok(other) => Err(self.unexpected(other)),
            Err(Error::Unsupervised { dir }) => {
                // One that is not restarted and has ended is an answer; anything else needs `ensure`.
                let status = self.last_status()?;
                let known = NotReady::known(&status).filter(|_| status.desired == Desired::Stopped);
                let (cause, why) = known.ok_or(Error::Unsupervised { dir })?;
                Err(Error::NotReady(Box::new(NotReady {
                    cause,
                    why,
                    status,
                    output: self.output(NotReady::LINES),
                })))
            }
            Err(error) => Err(error),
        }
    }

    /// Whether it was told to stop and its supervisor does not know yet: the request is still on its way, or whoever wanted
    /// to ask was gone before.
    pub async fn is_to_be_stopped(&self) -> Result<bool, Error> {
        if self.directory.desired()? != Desired::Stopped {
            return Ok(false);
        }
        let status = self.status().await?;
        Ok(status.supervised && status.desired != Desired::Stopped)
    }

    /// Stops it gracefully, then hard; returns when it and its supervisor's work are done. Without a supervisor it does so itself.
    pub async fn stop(&self, timeout: Option<Duration>) -> Result<Status, Error> {
        let spec = self.spec()?;
        let limit = bounded(timeout.unwrap_or(Duration::from_millis(spec.stop_timeout_ms)));
        self.directory.desire(Desired::Stopped)?;
        let request = Request::Stop {
            timeout_ms: Some(millis(limit)),
        };
        let deadline = Instant::now() + limit + PATIENCE;
        loop {
            match self.ask(&request, limit + PATIENCE).await {
                Ok(Answer::Stopped(status)) => return Ok(*status),
                Ok(other) => return Err(self.unexpected(other)),
                Err(Error::Unsupervised { .. }) => {}
                Err(error) => return Err(error),
            }
            if let Some(_lock) = self.directory.lock()? {
                return self.stop_orphan(&spec, limit).await;
            }
            if Instant::now() >= deadline {
                return Err(Error::Refused {
                    dir: self.dir().to_owned(),
                    why: "it does not answer".to_owned(),
                });
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    async fn stop_orphan(&self, spec: &Spec, limit: Duration) -> Result<Status, Error> {
        let last = self.directory.status().ok().flatten();
        let child = adopt::find(&self.directory, spec, last.as_ref()).await;
        let mut status = last.unwrap_or_else(|| Status::new(&spec.id, spec.port));
        if child.is_none() && status.child.is_some() {
            status.ended(super::Ended::Unknown, false);
        }
        lifecycle::finish(child, limit, |change| {
            change(&mut status);
            self.directory.write_status(&status)
        })
        .await?;
        Ok(status)
    }

    /// Deletes the directory with all that was recorded. Refused unless it is stopped.
    pub async fn remove(self) -> Result<(), Error> {
        let refuse = |why: &str| Error::NotStopped {
            dir: self.dir().to_owned(),
            why: why.to_owned(),
        };
        let spec = self.spec()?;
        let deadline = Instant::now() + PATIENCE;
        let _lock = loop {
            if let Some(lock) = self.directory.lock()? {
                break lock;
            }
            // A supervisor that has answered `stopped` is still there for a moment, and so is one who only looks.
            if self.directory.desired()? != Desired::Stopped || Instant::now() >= deadline {
                return Err(refuse("a supervisor is at work"));
            }
            sleep(LOOK_AGAIN).await;
        };
        let written = self
            .directory
            .status()
            .ok()
            .flatten()
            .and_then(|status| status.child);
        if written.is_some_and(|child| child.is_alive())
            || adopt::marked(&self.directory, &spec).is_some()
        {
            return Err(refuse("the command is running"));
        }
        let what = || format!("remove {}", self.dir().display());
        // First, so that what is left of an interrupted removal is not taken for something to run.
        fs::remove_file(self.directory.file("spec.json")).map_err(Error::io(what()))?;
        fs::remove_dir_all(self.dir()).map_err(Error::io(what()))
    }

    fn last_status(&self) -> Result<Status, Error> {
        let spec = self.spec()?;
        let last = self.directory.status()?;
        let was_there = last.is_some();
        let mut status = last.unwrap_or_else(|| Status::new(&spec.id, spec.port));
        status.supervised = false;
        status.supervisor = None;
        status.desired = self.directory.desired()?;
        if status.child.as_ref().is_some_and(|child| !child.is_alive()) {
            status.ended(super::Ended::Unknown, false);
        }
        if status.child.is_none() && !matches!(status.phase, Phase::Stopped | Phase::Failed) {
            let gone = if was_there {
                "neither the command nor its supervisor is alive"
            } else {
                "it was never started"
            };
            status.enter(Phase::Failed, Some(gone.to_owned()));
        }
        Ok(status)
    }

    async fn ask(&self, request: &Request, limit: Duration) -> Result<Answer, Error> {
        protocol::ask(&self.directory, request, limit).await
    }

    fn unexpected(&self, answer: Answer) -> Error {
        let why = match answer {
            Answer::Error(why) => why,
            other => format!("an answer to another question: {other:?}"),
        };
        Error::Refused {
            dir: self.dir().to_owned(),
            why,
        }
    }
}

/// No deadline is beyond what a clock can say.
fn bounded(limit: Duration) -> Duration {
    limit.min(Duration::from_millis(LONGEST_MS))
}
