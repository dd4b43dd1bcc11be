//! Exit codes and failures: what scripts match on, and what people read.
//!
//! The numbers are an interface: docs/cli.md and the end of `belay --help` list them, and a test compares the three.

use belay_model::event::{Outcome, RollbackResult};
use belay_model::summary::{Phase, Summary};
use serde_json::{Value, json};
use std::fmt;

/// How the command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Ok = 0,
    Bug = 1,
    Usage = 2,
    RolledBack = 3,
    Incomplete = 4,
    NeedsOperator = 5,
    Blocked = 6,
    // 7 stays free for what people may not do, once there are permissions.
    Unusable = 8,
    Interrupted = 130,
}

/// Every code with its meaning, as the help and the documentation print it.
pub(crate) const TABLE: [(Exit, &str); 9] = [
    (Exit::Ok, "done"),
    (Exit::Bug, "a bug in Belay"),
    (
        Exit::Usage,
        "wrong usage or configuration; nothing was changed",
    ),
    (
        Exit::RolledBack,
        "failed, and what was there before is there again",
    ),
    (
        Exit::Incomplete,
        "failed, and rolled back in part only, or left as it is",
    ),
    (
        Exit::NeedsOperator,
        "waits for a person: retry, skip, abandon or rollback",
    ),
    (
        Exit::Blocked,
        "blocked: nothing to go back to, quarantined, locked, not ready; nothing was changed",
    ),
    (
        Exit::Unusable,
        "the store, or a process or place that Belay needs, cannot be used",
    ),
    (
        Exit::Interrupted,
        "interrupted or declined; what was begun goes on",
    ),
];

impl Exit {
    pub(crate) fn number(self) -> u8 {
        self as u8
    }

    /// How a deployment that is not followed any more speaks for the command that followed it.
    pub(crate) fn of(summary: &Summary) -> Self {
        match (&summary.outcome, summary.phase) {
            (Some(Outcome::Succeeded), _) => Exit::Ok,
            (Some(Outcome::Stopped), _) => Exit::Incomplete,
            (Some(Outcome::Replaced { .. }), _) => Exit::Blocked,
            (Some(Outcome::Failed { rollback, .. }), _) => match rollback {
                RollbackResult::Complete => Exit::RolledBack,
                // Without a step begun nothing was changed: what was there before is there still.
                RollbackResult::None if summary.step.is_none() => Exit::RolledBack,
                RollbackResult::None | RollbackResult::Limited | RollbackResult::Incomplete => {
                    Exit::Incomplete
                }
            },
            (None, Phase::NeedsOperator) => Exit::NeedsOperator,
            (None, _) => Exit::Ok,
        }
    }
}

/// The table as text, one line per code.
pub(crate) fn table() -> String {
    let lines = TABLE
        .iter()
        .map(|(exit, meaning)| format!("  {:<4} {meaning}", exit.number()));
    lines.collect::<Vec<_>>().join("\n")
}

/// What went wrong, what state the world is in, and what to do next.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// Has a page under docs/errors.
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// More lines that explain it.
    pub(crate) detail: Vec<String>,
    /// What to do next, commands first.
    pub(crate) next: Vec<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            exit,
            code,
            message: message.into(),
            detail: Vec::new(),
            next: Vec::new(),
        }
    }

    /// `E0301`: the command line makes no sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "E0301", message)
    }

    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next.push(next.into());
        self
    }

    pub(crate) fn detail(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.detail.extend(lines);
        self
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "code": self.code,
            "message": self.message,
            "detail": self.detail,
            "next": self.next,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error[{}]: {}", self.code, self.message)?;
        for line in &self.detail {
            write!(f, "\n  {}", line.trim_end().replace('\n', "\n  "))?;
        }
        for line in &self.next {
            write!(f, "\n  -> {line}")?;
        }
        write!(f, "\n  see docs/errors/{}.md", self.code)
    }
}

impl From<belay_runtime::Error> for Failure {
    fn from(error: belay_runtime::Error) -> Self {
        use belay_runtime::{Error, Exit as Class};
        let exit = match error.exit() {
            Class::Usage => Exit::Usage,
            Class::Blocked => Exit::Blocked,
            Class::Failed => Exit::Unusable,
        };
        let detail = match &error {
            Error::Configuration(found) => found.iter().map(ToString::to_string).collect(),
            // Without a near name the next step lists them already.
            Error::NoEnvironment {
                known,
                nearest: Some(_),
                ..
            }
            | Error::NotFound {
                known,
                nearest: Some(_),
                ..
            } => vec![format!("there is: {}", known.join(", "))],
            Error::NothingGood { skipped, .. } => skipped
                .iter()
                .map(|skipped| format!("release {}: {}", skipped.release, skipped.why))
                .collect(),
            Error::Uri(error) => error.detail(),
            Error::Kubernetes(error) => error.detail(),
            _ => Vec::new(),
        };
        Self {
            exit,
            code: error.code(),
            message: format!("failed to {}", chain(&error)),
            detail,
            next: error.next(),
        }
    }
}

/// An error with its sources in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_lists_every_code() {
        let page =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md"))
                .expect("docs/cli.md is there");
        for (exit, meaning) in TABLE {
            let row = format!("| {} | {meaning} |", exit.number());
            assert!(page.contains(&row), "docs/cli.md lacks `{row}`");
        }
    }

    #[test]
    fn codes_are_distinct_and_sorted() {
        let numbers: Vec<_> = TABLE.iter().map(|(exit, _)| exit.number()).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    }

    #[test]
    fn a_failure_says_what_and_what_next() {
        let failure = Failure::usage("no such thing").next("belay status");
        assert_eq!(
            failure.to_string(),
            "error[E0301]: no such thing\n  -> belay status\n  see docs/errors/E0301.md"
        );
    }
}
