//! Requests a second, to the service itself, through Belay's proxy and through nginx, in turn in one run. Client, proxy
//! and service share the machine, so only the ratios say something.

use crate::nginx::Nginx;
use crate::project::{Binaries, Project, WARM};
use crate::rows::{Rows, percentile};
use crate::switches::{KEPT, NEW};
use anyhow::{Context, Result, ensure};
use belay_load::{Load, Shape};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::time::sleep;

const TURNS: usize = 5;
const TURN: Duration = Duration::from_secs(2);

/// Where the instances of what serves listen.
pub(crate) async fn instances(project: &Project) -> Result<Vec<SocketAddr>> {
    let proxy = project.run(&["proxy", "status"]).await?;
    let routes = proxy["proxy"]["table"]["routes"].as_object();
    let groups = routes
        .into_iter()
        .flat_map(|routes| routes.values())
        .filter_map(|route| route["groups"].as_object());
    let serving = groups
        .flat_map(|groups| groups.values())
        .filter(|group| group["weight"].as_u64().is_some_and(|weight| weight > 0));
    let upstreams = serving.filter_map(|group| group["upstreams"].as_array());
    let addresses: Vec<SocketAddr> = upstreams
        .flatten()
        .filter_map(|upstream: &Value| upstream["address"].as_str()?.parse().ok())
        .collect();
    ensure!(!addresses.is_empty(), "no instance in {proxy:#}");
    Ok(addresses)
}

pub(crate) async fn measure(binaries: &Binaries, rows: &mut Rows) -> Result<()> {
    let project = Project::new(binaries, WARM)?;
    project.first().await?;
    let upstreams = instances(&project).await?;
    let nginx = Nginx::start(&upstreams).await?;
    let direct = *upstreams.first().context("an instance")?;
    let places = [
        ("the service itself, one instance", direct),
        ("Belay's proxy", project.address),
        ("nginx", nginx.address),
    ];
    for (connections, shape) in [("kept connections", KEPT), ("new connections", NEW)] {
        let mut rates = [const { Vec::new() }; 3];
        for _ in 0..TURNS {
            for ((_, address), rates) in places.iter().zip(&mut rates) {
                rates.push(rate(*address, &shape).await?);
            }
        }
        for ((name, _), rates) in places.iter().zip(&rates) {
            let figure = format!("{connections}: {name}");
            rows.plain(figure, percentile(rates, 50.0), "1/s", TURNS);
        }
        let [direct, belay, nginx] = rates.each_ref().map(|rates| percentile(rates, 50.0));
        let figure = format!("{connections}: Belay's proxy : the service itself");
        rows.plain(figure, belay / direct, "times", TURNS);
        let figure = format!("{connections}: Belay's proxy : nginx");
        rows.plain(figure, belay / nginx, "times", TURNS);
    }
    Ok(())
}

async fn rate(address: SocketAddr, shape: &Shape) -> Result<f64> {
    let load = Load::start(address, shape);
    let before = load.count();
    let began = Instant::now();
    sleep(TURN).await;
    let rate = (load.count() - before) as f64 / began.elapsed().as_secs_f64();
    ensure!(load.seen().is_empty(), "failed: {:?}", load.seen().first());
    Ok(rate)
}
