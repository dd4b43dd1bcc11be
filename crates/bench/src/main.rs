//! The benchmarks: `belay-bench core` and `belay-bench switches`, run by `make bench` and `make bench-switches`.
//!
//! They run the release build of `belay` on examples/bookstore as a person would, and believe only the journal, the
//! clients and the kernel. A benchmark that misses its aim says so and exits 0: speed depends on the machine. One
//! that finds a correctness figure missed exits 1.

mod cold;
mod disk;
mod fsyncs;
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
    let name = std::env::args().nth(1).unwrap_or_default();
    let binaries = Binaries::find()?;
    let machine = Machine::look();
    let mut rows = Rows::default();
    let measured = tokio::select! {
        measured = measure(&name, &binaries, &mut rows) => measured,
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

async fn measure(name: &str, binaries: &Binaries, rows: &mut Rows) -> Result<()> {
    match name {
        "core" => {
            disk::measure(binaries, rows).await?;
            limits::measure(binaries, rows).await?;
            warm::measure(binaries, rows).await?;
            cold::measure(binaries, rows).await?;
            resume::measure(binaries, rows).await?;
            fsyncs::measure(binaries, rows).await
        }
        "switches" => {
            switches::measure(binaries, rows).await?;
            nginx::measure(binaries, rows).await?;
            throughput::measure(binaries, rows).await
        }
        other => bail!("there is no benchmark `{other}`: core, switches"),
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
