//! `command: ...`: a program of the user's whose exit code is the answer: 0 pass, 75 (`EX_TEMPFAIL` of sysexits.h)
//! inconclusive, anything else fail.
//!
//! The hard part is to leave nothing behind: the program gets a process group of its own, which is killed when the time
//! is over, when nobody waits for the answer any more, and when the program has ended (whatever it left running would
//! hold its output open).

use crate::place::Place;
use crate::probe::Sight;
use crate::watch::Watch;
use belay_model::config::CommandLine;
use belay_model::verdict::Outcome;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Map, json};
use std::collections::VecDeque;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

const TEMPORARY_FAILURE: i32 = 75;
const OUTPUT_LINES: usize = 10;
const OUTPUT_BYTES: usize = 8 * 1024;

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

/// Waits for the end and for the rest of the output.
async fn finish(child: &mut Child, tail: &Tail, ended: &mut Option<std::io::Result<ExitStatus>>) {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let group = child.id();
    let wait = async {
        *ended = Some(child.wait().await);
        // At once: while anything is left in the group, its number cannot be given to anyone else, and if nothing is,
        // nothing happens.
        kill(group);
    };
    tokio::join!(wait, tail.take(stdout), tail.take(stderr));
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

/// Kills the process group when it goes out of scope before the program has ended: it was too slow, or nobody waits.
struct Group(Option<u32>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id())
    }

    /// Once the program has been waited for, its number may become someone else's.
    fn disarm(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        kill(self.0);
    }
}

fn kill(group: Option<u32>) {
    let pid = group.and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    if let Some(pid) = pid {
        kill_process_group(pid, Signal::KILL).ok();
    }
}

/// The end of what was written to stdout and stderr.
#[derive(Default)]
struct Tail(Mutex<VecDeque<u8>>);

impl Tail {
    async fn take(&self, from: Option<impl AsyncRead + Unpin>) {
        let Some(mut from) = from else { return };
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            bytes.extend(&buffer[..count]);
            let surplus = bytes.len().saturating_sub(OUTPUT_BYTES);
            bytes.drain(..surplus);
        }
    }

    fn text(&self) -> String {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(bytes.make_contiguous()).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(OUTPUT_LINES)..].join("\n")
    }
}
