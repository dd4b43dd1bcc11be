//! A million requests across twenty switches, forward and back, on connections that are kept and on new ones, by a
//! client that never tries again.

use crate::project::{Binaries, Project, WARM};
use crate::rows::Rows;
use anyhow::Result;
use belay_load::{Keep, Load, Shape};
use std::time::{Duration, Instant};
use tokio::time::sleep;

const SWITCHES: usize = 20;
const REQUESTS: usize = 1_000_000;
const LOOK_AGAIN: Duration = Duration::from_millis(10);

pub(crate) const KEPT: Shape = Shape {
    clients: 24,
    pace: None,
    patience: Duration::from_secs(5),
    reuse: u32::MAX,
    paths: &["/api/books/4"],
    keep: Keep::Failed,
};
pub(crate) const NEW: Shape = Shape {
    clients: 8,
    patience: Duration::from_secs(5),
    reuse: 1,
    ..KEPT
};

pub(crate) async fn measure(binaries: &Binaries, rows: &mut Rows) -> Result<()> {
    let project = Project::new(binaries, WARM)?;
    project.first().await?;
    let loads = [KEPT, NEW].map(|shape| Load::start(project.address, &shape));
    let began = Instant::now();
    for switch in 0..SWITCHES {
        if switch % 2 == 0 {
            project.deploy(u32::try_from(switch)? + 2).await?;
        } else {
            project.roll_back().await?;
        }
        // As much traffic behind this switch as behind the others.
        let due = REQUESTS / SWITCHES * (switch + 1);
        while loads.iter().map(Load::count).sum::<usize>() < due {
            sleep(LOOK_AGAIN).await;
        }
        eprint!("\rswitches: {} of {SWITCHES}", switch + 1);
    }
    let seconds = began.elapsed().as_secs_f64();
    let [kept, new] = loads.each_ref().map(Load::count);
    eprintln!();
    let failed: Vec<_> = loads.iter().flat_map(Load::seen).collect();
    for failed in failed.iter().take(10) {
        eprintln!("failed: {failed:?}");
    }
    let figure = format!("failed requests across {SWITCHES} switches, forward and back");
    rows.must(figure, failed.len(), "requests", 0, kept + new);
    rows.plain(
        "of these on connections that are kept",
        kept as f64,
        "requests",
        1,
    );
    rows.plain(
        "of these on a new connection each",
        new as f64,
        "requests",
        1,
    );
    let rate = (kept + new) as f64 / seconds;
    rows.plain("requests a second meanwhile", rate, "1/s", 1);
    Ok(())
}
