//! How many fsyncs a way back and a step cost, counted by strace in a run of its own that nobody times: strace makes
//! everything slow.

use crate::home::time;
use crate::project::{Binaries, Project};
use crate::rows::Rows;
use crate::warm::When;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::Path;

const RUNS: u32 = 5;
const BEFORE_SWITCH: usize = 2;
const PER_STEP: f64 = 2.0;

/// One call.
struct Call {
    at_us: i64,
    /// Of the journal's database, and not of the proxy's table or an instance's state.
    is_journal: bool,
}

/// What a deployment did between two moments.
struct Span {
    from_us: i64,
    to_us: i64,
    steps: usize,
}

pub(crate) async fn measure(binaries: &Binaries, rows: &mut Rows) -> Result<()> {
    ensure!(
        std::process::Command::new("strace")
            .arg("-V")
            .output()
            .is_ok(),
        "strace is not there, and it counts the fsyncs: `make needs`"
    );
    let mut spans = Vec::new();
    let mut calls = Vec::new();
    for when in When::ALL {
        let mut project = Project::new(binaries, when.kind())?;
        let traces = project.trace()?;
        project.first().await?;
        let mut ways = Vec::new();
        for release in 2..2 + RUNS {
            let deployed = when.deploy(&project, release).await?;
            let back = project.roll_back().await?;
            ways.push((time(&back, "t1")?, time(&back, "t4")?));
            spans.push(span(&project, &deployed).await?);
            if deployed["id"] != back["id"] {
                spans.push(span(&project, &back).await?);
            }
            eprint!("\rfsyncs {}: {} of {RUNS}", when.words(), release - 1);
        }
        eprintln!();
        let own = read(&traces)?;
        ensure!(!own.is_empty(), "strace saw no fsync at all");
        let before = ways.iter().map(|(t1, t4)| {
            let within = own.iter().filter(|call| (*t1..*t4).contains(&call.at_us));
            within.count()
        });
        let most = before.max().unwrap_or_default();
        let name = format!("warm rollback {}", when.words());
        let figure = format!("{name}: fsyncs of all processes, command accepted -> switch, most");
        rows.must(figure, most, "fsyncs", BEFORE_SWITCH, ways.len());
        calls.extend(own);
    }
    let steps: usize = spans.iter().map(|span| span.steps).sum();
    let of_journal = spans.iter().map(|span| {
        let within = calls
            .iter()
            .filter(|call| (span.from_us..=span.to_us).contains(&call.at_us));
        within.filter(|call| call.is_journal).count()
    });
    let per_step = of_journal.sum::<usize>() as f64 / steps as f64;
    rows.at_most(
        "journal: fsyncs per step",
        per_step,
        "fsyncs",
        PER_STEP,
        steps,
    );
    Ok(())
}

async fn span(project: &Project, deployment: &Value) -> Result<Span> {
    let events = project.events(deployment).await?;
    let at_us = |entry: Option<&Value>| entry.and_then(|entry| entry["at_us"].as_i64());
    let started = events
        .iter()
        .filter(|entry| !entry["event"]["started"].is_null());
    Ok(Span {
        from_us: at_us(events.first()).context("a beginning")?,
        to_us: at_us(events.last()).context("an end")?,
        steps: started.count(),
    })
}

/// Lines like `4242 1700000000.000001 fdatasync(9</x/.belay/belay.db-wal>) = 0`.
fn read(traces: &Path) -> Result<Vec<Call>> {
    let mut calls = Vec::new();
    for entry in std::fs::read_dir(traces)? {
        let text = std::fs::read_to_string(entry?.path())?;
        // Calls that were interrupted by another line come twice; the second has no parenthesis.
        let begun = text.lines().filter(|line| line.contains("sync("));
        calls.extend(begun.filter_map(call));
    }
    Ok(calls)
}

fn call(line: &str) -> Option<Call> {
    let seconds = line.split_whitespace().find(|word| word.contains('.'))?;
    let (seconds, micros) = seconds.split_once('.')?;
    Some(Call {
        at_us: seconds.parse::<i64>().ok()? * 1_000_000 + micros.parse::<i64>().ok()?,
        is_journal: line.contains("/belay.db"),
    })
}

#[cfg(test)]
mod tests {
    use super::call;

    #[test]
    fn calls_are_read_with_their_time_and_file() {
        let check = |line, expect| {
            let call = call(line);
            assert_eq!(call.map(|call| (call.at_us, call.is_journal)), expect);
        };
        let wal = "4242 1700000000.000001 fdatasync(9</x/.belay/belay.db-wal>) = 0";
        check(wal, Some((1_700_000_000_000_001, true)));
        let table = "7     1700000000.500000 fsync(9</x/.belay/proxy> <unfinished ...>";
        check(table, Some((1_700_000_000_500_000, false)));
        check("strace: Process 1 attached", None);
    }
}
