//! A worker as a process of its own, so that it can be killed and weighed: `belay-bench worker PLACE COURSES`. It works on
//! the simulated platform until nothing is open, and is gone with its parent's value of it.

use super::{ports, stores};
use anyhow::{Context, Result};
use belay_engine::worker::{Options, Worker};
use std::process::Stdio;
use tokio::process::{Child, Command};

/// What the process does. `arguments`: the store's place, and how many scopes it serves at once.
pub(crate) async fn run(arguments: &[String]) -> Result<()> {
    let [place, courses] = arguments else {
        anyhow::bail!("a worker wants a place and a number");
    };
    let options = Options {
        courses: courses.parse().context("a number of courses")?,
    };
    let store = stores::open(place).await?;
    let name = format!("bench/{}", std::process::id());
    let worker = Worker::with(ports::ports(store), name, options);
    worker.run().await?;
    Ok(())
}

pub(crate) fn start(place: &str, courses: usize) -> Result<Child> {
    let exe = std::env::current_exe().context("find this executable")?;
    let mut command = Command::new(exe);
    command
        .args(["worker", place, &courses.to_string()])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command.spawn().context("start a worker")
}

/// Processor time that a process has used so far, seconds.
pub(crate) fn processor_s(worker: &Child) -> Result<f64> {
    let stat = format!("/proc/{}/stat", worker.id().context("a process")?);
    let stat = std::fs::read_to_string(stat)?;
    let (_, fields) = stat.rsplit_once(')').context("fields of a process")?;
    // Its own time and the kernel's for it, in ticks of a hundredth of a second on every Linux.
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: f64 = ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
    Ok(ticks / 100.0)
}

/// What a process keeps in memory, MiB, by the name that the kernel has for it.
pub(crate) fn memory(worker: &Child, name: &str) -> Result<f64> {
    let status = format!("/proc/{}/status", worker.id().context("a process")?);
    let status = std::fs::read_to_string(status)?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kib.context("memory")? / 1024.0)
}
