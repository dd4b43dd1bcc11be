//! How long it takes until another worker goes on after SIGKILL.

use super::{ports, stores, worker};
use crate::rows::{Rows, percentile};
use anyhow::{Result, ensure};
use belay_engine::ports::{Batch, Store, Writer};
use belay_model::back::Back;
use belay_model::event::{Ask, Event};
use belay_model::id::DeploymentId;
use belay_model::summary::Phase;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::sleep;

const RUNS: usize = 10;
const BAKE_MS: u64 = 3_600_000;
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn measure(rows: &mut Rows) -> Result<()> {
    let server = stores::server().await?;
    let url = stores::database(&server, "takeover").await?;
    let store = stores::open(&url).await?;
    let lease_ms = store.lease_ms().unwrap_or(0) as f64;
    let mut samples = Vec::new();
    for run in 0..RUNS {
        samples.push(killed(&store, &url, run).await?);
        eprint!("\rtakeover: {} of {RUNS}", run + 1);
    }
    eprintln!();
    for share in [50.0, 99.0] {
        let figure = format!(
            "PostgreSQL, leases of {} s: a worker is killed -> another one claims, p{share}",
            lease_ms / 1000.0
        );
        let value = percentile(&samples, share);
        rows.at_most(figure, value, "ms", lease_ms + 1000.0, RUNS);
    }
    Ok(())
}

/// Two workers; the one that has the deployment is killed. Milliseconds until the other one's claim is in the journal.
async fn killed(store: &Arc<dyn Store>, url: &str, run: usize) -> Result<f64> {
    let id = stores::create(store, run..run + 1, 1, BAKE_MS)
        .await?
        .remove(0);
    let mut first = worker::start(url, 1)?;
    until(store, &id, 1).await?;
    let mut second = worker::start(url, 1)?;
    // It has looked, and found nothing to do. Leases are renewed meanwhile, so it is killed now sooner and now later after
    // that.
    sleep(Duration::from_millis(1500 + 170 * run as u64)).await;
    let killed_us = ports::now_us();
    first.kill().await?;
    let claimed_us = until(store, &id, 2).await?;
    second.kill().await?;
    // Nobody goes on with it.
    store.append(stopped(&id)).await?;
    let mut third = worker::start(url, 1)?;
    third.wait().await?;
    let summary = store.summary(&id).await?;
    ensure!(
        summary.is_some_and(|it| it.phase == Phase::Ended),
        "{id} goes on"
    );
    Ok((claimed_us - killed_us) as f64 / 1000.0)
}

fn stopped(id: &DeploymentId) -> Batch {
    Batch {
        deployment: id.clone(),
        writer: Writer::Anyone,
        events: vec![(
            ports::now_us(),
            Event::Signal {
                actor: "bench".to_owned(),
                ask: Ask::Stop,
                reason: None,
                back: Back::default(),
            },
        )],
        environment: Vec::new(),
        unmoved: Vec::new(),
    }
}

/// Until the nth claim is in the journal; when that was seen.
async fn until(store: &Arc<dyn Store>, id: &DeploymentId, nth: usize) -> Result<i64> {
    let began = Instant::now();
    loop {
        let events = store.events(id, 0).await?;
        let mut claims = events
            .iter()
            .filter(|entry| matches!(entry.event, Event::Claimed { .. }));
        if claims.nth(nth - 1).is_some() {
            return Ok(ports::now_us());
        }
        ensure!(began.elapsed() < PATIENCE, "nobody claims {id}");
        sleep(Duration::from_millis(20)).await;
    }
}
