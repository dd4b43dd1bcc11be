//! `command: ...`: a program of the user's whose exit code is the answer: 0 pass, 75 (`EX_TEMPFAIL` of sysexits.h)
//! inconclusive, anything else fail.
//!
//! The hard part is to leave nothing behind: the program gets a process group of its own, which is killed when the time
//! is over, when nobody waits for the answer any more, and when the program has ended (whatever it left running would
//! hold its output open).

use crate::place::Place;
use crate::probe::Sight;
use crate::program::{Group, Tail, finish};
use crate::watch::Watch;
use belay_model::config::CommandLine;
use belay_model::verdict::Outcome;
use serde_json::{Map, json};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use tokio::process::Command;

const TEMPORARY_FAILURE: i32 = 75;

/// Runs it once, at most `timeout_ms`.
pub(crate) async fn run(
    watch: &Watch<'_>,
    line: &CommandLine,
    directory: &Path,
    place: &Place,
    timeout_ms: u64,
) -> Sight {
    let child = command(watch, line, directory, place).spawn();
    let mut child = match child {
        Ok(child) => child,
        // The release was not looked at, so nothing is known about it.
        Err(why) => {
            return sight(
                Outcome::Inconclusive,
                format!("it cannot be run ({why})"),
                None,
                "",
            );
        }
    };
    let mut group = Group::of(&child);
    let tail = Tail::default();
    let mut ended = None;
    let whole = finish(&mut child, &tail, &mut ended);
    // Too late with its output alone is not too late.
    watch.within(timeout_ms, whole).await;
    if ended.is_some() {
        group.disarm();
    }
    let output = tail.text();
    match ended {
        Some(Ok(status)) => {
            let (outcome, said) = judge(status);
            sight(outcome, said, status.code(), &output)
        }
        Some(Err(why)) => {
            let said = format!("it cannot be waited for ({why})");
            sight(Outcome::Inconclusive, said, None, &output)
        }
        None => {
            let span = belay_analysis::span(timeout_ms);
            let said = format!("it did not end within {span}");
            sight(Outcome::Fail, said, None, &output)
        }
    }
}

fn command(watch: &Watch<'_>, line: &CommandLine, directory: &Path, place: &Place) -> Command {
    let record = &watch.question.record;
    // A name with a slash is looked for in the artifact, as for `run:`.
    let mut command = match line.program().contains('/') {
        true => Command::new(directory.join(line.program())),
        false => Command::new(line.program()),
    };
    command
        .args(line.arguments())
        .current_dir(directory)
        // A check of a release needs none of Belay's own access.
        .env_remove("BELAY_TOKEN")
        .env_remove("BELAY_STORE")
        .env_remove("BELAY_KEY")
        .env_remove("PGPASSWORD")
        .env("BELAY_SERVICE", record.scope.service.as_str())
        .env("BELAY_ENVIRONMENT", record.scope.environment.as_str())
        .env("BELAY_RELEASE", record.release.to_string())
        .env("BELAY_ADDRESS", place.address.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    command
}

fn judge(status: ExitStatus) -> (Outcome, String) {
    match status.code() {
        Some(0) => (Outcome::Pass, "it ended with exit code 0".to_owned()),
        Some(TEMPORARY_FAILURE) => {
            let said = "it cannot say (exit code 75)".to_owned();
            (Outcome::Inconclusive, said)
        }
        Some(code) => (Outcome::Fail, format!("it ended with exit code {code}")),
        None => (Outcome::Fail, format!("it was ended by a {status}")),
    }
}

fn sight(outcome: Outcome, said: String, exit: Option<i32>, output: &str) -> Sight {
    let mut seen = Map::new();
    seen.insert("exit".to_owned(), json!(exit));
    seen.insert("output".to_owned(), json!(output));
    Sight {
        outcome,
        said,
        seen,
    }
}
