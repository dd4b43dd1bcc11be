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

use crate::project::Binaries;
use crate::rows::Rows;
use anyhow::{Result, bail};
use std::process::ExitCode;

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let name = std::env::args().nth(1).unwrap_or_default();
    let binaries = Binaries::find()?;
    let machine = machine::Machine::look();
    let mut rows = Rows::default();
    match name.as_str() {
        "core" => {
            disk::measure(&binaries, &mut rows).await?;
            limits::measure(&binaries, &mut rows).await?;
            warm::measure(&binaries, &mut rows).await?;
            cold::measure(&binaries, &mut rows).await?;
            resume::measure(&binaries, &mut rows).await?;
            fsyncs::measure(&binaries, &mut rows).await?;
        }
        "switches" => {
            switches::measure(&binaries, &mut rows).await?;
            nginx::measure(&binaries, &mut rows).await?;
            throughput::measure(&binaries, &mut rows).await?;
        }
        other => bail!("there is no benchmark `{other}`: core, switches"),
    }
    machine.print();
    rows.print();
    rows.write(&name)?;
    Ok(if rows.are_correct() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
