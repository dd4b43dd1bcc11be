//! What a worker keeps in memory.

use super::{stores, worker};
use crate::rows::Rows;
use anyhow::Result;
use belay_model::summary::Phase;
use std::time::Duration;
use tokio::time::sleep;

const SERVICES: usize = 1_000;
const RUNNING: usize = 100;
const AIM_MIB: f64 = 50.0;
const STEPS: usize = 10;
const BAKE_MS: u64 = 3_600_000;
/// Each of them is looked at once a second meanwhile.
const WATCHED: Duration = Duration::from_secs(5);

pub(crate) async fn measure(rows: &mut Rows) -> Result<()> {
    let dir = crate::home::temporary()?;
    let place = dir.path().to_string_lossy().into_owned();
    let store = stores::open(&place).await?;
    // Services that were deployed and are at rest, and some of which are deployed at this moment: they bake.
    let rest = stores::create(&store, RUNNING..SERVICES, STEPS, 0).await?;
    let mut worker = worker::start(&place, SERVICES)?;
    worker.wait().await?;
    stores::check(&store, &rest).await?;
    stores::create(&store, 0..RUNNING, STEPS, BAKE_MS).await?;
    let mut worker = worker::start(&place, SERVICES)?;
    stores::until_all(&store, Phase::Baking).await?;
    sleep(WATCHED).await;
    let now = worker::memory(&worker, "VmRSS:")?;
    let most = worker::memory(&worker, "VmHWM:")?;
    worker.kill().await?;
    let name = format!("memory of a worker, {SERVICES} services, {RUNNING} running deployments");
    rows.at_most(format!("{name}: resident"), now, "MiB", AIM_MIB, 1);
    rows.plain(format!("{name}: at most"), most, "MiB", 1);
    Ok(())
}
