//! A worker that starts where thousands of deployments are open: when it first does something, and when it has all of them.

use super::{ports, stores, worker};
use crate::rows::Rows;
use anyhow::{Context, Result};
use belay_model::event::{Entry, Event};
use belay_model::summary::Phase;
use std::time::Duration;

const OPEN: usize = 10_000;
const FIRST_S: f64 = 5.0;
const ALL_S: f64 = 15.0;
/// How long they are let alone.
const REST: Duration = Duration::from_secs(10);
/// None of them ends meanwhile.
const BAKE_MS: u64 = 3_600_000;

pub(crate) async fn measure(rows: &mut Rows) -> Result<()> {
    let dir = crate::home::temporary()?;
    let place = dir.path().to_string_lossy().into_owned();
    let store = stores::open(&place).await?;
    let ids = stores::create(&store, 0..OPEN, 1, BAKE_MS).await?;
    eprintln!("{OPEN} deployments are open");
    let began_us = ports::now_us();
    let mut worker = worker::start(&place, OPEN)?;
    stores::until_all(&store, Phase::Baking).await?;
    let memory = worker::memory(&worker, "VmRSS:")?;
    let before_s = worker::processor_s(&worker)?;
    tokio::time::sleep(REST).await;
    let rest_s = worker::processor_s(&worker)? - before_s;
    worker.kill().await?;
    // What a step's end tells is after its beginning was durable, and the claim with it.
    let mut done_us = Vec::new();
    for id in &ids {
        let events = store.events(id, 0).await?;
        let is_end = |entry: &&Entry| matches!(entry.event, Event::Finished { .. });
        done_us.push(events.iter().find(is_end).context("a step")?.at_us);
    }
    let seconds = |us: Option<&i64>| us.map_or(f64::NAN, |us| (us - began_us) as f64 / 1e6);
    let name = format!("{OPEN} open deployments, a worker starts");
    let first = seconds(done_us.iter().min());
    rows.at_most(format!("{name} -> first step done"), first, "s", FIRST_S, 1);
    let all = seconds(done_us.iter().max());
    let figure = format!("{name} -> all claimed, and a step of each done");
    rows.at_most(figure, all, "s", ALL_S, 1);
    rows.plain(
        format!("{OPEN} open deployments that bake: processor time of their worker a second"),
        rest_s * 1000.0 / REST.as_secs_f64(),
        "ms/s",
        1,
    );
    rows.plain(
        format!("{OPEN} open deployments: memory of their worker"),
        memory,
        "MiB",
        1,
    );
    Ok(())
}
