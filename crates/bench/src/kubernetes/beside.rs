//! Ways back of releases that stand side by side: from the command's start until every endpoint of the live Service is a
//! pod of the old release.

use super::endpoints::Endpoints;
use super::shop::{ENVIRONMENT, PODS, Shop, deployment, image, manifests};
use super::{at_most, plain};
use crate::home::{ms, time};
use crate::rows::Rows;
use anyhow::{Context, Result};
use belay_load::{Keep, Load, Shape, now_us};
use belay_testbed::ControlPlane;
use serde_json::json;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

const RUNS: u32 = 20;
/// Those that wait for pods.
const SLOW_RUNS: u32 = 8;
/// What a warm way back may take beyond the patch of one selector, which it is for the platform.
const BEYOND_MS: f64 = 50.0;
const COLD_MS: f64 = 800.0;
const PROMOTED_MS: f64 = 800.0;
const ABORT_MS: f64 = 700.0;
/// Of what the real client scales.
const PLAIN: &str = "shop/plain:1";
/// 200 requests a second, half of them on a new connection.
const LOAD: Shape = Shape {
    clients: 4,
    pace: Some(Duration::from_millis(20)),
    patience: Duration::from_secs(5),
    reuse: 2,
    paths: &["/"],
    keep: Keep::Failed,
};

/// Two groups that both stand; beside it, two Deployments and a Service whose selector the real client patches.
pub(crate) async fn warm(belay: &Path, plane: &ControlPlane, rows: &mut Rows) -> Result<()> {
    let lines = "    strategy: blue_green\n    keep: { bake: 0s, warm: 10m }\n";
    let shop = Shop::new(belay, plane, lines).await?;
    let pinned = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "plain"}, "spec": {
        "selector": {"app": "plain-1"}, "ports": [{"port": 8080}]}});
    shop.apply("service", &pinned.to_string()).await?;
    for release in [1, 2] {
        let name = format!("plain-{release}");
        shop.apply(&name, &deployment(&name, &name, &image(release), PODS))
            .await?;
    }
    let (live, patched) = (shop.endpoints("api").await?, shop.endpoints("plain").await?);
    let (mut own, mut accepted, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    let load = Load::start(address(&shop).await?, &LOAD);
    for release in 2..2 + RUNS {
        shop.deploy(release).await?;
        live.arrived(&image(release), PODS).await?;
        let typed_us = now_us();
        let back = shop.roll_back().await?;
        let there_us = live.arrived(&image(1), PODS).await?;
        own.push(ms(there_us - typed_us));
        accepted.push(ms(there_us - time(&back, "t1")?));

        point(&shop, 2).await?;
        patched.arrived(&image(2), PODS).await?;
        let typed_us = now_us();
        point(&shop, 1).await?;
        bare.push(ms(patched.arrived(&image(1), PODS).await? - typed_us));
        eprint!("\rblue/green: {} of {RUNS}", release - 1);
    }
    eprintln!();
    let name = "blue/green, warm rollback of 4 pods";
    let patch = plain(
        rows,
        "a bare `kubectl patch` of the selector: typed -> all endpoints on the old pods",
        &bare,
    );
    let own_ms = plain(
        rows,
        &format!("{name}: typed -> all endpoints on the old pods"),
        &own,
    );
    plain(
        rows,
        &format!("{name}: of that, accepted -> all endpoints on the old pods"),
        &accepted,
    );
    let figure = format!("{name}: typed -> all endpoints, beyond the bare patch, p50");
    rows.at_most(figure, own_ms - patch, "ms", BEYOND_MS, own.len());
    lost(rows, name, &load);
    Ok(())
}

