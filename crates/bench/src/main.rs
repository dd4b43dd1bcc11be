//! The benchmarks: `belay-bench core`, `engine`, `kubernetes` and `switches`, run by `make bench`, `make bench-engine`,
//! `make bench-kubernetes` and `make bench-switches`.
//!
//! They run the release build of `belay` on examples/bookstore as a person would, and believe only the journal, the
//! clients and the kernel. A benchmark that misses its aim says so and exits 0: speed depends on the machine. One
//! that finds a correctness figure missed exits 1.

mod cold;
mod disk;
mod engine;
mod fsyncs;
mod home;
mod kubernetes;
mod limits;
mod machine;
mod nginx;
mod project;
mod resume;
mod rows;
mod switches;
mod throughput;
mod warm;

use crate::machine::Machine;
use crate::project::Binaries;
use crate::rows::Rows;
use anyhow::{Result, bail};
use std::process::ExitCode;
use tokio::signal::ctrl_c;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("worker", arguments)) = arguments
        .split_first()
        .map(|(one, rest)| (one.as_str(), rest))
    {
        engine::run_worker(arguments).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let name = arguments.first().cloned().unwrap_or_default();
    let machine = Machine::look();
    let mut rows = Rows::default();
    let measured = tokio::select! {
        measured = measure(&arguments, &mut rows) => measured,
        // What runs is ended where the projects are dropped.
        interrupted = interrupted() => interrupted,
    };
    machine.print();
    rows.print();
    measured?;
    rows.write(&name)?;
    Ok(if rows.are_correct() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn measure(arguments: &[String], rows: &mut Rows) -> Result<()> {
    let mut arguments = arguments.iter().map(String::as_str);
    match arguments.next().unwrap_or_default() {
        "core" => {
            let binaries = &Binaries::find()?;
            let only = arguments.next();
            let is_wanted = |part: &str| only.is_none_or(|only| only == part);
            if is_wanted("disk") {
                disk::measure(binaries, rows).await?;
            }
            if is_wanted("limits") {
                limits::measure(binaries, rows).await?;
            }
            if is_wanted("warm") {
                warm::measure(binaries, rows).await?;
            }
            if is_wanted("cold") {
                cold::measure(binaries, rows).await?;
            }
            if is_wanted("resume") {
                resume::measure(binaries, rows).await?;
            }
            if is_wanted("fsyncs") {
                fsyncs::measure(binaries, rows).await?;
            }
            Ok(())
        }
        "switches" => {
            let binaries = &Binaries::find()?;
            switches::measure(binaries, rows).await?;
            nginx::measure(binaries, rows).await?;
            throughput::measure(binaries, rows).await
        }
        "kubernetes" => {
            let binaries = Binaries::find()?;
            kubernetes::measure(&binaries.belay, rows, arguments.next()).await
        }
        "engine" => engine::measure(rows, arguments.next()).await,
        other => bail!("there is no benchmark `{other}`: core, engine, kubernetes, switches"),
    }
}

async fn interrupted() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    bail!("interrupted")
}
