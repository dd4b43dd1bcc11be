//! What is said on the socket: one line of JSON there, one line back, then the connection ends.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::Status;
use super::directory::Directory;
use crate::Error;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    Status,
    /// SIGTERM, then SIGKILL after `timeout_ms` (the specification's if `None`). Answered when the command is gone; the supervisor goes, too.
    Stop {
        timeout_ms: Option<u64>,
    },
    /// Answered when the command is ready, or as soon as it is known that it will not be.
    WaitReady {
        timeout_ms: Option<u64>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Status(Box<Status>),
    Stopped(Box<Status>),
    Ready(Box<Status>),
    NotReady(Box<NotReady>),
    Error(String),
}

/// Why a command is not ready, with all that was seen of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotReady {
    pub cause: Cause,
    /// One sentence.
    pub why: String,
    pub status: Status,
    /// The last lines of its output.
    pub output: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It could not be started.
    NotStarted,
    /// It ends again and again before it is ready, or ended and is not restarted.
    Exited,
    /// It runs, but was not ready in time.
    TimedOut,
    /// It was stopped meanwhile.
    Stopped,
}

impl NotReady {
    /// How many lines of output are shown.
    pub const LINES: usize = 20;
    /// This many ends in a row before it was ever ready are enough to say so.
    const ENDS: u32 = 2;

    /// The verdict as far as the status alone gives one; `None` means: wait.
    pub(crate) fn known(status: &Status) -> Option<(Cause, String)> {
        use super::{Ended, Phase};
        let last = status.exits.last();
        match (status.phase, last.map(|exit| &exit.how)) {
            (Phase::Stopped | Phase::Failed, Some(Ended::NotStarted(why)))
            | (Phase::Backoff, Some(Ended::NotStarted(why))) => Some((
                Cause::NotStarted,
                format!("the command could not be started: {why}"),
            )),
            (Phase::Stopped | Phase::Stopping, _) if last.is_none_or(|exit| exit.requested) => {
                Some((Cause::Stopped, "it was stopped".to_owned()))
            }
            (Phase::Stopped | Phase::Failed, Some(how)) => {
                Some((Cause::Exited, format!("the command {how}")))
            }
            (Phase::Stopped | Phase::Stopping | Phase::Failed, _) => {
                Some((Cause::Stopped, "it was stopped".to_owned()))
            }
            (Phase::Ready, _) => None,
            (_, Some(how)) if status.exits_unready >= Self::ENDS => Some((
                Cause::Exited,
                format!(
                    "the command {how}, {} times in a row before it was ready",
                    status.exits_unready
                ),
            )),
            _ => None,
        }
    }

    pub(crate) fn timed_out(status: &Status, timeout_ms: u64) -> (Cause, String) {
        let seen = match (&status.last_answer, status.exits.last()) {
            (Some(answer), _) => format!("last answer seen: {answer}"),
            (None, Some(exit)) => format!("last seen: the command {}", exit.how),
            (None, None) => "no answer seen".to_owned(),
        };
        (
            Cause::TimedOut,
            format!("not ready within {timeout_ms} ms; {seen}"),
        )
    }
}

/// [`Error::Unsupervised`] if nobody listens, or who listened is gone without an answer.
pub(crate) async fn ask(
    directory: &Directory,
    request: &Request,
    limit: Duration,
) -> Result<Answer, Error> {
    let dir = || directory.path().to_owned();
    let exchange = async {
        let mut stream = directory.connect().await?;
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        stream.write_all(&line).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = timeout(limit, exchange).await.map_err(|_| Error::Refused {
        dir: dir(),
        why: format!("no answer within {} ms", millis(limit)),
    })?;
    // Refused, reset, no socket, an empty answer: all of them say that it is gone.
    let answer = answer.ok().filter(|answer| answer.ends_with(b"\n"));
    let answer = answer.ok_or_else(|| Error::Unsupervised { dir: dir() })?;
    serde_json::from_slice(&answer).map_err(|source| Error::Malformed {
        path: directory.file("s.sock"),
        source,
    })
}

/// Whether a supervisor is at work. Neither the lock nor a connection proves that: a process that is dying, and a command between
/// fork and exec whose supervisor was killed, hold both for a moment longer. An answer does.
pub(crate) async fn answers(directory: &Directory) -> bool {
    ask(directory, &Request::Status, Duration::from_secs(1))
        .await
        .is_ok()
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
