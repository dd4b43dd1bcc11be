//! `belay worker`: does what is written in the store. Started by Belay for itself; stderr is its log.

use crate::args::Worker;
use crate::cx::Cx;
use crate::exit::Failure;
use crate::output::Report;
use belay_runtime::{Left, run_worker};
use serde_json::json;

pub(crate) async fn run(cx: &Cx, args: &Worker) -> Result<Report, Failure> {
    if args.detached {
        belay_runtime::detach();
    }
    let belay = cx.open_or_make().await?;
    let left = match run_worker(&belay, args.idle_ms).await? {
        Left::AlreadyRunning => "another worker is at it",
        Left::Idle => "nothing is open",
    };
    tracing::info!("left: {left}");
    Ok(Report::new("", json!({ "left": left })))
}