/// The old pods are gone and are made again; beside it, a Deployment that the real client brings from none to four.
pub(crate) async fn cold(belay: &Path, plane: &ControlPlane, rows: &mut Rows) -> Result<()> {
    let lines = "    strategy: blue_green\n    keep: { bake: 0s, warm: 0s }\n";
    let shop = Shop::new(belay, plane, lines).await?;
    shop.apply("scaled", &manifests("plain", PLAIN, PODS))
        .await?;
    let (live, scaled) = (shop.endpoints("api").await?, shop.endpoints("plain").await?);
    let (mut own, mut bare) = (Vec::new(), Vec::new());
    let load = Load::start(address(&shop).await?, &LOAD);
    for release in 2..2 + SLOW_RUNS {
        shop.deploy(release).await?;
        live.gone(&image(1)).await?;
        let typed_us = now_us();
        shop.roll_back().await?;
        own.push(ms(live.arrived(&image(1), PODS).await? - typed_us));

        shop.kubectl(&["scale", "deployment/plain", "--replicas=0"])
            .await?;
        scaled.gone(PLAIN).await?;
        let typed_us = now_us();
        shop.kubectl(&["scale", "deployment/plain", "--replicas=4"])
            .await?;
        bare.push(ms(scaled.arrived(PLAIN, PODS).await? - typed_us));
        eprint!("\rblue/green, cold: {} of {SLOW_RUNS}", release - 1);
    }
    eprintln!();
    let name = "blue/green, rollback after the old pods are gone";
    plain(
        rows,
        "a bare `kubectl scale` from none to 4 pods, ready after 0.5 s: typed -> all endpoints",
        &bare,
    );
    at_most(
        rows,
        &format!("{name}: typed -> all endpoints on old pods"),
        &own,
        COLD_MS,
    );
    lost(rows, name, &load);
    Ok(())
}

/// One that went all the way, and one that is broken off.
pub(crate) async fn canary(belay: &Path, plane: &ControlPlane, rows: &mut Rows) -> Result<()> {
    let lines = "    strategy: { canary: [{ to: 25%, for: 1s }, { to: 50%, for: 1s }] }\n    keep: { bake: 0s, warm: 10m }\n";
    let shop = Shop::new(belay, plane, lines).await?;
    let live = shop.endpoints("api").await?;
    let load = Load::start(address(&shop).await?, &LOAD);
    let mut promoted = Vec::new();
    for release in 2..2 + SLOW_RUNS {
        shop.deploy(release).await?;
        live.arrived(&image(release), PODS).await?;
        promoted.push(back(&shop, &live).await?);
        eprint!("\rcanary, promoted: {} of {SLOW_RUNS}", release - 1);
    }
    eprintln!();
    let name = "rollback of a canary that was fully promoted";
    at_most(
        rows,
        &format!("{name}: typed -> all endpoints on the old release"),
        &promoted,
        PROMOTED_MS,
    );
    lost(rows, name, &load);

    let lines =
        "    strategy: { canary: [{ to: 25%, for: 10m }] }\n    keep: { bake: 0s, warm: 10m }\n";
    let shop = Shop::new(belay, plane, lines).await?;
    let live = shop.endpoints("api").await?;
    let load = Load::start(address(&shop).await?, &LOAD);
    let mut aborted = Vec::new();
    for release in 2..2 + SLOW_RUNS {
        let image = image(release);
        let deploying = shop.begin(&["deploy", "-e", ENVIRONMENT, "--image", &image])?;
        live.has(&image).await?;
        aborted.push(back(&shop, &live).await?);
        drop(deploying);
        eprint!("\rcanary, broken off: {} of {SLOW_RUNS}", release - 1);
    }
    eprintln!();
    let name = "abort in the middle of a canary";
    at_most(
        rows,
        &format!("{name}: typed -> all endpoints on the old release"),
        &aborted,
        ABORT_MS,
    );
    lost(rows, name, &load);
    Ok(())
}

async fn back(shop: &Shop<'_>, live: &Endpoints) -> Result<f64> {
    let typed_us = now_us();
    shop.roll_back().await?;
    Ok(ms(live.arrived(&image(1), PODS).await? - typed_us))
}

async fn point(shop: &Shop<'_>, release: u32) -> Result<()> {
    let patch = json!({"spec": {"selector": {"app": format!("plain-{release}")}}}).to_string();
    shop.kubectl(&["patch", "service", "plain", "-p", &patch])
        .await?;
    Ok(())
}

/// Where the live Service is asked.
async fn address(shop: &Shop<'_>) -> Result<SocketAddr> {
    let path = "jsonpath={.spec.clusterIP}";
    let ip = shop.kubectl(&["get", "service", "api", "-o", path]).await?;
    Ok(SocketAddr::new(ip.parse().context("its address")?, 8080))
}

fn lost(rows: &mut Rows, name: &str, load: &Load) {
    let failed = load.seen();
    for failed in failed.iter().take(3) {
        eprintln!("failed: {failed:?}");
    }
    rows.must(
        format!("{name}: requests lost"),
        failed.len(),
        "requests",
        0,
        load.count(),
    );
}
