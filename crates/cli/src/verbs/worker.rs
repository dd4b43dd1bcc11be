//! `belay worker`: does what is written in the store. Usually Belay starts it for itself; stderr is its log.

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
    let text = if args.detached { "" } else { left };
    Ok(Report::new(text, json!({ "left": left })))
}
