//! What is said on the socket: one line of JSON there, one line back, then the connection ends.

use serde::{Deserialize, Serialize};

use super::Status;

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
