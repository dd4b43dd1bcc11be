//! On a real control plane with simulated nodes, beside what `kubectl` and `helm` need for the same in the same run.

mod beside;
mod endpoints;
mod helm;
mod idle;
mod rolling;
mod shop;

use crate::rows::{Rows, percentile};
use anyhow::{Result, anyhow};
use belay_testbed::ControlPlane;
use std::path::Path;

pub(crate) async fn measure(belay: &Path, rows: &mut Rows, only: Option<&str>) -> Result<()> {
    let is_wanted = |part: &str| only.is_none_or(|only| only == part);
    if is_wanted("idle") {
        idle::measure(belay, rows).await?;
    }
    if only == Some("idle") {
        return Ok(());
    }
    let plane = tokio::task::spawn_blocking(ControlPlane::serving).await?;
    let plane = &plane.map_err(|error| anyhow!(error))?;
    if is_wanted("warm") {
        beside::warm(belay, plane, rows).await?;
    }
    if is_wanted("cold") {
        beside::cold(belay, plane, rows).await?;
    }
    if is_wanted("canary") {
        beside::canary(belay, plane, rows).await?;
    }
    if is_wanted("rolling") {
        rolling::measure(belay, plane, rows).await?;
    }
    if is_wanted("helm") {
        helm::measure(belay, plane, rows).await?;
    }
    Ok(())
}

/// A figure without an aim, its p50 and its worst.
fn plain(rows: &mut Rows, figure: &str, samples: &[f64]) -> f64 {
    let p50 = percentile(samples, 50.0);
    rows.plain(format!("{figure}, p50"), p50, "ms", samples.len());
    rows.plain(
        format!("{figure}, worst"),
        percentile(samples, 100.0),
        "ms",
        samples.len(),
    );
    p50
}

/// A figure whose p50 should be at most this.
fn at_most(rows: &mut Rows, figure: &str, samples: &[f64], aim_ms: f64) {
    let p50 = percentile(samples, 50.0);
    rows.at_most(format!("{figure}, p50"), p50, "ms", aim_ms, samples.len());
    rows.plain(
        format!("{figure}, worst"),
        percentile(samples, 100.0),
        "ms",
        samples.len(),
    );
}
