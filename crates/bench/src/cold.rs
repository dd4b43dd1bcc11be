//! Cold rollback: the old instances are gone and are started again. What Belay adds to the service's own start, which
//! is measured by starting the same program without Belay, in turn.

use crate::home::{ms, time};
use crate::project::{Binaries, Kind, Project, free_address};
use crate::rows::{Rows, percentile};
use anyhow::{Context, Result};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const RUNS: u32 = 15;
const AIM_MS: f64 = 300.0;
/// Long enough to show if the instances were started one after the other.
const COLD: Kind = Kind {
    // It stops the old ones as it goes.
    strategy: "rolling",
    bake: "0s",
    start_delay_ms: 250,
};

pub(crate) async fn measure(binaries: &Binaries, rows: &mut Rows) -> Result<()> {
    let project = Project::new(binaries, COLD)?;
    project.first().await?;
    let (mut total, mut own, mut beyond) = (Vec::new(), Vec::new(), Vec::new());
    for release in 2..2 + RUNS {
        project.deploy(release).await?;
        let own_ms = own_start(binaries)?;
        let back = project.roll_back().await?;
        let total_ms = ms(time(&back, "t4")? - time(&back, "t1")?);
        total.push(total_ms);
        own.push(own_ms);
        beyond.push(total_ms - own_ms);
        eprint!("\rcold: {} of {RUNS}", release - 1);
    }
    eprintln!();
    let runs = total.len();
    let name =
        "cold rollback, 2 instances: command accepted -> last request routed to the bad release";
    rows.plain(format!("{name}, p50"), percentile(&total, 50.0), "ms", runs);
    let started = percentile(&own, 50.0);
    rows.plain(
        "the service's own start without Belay, p50",
        started,
        "ms",
        runs,
    );
    for share in [50.0, 99.0] {
        let figure = format!("cold rollback beyond the service's own start time, p{share}");
        rows.at_most(figure, percentile(&beyond, share), "ms", AIM_MS, runs);
    }
    Ok(())
}

/// From the start of the program to its first good answer.
fn own_start(binaries: &Binaries) -> Result<f64> {
    let address = free_address()?;
    let began = Instant::now();
    let mut child = Command::new(&binaries.bookstore)
        .env("PORT", address.port().to_string())
        .env("START_DELAY_MS", COLD.start_delay_ms.to_string())
        .stderr(Stdio::null())
        .spawn()
        .context("run bookstore")?;
    while !is_healthy(address) {
        std::thread::yield_now();
    }
    let took = began.elapsed();
    child.kill()?;
    child.wait()?;
    Ok(took.as_secs_f64() * 1000.0)
}

fn is_healthy(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET /health HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}
