//! Watching a deployment until it is far enough. Changes nothing about it, but sees to it that somebody works on it.

use crate::args::Until;
use crate::cx::Cx;
use crate::exit::{Exit, Failure};
use crate::output::Report;
use crate::output::json;
use crate::output::progress::Progress;
use belay_model::id::DeploymentId;
use belay_model::summary::Summary;
use belay_runtime::Belay;
use std::pin::pin;
use std::time::Duration;

/// A worker may be killed while we watch: how soon that is noticed. A look is one lock asked for, so it costs nothing.
const LOOK_AFTER_WORKER: Duration = Duration::from_millis(100);

/// Why watching ended.
pub(crate) enum Followed {
    /// It ended, waits for a person, or is as far as was asked for.
    Until(Box<Summary>),
    /// Someone pressed Ctrl-C.
    Interrupted(Option<Box<Summary>>),
}

/// What to watch, and how far.
pub(crate) struct Watched<'a> {
    pub(crate) id: &'a DeploymentId,
    pub(crate) until: Until,
    /// Entries up to this one are known already and not told again.
    pub(crate) known: u64,
}

pub(crate) async fn follow(
    cx: &Cx,
    belay: &Belay,
    watched: Watched<'_>,
) -> Result<Followed, Failure> {
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    let mut look = tokio::time::interval(LOOK_AFTER_WORKER);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut progress = Progress::new(cx.output, watched.known);
    let mut news = belay.follow(watched.id);
    let mut last = None;
    loop {
        let mut next = pin!(news.next());
        let update = loop {
            tokio::select! {
                update = &mut next => break update?,
                _ = &mut interrupted => return Ok(Followed::Interrupted(last)),
                _ = look.tick() => {
                    if let Err(error) = belay.ensure_worker().await {
                        return Err(Failure::from(error).next(goes_on(watched.id)));
                    }
                }
            }
        };
        let Some(update) = update else { break };
        progress.show(&update);
        let is_promoted = update.summary.promoted_us.is_some();
        last = Some(Box::new(update.summary));
        if watched.until == Until::Promoted && is_promoted {
            break;
        }
    }
    last.map(Followed::Until).ok_or_else(|| {
        let message = format!("the journal of {} is empty", watched.id);
        Failure::new(Exit::Unusable, "E0302", message)
    })
}

/// Only watching ended; says so and how to go on.
pub(crate) fn interrupted(cx: &Cx, id: &DeploymentId, last: Option<&Summary>) -> Report {
    cx.output.say(&format!(
        "stopped watching; {id} goes on\n  -> {}",
        goes_on(id)
    ));
    let json = serde_json::json!({ "deployment": last.map(json::deployment), "id": id, "interrupted": true });
    Report {
        exit: Exit::Interrupted,
        ..Report::new("", json)
    }
}

fn goes_on(id: &DeploymentId) -> String {
    format!("belay watch {id}")
}
