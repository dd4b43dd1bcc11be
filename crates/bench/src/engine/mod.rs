//! The engine on its own: on a simulated driver that answers at once, so that what is measured is Belay. Workers that are
//! killed or weighed are processes of their own: this executable again (`worker.rs`).

mod crowd;
mod fold;
mod memory;
mod ports;
mod simulated;
mod stores;
mod takeover;
mod throughput;
mod worker;

use crate::rows::Rows;
use anyhow::Result;

pub(crate) use worker::run as run_worker;

/// `only`: one part of it, while one works on that.
pub(crate) async fn measure(rows: &mut Rows, only: Option<&str>) -> Result<()> {
    let is_wanted = |part: &str| only.is_none_or(|only| only == part);
    if is_wanted("fold") {
        fold::measure(rows);
    }
    if is_wanted("throughput") {
        throughput::measure(rows).await?;
    }
    if is_wanted("crowd") {
        crowd::measure(rows).await?;
    }
    if is_wanted("memory") {
        memory::measure(rows).await?;
    }
    if is_wanted("takeover") {
        takeover::measure(rows).await?;
    }
    Ok(())
}
