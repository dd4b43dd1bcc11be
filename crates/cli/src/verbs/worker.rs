//! `belay worker`: does what is written in the store. Usually Belay starts it for itself; stderr is its log.

use crate::args::Worker;
use crate::cx::{Cx, Use};
use crate::exit::Failure;
use crate::output::Report;
use belay_runtime::{Belay, Left, run_worker};
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a worker that stays waits for the server of its store, and how often it looks.
const AWAY: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_secs(1);

pub(crate) async fn run(cx: &Cx, args: &Worker) -> Result<Report, Failure> {
    if args.detached {
        belay_runtime::detach();
    }
    let lease = Duration::from_millis(args.lease_ms);
    let left = match args.stay {
        true => stay(cx, lease).await?,
        false => run_worker(&cx.open_for(Use::Work(lease)).await?, Some(args.idle_ms)).await?,
    };
    let left = match left {
        Left::AlreadyRunning => "another worker is at it",
        Left::Idle => "nothing is open",
    };
    tracing::info!("left: {left}");
    let text = if args.detached { "" } else { left };
    Ok(Report::new(text, json!({ "left": left })))
}

/// Works for ever. A server of the store that is away is waited for: nobody may be there to start the worker again.
async fn stay(cx: &Cx, lease: Duration) -> Result<Left, Failure> {
    let mut since = Instant::now();
    loop {
        let options = cx.options(Use::Work(lease))?;
        let is_shared = options.shared.is_some();
        let error = match Belay::open(options).await {
            Ok(belay) => {
                let done = run_worker(&belay, None).await;
                since = Instant::now();
                match done {
                    Ok(left) => return Ok(left),
                    Err(error) => error,
                }
            }
            Err(error) => error,
        };
        if !is_shared || !error.is_server_away() || since.elapsed() > AWAY {
            return Err(error.into());
        }
        tracing::warn!(%error, "the store cannot be used; trying again for up to {AWAY:?}");
        sleep(AGAIN).await;
    }
}
