//! How many steps a second: deployments of a platform that answers at once, many at a time and one alone. A step is the
//! intent made durable, the call, and its end made durable.

use super::{ports, stores, worker};
use crate::rows::{Rows, percentile};
use anyhow::{Result, ensure};
use belay_engine::worker::Worker;
use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};
use tokio::time::sleep;

const MANY: usize = 200;
const STEPS: usize = 50;
/// One alone takes longer for each.
const STEPS_ALONE: usize = 400;
const WORKERS: usize = 3;
const SQLITE_AIM: f64 = 2_000.0;
const POSTGRES_AIM: f64 = 800.0;
const RUNS: usize = 3;
const SYNCS: usize = 300;

pub(crate) async fn measure(rows: &mut Rows) -> Result<()> {
    let dir = crate::home::temporary()?;
    rows.plain(
        "bare fdatasync of 4 KiB appended on the same disk, a second",
        syncs(dir.path())?,
        "1/s",
        SYNCS,
    );
    for (deployments, aim) in [(MANY, Some(SQLITE_AIM)), (1, None)] {
        let mut samples = Vec::new();
        for run in 0..RUNS {
            samples.push(
                sqlite(
                    &dir.path().join(format!("{deployments}-{run}")),
                    deployments,
                )
                .await?,
            );
        }
        let figure = format!("SQLite, {}: steps a second, p50", told(deployments));
        row(rows, figure, &samples, aim);
    }
    let server = stores::server().await?;
    for (deployments, aim) in [(MANY, Some(POSTGRES_AIM)), (1, None)] {
        let mut samples = Vec::new();
        for run in 0..RUNS {
            let name = format!("bench_{deployments}_{run}");
            let url = stores::database(&server, &name).await?;
            samples.push(postgres(&url, deployments).await?);
        }
        let figure = format!(
            "PostgreSQL, {WORKERS} workers, {}: steps a second, p50",
            told(deployments)
        );
        row(rows, figure, &samples, aim);
    }
    Ok(())
}

fn steps(deployments: usize) -> usize {
    match deployments {
        1 => STEPS_ALONE,
        _ => STEPS,
    }
}

fn told(deployments: usize) -> String {
    match deployments {
        1 => "one deployment alone".to_owned(),
        many => format!("{many} deployments at once"),
    }
}

fn row(rows: &mut Rows, figure: String, samples: &[f64], aim: Option<f64>) {
    let value = percentile(samples, 50.0);
    match aim {
        Some(aim) => rows.at_least(figure, value, "1/s", aim, samples.len()),
        None => rows.plain(figure, value, "1/s", samples.len()),
    }
}

async fn sqlite(dir: &std::path::Path, deployments: usize) -> Result<f64> {
    let store = stores::open(&dir.to_string_lossy()).await?;
    let ids = stores::create(&store, 0..deployments, steps(deployments), 0).await?;
    let began = Instant::now();
    Worker::new(ports::ports(store.clone()), "bench")
        .run()
        .await?;
    let seconds = began.elapsed().as_secs_f64();
    stores::check(&store, &ids).await?;
    Ok((deployments * steps(deployments)) as f64 / seconds)
}

/// Workers are processes of their own, and each takes its part.
async fn postgres(url: &str, deployments: usize) -> Result<f64> {
    let store = stores::open(url).await?;
    let ids = stores::create(&store, 0..deployments, steps(deployments), 0).await?;
    let began = Instant::now();
    let part = deployments.div_ceil(WORKERS);
    let workers: Vec<_> = (0..WORKERS)
        .map(|_| worker::start(url, part))
        .collect::<Result<_>>()?;
    while store.work("bench").await?.open > 0 {
        sleep(Duration::from_millis(20)).await;
    }
    let seconds = began.elapsed().as_secs_f64();
    for mut worker in workers {
        let status = worker.wait().await?;
        ensure!(status.success(), "a worker: {status}");
    }
    stores::check(&store, &ids).await?;
    Ok((deployments * steps(deployments)) as f64 / seconds)
}

/// A page of a database, over and over.
fn syncs(dir: &std::path::Path) -> Result<f64> {
    let mut file = File::create(dir.join("bare"))?;
    let began = Instant::now();
    for _ in 0..SYNCS {
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
    }
    Ok(SYNCS as f64 / began.elapsed().as_secs_f64())
}
