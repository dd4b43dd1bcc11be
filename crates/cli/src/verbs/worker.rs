//! `belay worker`: does what is written in the store. Usually Belay starts it for itself; stderr is its log.

use crate::args::Worker;
use crate::cx::{Cx, Use};
use crate::exit::Failure;
use crate::output::Report;
use belay_runtime::{Left, run_worker};
use serde_json::json;
use std::time::Duration;

pub(crate) async fn run(cx: &Cx, args: &Worker) -> Result<Report, Failure> {
    if args.detached {
        belay_runtime::detach();
    }
    let lease = Duration::from_millis(args.lease_ms);
    let belay = cx.open_for(Use::Work(lease)).await?;
    let left = match run_worker(&belay, (!args.stay).then_some(args.idle_ms)).await? {
        Left::AlreadyRunning => "another worker is at it",
        Left::Idle => "nothing is open",
    };
    tracing::info!("left: {left}");
    let text = if args.detached { "" } else { left };
    Ok(Report::new(text, json!({ "left": left })))
}
