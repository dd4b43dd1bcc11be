//! Watching a deployment until it is far enough. Changes nothing about it, but sees to it that somebody works on it.

use crate::args::Until;
use crate::cx::Cx;
use crate::exit::{Exit, Failure};
use crate::output::Report;
use crate::output::json;
use crate::output::progress::Progress;
use crate::output::table::printable;
use belay_model::id::DeploymentId;
use belay_model::summary::Summary;
use belay_runtime::{Belay, Error};
use std::pin::pin;
use std::time::{Duration, Instant};

/// A worker may be killed while we watch: how soon that is noticed. A look is one lock asked for, so it costs nothing.
const LOOK_AFTER_WORKER: Duration = Duration::from_millis(100);
/// On a shared store a look may ask the server.
const LOOK_AFTER_WORKER_SHARED: Duration = Duration::from_secs(1);
/// After that long without news the store's disk is looked at.
const QUIET: Duration = Duration::from_secs(3);
/// With less than that free on it, silence means that the worker cannot record anything.
const ROOM: u64 = 1 << 20;

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
    if let Some(host) = belay.done_by(watched.id).await? {
        cx.output.say(&format!(
            "{} is done by a worker of {host}; while none is at work there it waits: any command there starts one",
            watched.id
        ));
    }
    let every = match belay.is_shared() {
        true => LOOK_AFTER_WORKER_SHARED,
        false => LOOK_AFTER_WORKER,
    };
    let mut look = tokio::time::interval(every);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut progress = Progress::new(cx.output, watched.known);
    let mut news = belay.follow(watched.id);
    let mut last: Option<Box<Summary>> = None;
    let mut news_at = Instant::now();
    loop {
        let mut next = pin!(news.next());
        let update = loop {
            tokio::select! {
                update = &mut next => break update?,
                _ = &mut interrupted => return Ok(Followed::Interrupted(last)),
                _ = look.tick() => {
                    let started = belay.ensure_worker().await;
                    if (started.is_err() || news_at.elapsed() > QUIET)
                        && let Some(free) = belay.free_bytes()
                        && free < ROOM
                    {
                        return Err(without_room(belay, watched.id, last.as_deref(), free));
                    }
                    // Whether a server is back, the news will tell.
                    let is_away = belay.is_shared() && matches!(started, Err(Error::Store(_)));
                    if let Err(error) = started && !is_away {
                        return Err(Failure::from(error).next(goes_on(watched.id)));
                    }
                }
            }
        };
        let Some(update) = update else { break };
        news_at = Instant::now();
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

/// Nothing goes on while nothing can be recorded; says what is applied.
fn without_room(belay: &Belay, id: &DeploymentId, last: Option<&Summary>, free: u64) -> Failure {
    let at =
        last.and_then(|last| Some((last.step?.index + 1, last.steps, last.step_title.as_ref()?)));
    let at = at.map_or_else(String::new, |(step, steps, title)| {
        format!(" at step {step} of {steps}, {}", printable(title))
    });
    let message = format!(
        "the disk of {} is full ({free} bytes free): nothing can be recorded, so {id} stays as it is{at}; what serves goes on serving",
        belay.dir().display()
    );
    Failure::new(Exit::Unusable, "E0215", message)
        .next("free some space: it goes on by itself")
        .next(goes_on(id))
}

fn goes_on(id: &DeploymentId) -> String {
    format!("belay watch {id}")
}
