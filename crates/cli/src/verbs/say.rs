//! `belay approve`, `reject`, `pause`, `resume`, `advance`, `stop`: what people say to a deployment that goes on by itself.
//! They come back at once; `belay watch` follows.

use crate::args::Say;
use crate::cx::Cx;
use crate::exit::Failure;
use crate::output::Report;
use crate::output::table::printable;
use crate::verbs::watch;
use belay_model::event::Ask;
use belay_model::summary::{Phase, Summary};
use serde_json::json;

pub(crate) async fn run(cx: &Cx, ask: Ask, args: Say) -> Result<Report, Failure> {
    let belay = cx.open().await?;
    let id = match &args.deployment {
        Some(text) => belay.resolve_deployment(text).await?,
        None => {
            let (is_meant, what) = meant(&ask);
            watch::the_one(&belay, is_meant, what).await?
        }
    };
    let said = done(&ask);
    let before = belay.signal(&id, ask, args.reason).await?;
    belay.ensure_worker().await?;
    let text = format!(
        "{}: {id} {said}; to follow it: belay watch {id}",
        printable(&before.scope.to_string())
    );
    Ok(Report::new(text, json!({ "deployment": { "id": id } })))
}

/// Which open deployment is meant when nobody says.
fn meant(ask: &Ask) -> (fn(&Summary) -> bool, &'static str) {
    match ask {
        Ask::Approve | Ask::Reject => (waits, "waits for an approval"),
        Ask::Resume => (|summary| summary.phase == Phase::Paused, "is paused"),
        _ => (|_| true, "is open"),
    }
}

fn waits(summary: &Summary) -> bool {
    summary.phase == Phase::Waiting
}

fn done(ask: &Ask) -> &'static str {
    match ask {
        Ask::Approve => "was told yes",
        Ask::Reject => "was told no and goes back",
        Ask::Pause => "begins no further step",
        Ask::Resume => "goes on",
        Ask::Advance => "does not wait any longer",
        _ => "ends, and what was done stays as it is",
    }
}
