//! `belay retry`, `skip`, `abandon`: what a person says to a deployment that cannot go on by itself.

use crate::args::{Give, Retry, Until};
use crate::cx::Cx;
use crate::exit::Failure;
use crate::output::Report;
use crate::verbs::follow::{Followed, Watched, follow, interrupted};
use crate::verbs::{outcome, watch};
use belay_model::event::{Ask, Outcome};
use belay_model::summary::Summary;
use serde_json::json;

/// The three verbs' arguments.
pub(crate) struct Args {
    deployment: Option<String>,
    reason: Option<String>,
    detach: bool,
}

impl From<Retry> for Args {
    fn from(args: Retry) -> Self {
        Self {
            deployment: args.deployment,
            reason: args.reason,
            detach: args.detach,
        }
    }
}

impl From<Give> for Args {
    fn from(args: Give) -> Self {
        Self {
            deployment: args.deployment,
            reason: Some(args.reason),
            detach: args.detach,
        }
    }
}

pub(crate) async fn run(cx: &Cx, ask: Ask, args: Args) -> Result<Report, Failure> {
    let belay = cx.open().await?;
    let id = match &args.deployment {
        Some(text) => belay.resolve_deployment(text).await?,
        None => {
            let waits = |summary: &Summary| summary.stuck.is_some();
            watch::the_one(&belay, waits, "waits for a person").await?
        }
    };
    let is_abandon = ask == Ask::Abandon;
    let before = belay.signal(&id, ask, args.reason).await?;
    belay.ensure_worker().await?;
    if args.detach {
        return Ok(Report::new(
            id.to_string(),
            json!({ "deployment": { "id": id } }),
        ));
    }
    let watched = Watched {
        id: &id,
        until: Until::Baked,
        known: before.seq,
    };
    match follow(cx, &belay, watched).await? {
        Followed::Interrupted(last) => Ok(interrupted(cx, &id, last.as_deref())),
        Followed::Until(summary) => {
            let mut report = outcome::report(&belay, &summary).await?;
            if is_abandon && matches!(summary.outcome, Some(Outcome::Failed { .. })) {
                // That is what was asked for; what it leaves is in the text.
                let left = report.failure.take().map(|failure| failure.to_string());
                report.exit = crate::exit::Exit::Ok;
                report.text = format!("{}\n{}", report.text, left.unwrap_or_default());
            }
            Ok(report)
        }
    }
}
