//! `belay logs`: what the instances wrote, straight from their files. Reads only, needs no worker.

use crate::args::Logs;
use crate::cx::Cx;
use crate::exit::Failure;
use crate::output::table::printable;
use crate::output::{Format, Report, print};
use belay_model::id::Scope;
use belay_runtime::{Belay, InstanceLog};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How soon a new line is seen.
const LOOK: Duration = Duration::from_millis(200);
/// How soon a new instance is seen.
const LIST: Duration = Duration::from_secs(2);
/// How much of a file's end is looked at for its last lines.
const TAIL_BYTES: u64 = 4 << 20;

pub(crate) async fn run(cx: &Cx, args: &Logs) -> Result<Report, Failure> {
    if let Some(folder) = &args.bundle {
        return bundle(cx, args, folder).await;
    }
    let belay = cx.open().await?;
    let scope = cx.scope(&belay, &args.place).await?;
    let mut readers = BTreeMap::new();
    for log in list(&belay, &scope, args).await? {
        let (reader, lines) = Reader::tail(&log, args.lines);
        if !show(cx, &log, &lines) {
            return Ok(Report::silent());
        }
        readers.insert(log.path.clone(), reader);
    }
    if readers.is_empty() {
        let elsewhere = belay.log_commands(&scope).await?;
        if !elsewhere.is_empty() {
            let commands = elsewhere.join("\n  -> ");
            cx.output.say(&format!(
                "{scope}: its platform has the output\n  -> {commands}"
            ));
            return Ok(Report::silent());
        }
    }
    if !args.follow {
        if readers.is_empty() {
            cx.output
                .say(&format!("{scope}: no instance wrote anything"));
        }
        return Ok(Report::silent());
    }
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        tokio::select! {
            // Following has no other end, so ending it is no failure.
            _ = &mut interrupted => return Ok(Report::silent()),
            still = follow(cx, &belay, &scope, args, &mut readers) => {
                if !still? {
                    return Ok(Report::silent());
                }
            }
        }
    }
}

/// What there is to say, as files.
async fn bundle(cx: &Cx, args: &Logs, folder: &Path) -> Result<Report, Failure> {
    let files = match cx.uri(&args.place)? {
        Some(uri) => uri.bundle(folder, &crate::cx::variables()).await?,
        None => {
            let belay = cx.open().await?;
            let scope = cx.scope(&belay, &args.place).await?;
            belay.bundle(&scope, folder).await?
        }
    };
    let lines: Vec<_> = files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    Ok(Report::new(lines.join("\n"), json!({ "files": files })))
}

async fn list(belay: &Belay, scope: &Scope, args: &Logs) -> Result<Vec<InstanceLog>, Failure> {
    let mut logs = belay.logs(scope, None).await?;
    if let Some(wanted) = &args.instance {
        logs.retain(|log| name(log).contains(wanted));
    }
    Ok(logs)
}

/// One listing and what is written until the next; answers whether someone still reads.
async fn follow(
    cx: &Cx,
    belay: &Belay,
    scope: &Scope,
    args: &Logs,
    readers: &mut BTreeMap<PathBuf, Reader>,
) -> Result<bool, Failure> {
    let logs = list(belay, scope, args).await?;
    readers.retain(|path, _| logs.iter().any(|log| log.path == *path));
    let until = Instant::now() + LIST;
    while Instant::now() < until {
        for log in &logs {
            let reader = readers.entry(log.path.clone()).or_default();
            if !show(cx, log, &reader.more(log)) {
                return Ok(false);
            }
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(true)
}

fn name(log: &InstanceLog) -> String {
    format!("{}/{}", log.group, log.instance)
}

fn show(cx: &Cx, log: &InstanceLog, lines: &[String]) -> bool {
    lines.iter().all(|line| match cx.output.format {
        Format::Text => print(&format!("{} | {}", name(log), printable(line))),
        Format::Json => {
            let line = json!({ "group": log.group, "instance": log.instance, "line": line });
            print(&line.to_string())
        }
    })
}

/// Where reading of one file stands.
#[derive(Debug, Default)]
struct Reader {
    offset: u64,
    /// A line whose end is not written yet.
    begun: Vec<u8>,
}

impl Reader {
    /// The last lines, and a reader that goes on after them.
    fn tail(log: &InstanceLog, count: usize) -> (Self, Vec<String>) {
        let length = std::fs::metadata(&log.path).map_or(0, |file| file.len());
        let mut reader = Self {
            offset: length.saturating_sub(TAIL_BYTES),
            begun: Vec::new(),
        };
        let mut lines = reader.more(log);
        // What has no line end yet is shown all the same: a crash rarely writes one.
        if !reader.begun.is_empty() {
            lines.push(String::from_utf8_lossy(&std::mem::take(&mut reader.begun)).into_owned());
        }
        let surplus = lines.len().saturating_sub(count);
        lines.drain(..surplus);
        (reader, lines)
    }

    /// What was written since. A file that became shorter was rotated (copied and truncated): it is read from its start.
    fn more(&mut self, log: &InstanceLog) -> Vec<String> {
        let Ok(mut file) = File::open(&log.path) else {
            return Vec::new();
        };
        let length = file.metadata().map_or(0, |file| file.len());
        if length < self.offset {
            *self = Self::default();
        }
        if length == self.offset || file.seek(SeekFrom::Start(self.offset)).is_err() {
            return Vec::new();
        }
        let mut bytes = Vec::new();
        // What could be read counts; the rest is read next time.
        let _ = file.take(TAIL_BYTES).read_to_end(&mut bytes);
        self.offset += bytes.len() as u64;
        self.begun.extend(bytes);
        let Some(end) = self.begun.iter().rposition(|byte| *byte == b'\n') else {
            return Vec::new();
        };
        let rest = self.begun.split_off(end + 1);
        let whole = std::mem::replace(&mut self.begun, rest);
        String::from_utf8_lossy(&whole)
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_is_read_as_it_grows_and_after_rotation() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("output.log");
        let log = InstanceLog {
            group: "r1-ab".to_owned(),
            instance: "1".to_owned(),
            path: path.clone(),
        };
        std::fs::write(&path, "a\nb\nc\n").expect("a file");
        let (mut reader, lines) = Reader::tail(&log, 2);
        assert_eq!(lines, ["b", "c"]);
        let mut file = File::options().append(true).open(&path).expect("the file");
        file.write_all(b"d\nhalf").expect("written");
        assert_eq!(reader.more(&log), ["d"]);
        file.write_all(b" a line\n").expect("written");
        assert_eq!(reader.more(&log), ["half a line"]);
        file.set_len(0).expect("truncated");
        file.write_all(b"new\n").expect("written");
        assert_eq!(reader.more(&log), ["new"]);
        assert!(reader.more(&log).is_empty());
    }

    #[test]
    fn a_file_that_is_not_there_has_no_lines() {
        let path = PathBuf::from("/nonexistent/output.log");
        let log = InstanceLog {
            group: String::new(),
            instance: String::new(),
            path,
        };
        assert!(Reader::tail(&log, 5).1.is_empty());
    }
}
