//! Going on after SIGKILL: how soon somebody acts again. The first thing a new worker does is to claim the deployment,
//! which its journal dates.

use crate::home::{ms, time};
use crate::project::{Binaries, Kind, Project, WARM};
use crate::rows::{Rows, percentile};
use anyhow::{Context, Result, ensure};
use belay_load::{Keep, Load, Shape, now_us};
use serde_json::Value;
use std::time::Duration;
use tokio::time::sleep;

const RUNS: u32 = 10;
const AIM_MS: f64 = 300.0;
/// Long enough to be killed in.
const BAKE: Kind = Kind { bake: "2s", ..WARM };
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const LOAD: Shape = Shape {
    clients: 4,
    pace: Some(Duration::from_millis(5)),
    patience: Duration::from_secs(5),
    reuse: 1,
    paths: &["/api/books/4"],
    keep: Keep::All,
};

pub(crate) async fn measure(binaries: &Binaries, rows: &mut Rows) -> Result<()> {
    let (mut watched, mut asked, mut typed, mut answers) = (vec![], vec![], vec![], vec![]);
    let project = Project::new(binaries, BAKE)?;
    project.first().await?;
    for turn in 0..RUNS {
        let release = 2 + 3 * turn;
        watched.push(worker_killed_while_watched(&project, release).await?);
        asked.push(worker_killed_then_rollback(&project, release + 1).await?);
        let (action, answer) = everything_killed(&project, release + 2).await?;
        typed.push(action);
        answers.push(answer);
        eprint!("\rresume: {} of {RUNS}", turn + 1);
    }
    eprintln!();
    for (what, samples) in [
        (
            "the worker is killed while `belay deploy` watches: SIGKILL -> first action",
            &watched,
        ),
        (
            "everything is killed, then `belay watch`: typed -> first action",
            &typed,
        ),
        (
            "the worker is killed, then `belay rollback`: accepted -> traffic switched",
            &asked,
        ),
    ] {
        for share in [50.0, 99.0] {
            let figure = format!("going on: {what}, p{share}");
            let value = percentile(samples, share);
            rows.at_most(figure, value, "ms", AIM_MS, samples.len());
        }
    }
    let figure =
        "going on: everything is killed, then `belay watch`: typed -> first good answer, p50";
    rows.plain(figure, percentile(&answers, 50.0), "ms", answers.len());
    Ok(())
}

async fn worker_killed_while_watched(project: &Project, release: u32) -> Result<f64> {
    let mut deploy = begin(project, release).await?;
    let killed_us = kill_worker(project)?;
    let status = deploy.wait().await?;
    ensure!(status.success(), "belay deploy: {status}");
    let deployment = project.last().await?;
    ensure!(
        deployment["outcome"]["result"] == "succeeded",
        "{deployment:#}"
    );
    Ok(ms(
        claimed_after(project, &deployment, killed_us).await? - killed_us
    ))
}

async fn worker_killed_then_rollback(project: &Project, release: u32) -> Result<f64> {
    project.promote(release).await?;
    kill_worker(project)?;
    let back = project.roll_back().await?;
    Ok(ms(time(&back, "t4")? - time(&back, "t1")?))
}

async fn everything_killed(project: &Project, release: u32) -> Result<(f64, f64)> {
    let mut deploy = begin(project, release).await?;
    let deployment = project.last().await?;
    let id = deployment["id"].as_str().context("an id")?;
    let killed = project.kill_belay(|_| true);
    // What was being started when it was looked.
    project.kill_belay(|_| true);
    ensure!(killed >= 4, "{killed} processes of Belay ran");
    deploy.wait().await?;
    let typed_us = now_us();
    let watch = project.begin(&["watch", id])?;
    let load = Load::start(project.address, &LOAD);
    load.more(1).await?;
    let answered_us = load.seen().iter().map(|seen| seen.to_us).min();
    drop(load);
    let status = watch.wait_with_output().await?.status;
    ensure!(status.success(), "belay watch: {status}");
    let claimed_us = claimed_after(project, &deployment, typed_us).await?;
    let answered_us = answered_us.context("an answer")?;
    Ok((ms(claimed_us - typed_us), ms(answered_us - typed_us)))
}

/// A deployment that bakes, and the command that watches it.
async fn begin(project: &Project, release: u32) -> Result<tokio::process::Child> {
    let mut deploy = project.begin_deploy(release)?;
    loop {
        let last = project.last().await?;
        if last["release"] == release && last["phase"] == "baking" {
            return Ok(deploy);
        }
        ensure!(deploy.try_wait()?.is_none(), "it did not bake: {last:#}");
        sleep(LOOK_AGAIN).await;
    }
}

fn kill_worker(project: &Project) -> Result<i64> {
    let at_us = now_us();
    let killed = project.kill_belay(|line| line.contains(" worker "));
    ensure!(killed == 1, "{killed} workers ran");
    Ok(at_us)
}

async fn claimed_after(project: &Project, deployment: &Value, after_us: i64) -> Result<i64> {
    let events = project.events(deployment).await?;
    let claimed = events
        .iter()
        .filter(|entry| !entry["event"]["claimed"].is_null());
    let times = claimed.filter_map(|entry| entry["at_us"].as_i64());
    let first = times.filter(|at_us| *at_us >= after_us).min();
    first.context("nobody took it over")
}
