//! The other physical limit: a request's round trip over loopback, to the service itself and through the proxy, in turn.

use crate::home::ms;
use crate::project::{Binaries, Project, WARM};
use crate::rows::{Rows, percentile};
use crate::throughput::instances;
use anyhow::Result;
use belay_load::{Keep, Load, Shape};
use std::time::Duration;

const RUNS: usize = 2000;
const TURNS: usize = 4;
const ONE: Shape = Shape {
    clients: 1,
    pace: None,
    patience: Duration::from_secs(5),
    reuse: u32::MAX,
    paths: &["/api/books/4"],
    keep: Keep::All,
};

pub(crate) async fn measure(binaries: &Binaries, rows: &mut Rows) -> Result<()> {
    let project = Project::new(binaries, WARM)?;
    project.first().await?;
    let direct = instances(&project).await?[0];
    let (mut itself, mut through) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        for (address, samples) in [(direct, &mut itself), (project.address, &mut through)] {
            let load = Load::start(address, &ONE);
            load.more(RUNS / TURNS).await?;
            let seen = load.take().into_iter().take(RUNS / TURNS);
            samples.extend(seen.map(|seen| ms(seen.to_us - seen.from_us)));
        }
    }
    for (what, samples) in [
        ("a request to the service itself over loopback", &itself),
        ("a request through Belay's proxy", &through),
    ] {
        for share in [50.0, 99.0] {
            let value = percentile(samples, share);
            rows.plain(format!("{what}, p{share}"), value, "ms", samples.len());
        }
    }
    Ok(())
}
