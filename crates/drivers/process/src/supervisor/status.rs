//! What is known of a supervised command: kept by its supervisor, persisted for the next one and for readers without one.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Identity;

/// A moment's view. Times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub format: u16,
    pub id: String,
    pub phase: Phase,
    /// Since when it has this phase.
    pub since_ms: u64,
    pub desired: Desired,
    /// Whether a live supervisor says so; otherwise this is the last word of one that is gone, checked against the process table.
    #[serde(default)]
    pub supervised: bool,
    pub supervisor: Option<Identity>,
    /// The command, if it is running.
    pub child: Option<Identity>,
    /// The running command was started by an earlier supervisor: how it ends will not be known.
    pub adopted: bool,
    pub started_at_ms: Option<u64>,
    pub port: Option<u16>,
    /// How many times it was started again.
    pub restarts: u64,
    /// The newest [`Status::EXITS`], oldest first.
    pub exits: Vec<Exit>,
    /// Ends in a row without having been ready.
    pub exits_unready: u32,
    /// The last answer to a readiness probe, in words.
    pub last_answer: Option<String>,
    /// One sentence on why it has this phase, where there is something to say.
    pub message: Option<String>,
}

impl Status {
    pub const FORMAT: u16 = 1;
    /// How many exits are kept.
    pub const EXITS: usize = 20;

    pub(crate) fn new(id: &str, port: Option<u16>) -> Self {
        Self {
            format: Self::FORMAT,
            id: id.to_owned(),
            phase: Phase::Starting,
            since_ms: now_ms(),
            desired: Desired::Running,
            supervised: false,
            supervisor: None,
            child: None,
            adopted: false,
            started_at_ms: None,
            port,
            restarts: 0,
            exits: Vec::new(),
            exits_unready: 0,
            last_answer: None,
            message: None,
        }
    }

    pub(crate) fn enter(&mut self, phase: Phase, message: Option<String>) {
        if self.phase != phase {
            self.since_ms = now_ms();
        }
        self.phase = phase;
        self.message = message;
    }

    /// The command is gone: records how. Returns how long it had run.
    pub(crate) fn ended(&mut self, how: Ended, requested: bool) -> u64 {
        let at_ms = now_ms();
        let ran_ms = self
            .started_at_ms
            .map_or(0, |started| at_ms.saturating_sub(started));
        if !matches!(self.phase, Phase::Ready | Phase::Unready | Phase::Stopping) {
            self.exits_unready = self.exits_unready.saturating_add(1);
        }
        self.exits.push(Exit {
            at_ms,
            ran_ms,
            how,
            requested,
        });
        let surplus = self.exits.len().saturating_sub(Self::EXITS);
        self.exits.drain(..surplus);
        (self.child, self.started_at_ms, self.adopted) = (None, None, false);
        ran_ms
    }
}

/// What it is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Runs, has not been ready yet.
    Starting,
    Ready,
    /// Was ready, does not answer as it should now.
    Unready,
    /// Ended by itself; started again soon.
    Backoff,
    Stopping,
    /// Ended because it was asked to, or by itself with 0 and is not restarted.
    Stopped,
    /// Ended by itself and is not restarted, or its supervisor went with it.
    Failed,
}

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Desired {
    Running,
    Stopped,
}

/// One end of the command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    pub at_ms: u64,
    pub ran_ms: u64,
    pub how: Ended,
    /// We stopped it. If not, it ended by itself or a stranger killed it.
    pub requested: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    Code(i32),
    Signal(i32),
    /// It ended while nobody who could be told was alive.
    Unknown,
    /// It could not be started at all: why.
    NotStarted(String),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with {code}"),
            Self::Signal(signal) => write!(f, "was killed by signal {signal}"),
            Self::Unknown => write!(f, "ended, nobody saw how"),
            Self::NotStarted(why) => write!(f, "could not be started: {why}"),
        }
    }
}

pub(crate) fn now_ms() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |t| t.as_millis() as u64)
}
