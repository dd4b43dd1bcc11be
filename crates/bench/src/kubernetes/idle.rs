//! What a cluster is asked: for a deployment and its way back, and while 500 services are in their bake and nothing happens. The API
//! server's own audit log counts.

use super::shop::{ENVIRONMENT, PODS, Shop, image, manifests};
use crate::home::temporary;
use crate::rows::Rows;
use anyhow::{Context, Result, anyhow, bail};
use belay_load::now_us;
use belay_testbed::ControlPlane;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;
use tokio::time::sleep;

const SERVICES: usize = 500;
/// Deployed at once.
const AT_ONCE: usize = 8;
/// Until what follows a deployment (pods' events, endpoints) has come to rest.
const SETTLE: Duration = Duration::from_secs(60);
const WATCHED: Duration = Duration::from_secs(180);
const PER_MINUTE: f64 = 10.0;
const MEMORY_MIB: f64 = 50.0;

pub(crate) async fn measure(belay: &Path, rows: &mut Rows) -> Result<()> {
    let log = temporary()?;
    let folder = log.path().to_owned();
    let plane = tokio::task::spawn_blocking(move || ControlPlane::audited(&folder)).await?;
    let plane = &plane.map_err(|error| anyhow!(error))?;
    for (name, lines) in [
        ("rolling", "    strategy: rolling\n    keep: { bake: 0s }\n"),
        (
            "blue/green",
            "    strategy: blue_green\n    keep: { bake: 0s, warm: 10m }\n",
        ),
    ] {
        let shop = Shop::new(belay, plane, lines).await?;
        let from_us = now_us();
        shop.deploy(2).await?;
        let between_us = now_us();
        shop.roll_back().await?;
        for (what, from_us, to_us) in [
            ("deployment", from_us, between_us),
            ("rollback", between_us, now_us()),
        ] {
            let count = asked(log.path(), from_us, to_us)?;
            let figure = format!("{name}, {what} of {PODS} pods: requests to the API server");
            rows.plain(figure, count as f64, "requests", 1);
        }
    }
    watched(belay, plane, log.path(), rows).await
}

async fn watched(belay: &Path, plane: &ControlPlane, log: &Path, rows: &mut Rows) -> Result<()> {
    let shop = Shop::empty(belay, plane)?;
    let (namespace, context) = (&shop.namespace, ControlPlane::CONTEXT);
    for number in 0..SERVICES {
        shop.write(
            &format!("api-{number}.yaml"),
            &format!(
                "service: api-{number}\nrelease: {{ manifests: ./k8s-{number} }}\nenvironments:\n  {ENVIRONMENT}:\n    \
                 target: {{ kubernetes: {{ context: {context}, namespace: {namespace} }} }}\n    keep: {{ bake: 6h }}\n"
            ),
        )?;
        let manifests = manifests(&format!("api-{number}"), &image(1), 1);
        shop.write(&format!("k8s-{number}/api.yaml"), &manifests)?;
    }
    for first in (0..SERVICES).step_by(AT_ONCE) {
        let numbers = first..SERVICES.min(first + AT_ONCE);
        let deploying: Result<Vec<_>> = numbers
            .map(|number| {
                let file = format!("api-{number}.yaml");
                let line = [
                    "deploy",
                    "-f",
                    &file,
                    "-e",
                    ENVIRONMENT,
                    "--image",
                    &image(1),
                    "--until",
                    "promoted",
                ];
                shop.begin(&line)
            })
            .collect();
        for mut deploying in deploying? {
            let status = deploying.wait().await?;
            if !status.success() {
                bail!("belay deploy: {status}");
            }
        }
        eprint!("\rwatched: {} of {SERVICES}", SERVICES.min(first + AT_ONCE));
    }
    eprintln!();
    sleep(SETTLE).await;
    let from_us = now_us();
    sleep(WATCHED).await;
    let count = asked(log, from_us, now_us())?;
    let name = format!("{SERVICES} services in their bake");
    rows.at_most(
        format!("{name}: requests to the API server while nothing happens"),
        count as f64 * 60.0 / WATCHED.as_secs_f64(),
        "1/min",
        PER_MINUTE,
        1,
    );
    let workers = shop.processes().into_iter();
    let memory: Vec<f64> = workers
        .map(|(pid, _)| resident_mib(pid.as_raw_nonzero().get()))
        .collect::<Result<_>>()?;
    rows.at_most(
        format!("{name}: resident memory of all that runs"),
        memory.iter().sum(),
        "MiB",
        MEMORY_MIB,
        memory.len(),
    );
    Ok(())
}

fn resident_mib(pid: i32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:"));
    let kib = line.context("VmRSS")?.trim().trim_end_matches(" kB");
    Ok(kib.parse::<f64>()? / 1024.0)
}

/// How many requests of ours began between two moments, Unix microseconds.
fn asked(log: &Path, from_us: i64, to_us: i64) -> Result<usize> {
    let mut seen = BTreeSet::new();
    for file in fs::read_dir(log)? {
        for line in BufReader::new(File::open(file?.path())?).lines() {
            // The last line may be half of one.
            let Ok(event) = serde_json::from_str::<Value>(&line?) else {
                continue;
            };
            let text = |name: &str| event[name].as_str().unwrap_or_default();
            let at: Timestamp = text("requestReceivedTimestamp").parse()?;
            let at_us = at.as_microsecond();
            if text("userAgent").starts_with("belay/") && (from_us..to_us).contains(&at_us) {
                seen.insert(text("auditID").to_owned());
            }
        }
    }
    Ok(seen.len())
}
