//! `belay watch`: follows a deployment that someone asked for.

use crate::args::Watch;
use crate::cx::Cx;
use crate::exit::{Exit, Failure};
use crate::output::Report;
use crate::verbs::follow::{Followed, Watched, follow, interrupted};
use crate::verbs::outcome;
use belay_model::id::DeploymentId;
use belay_model::summary::Summary;
use belay_runtime::Belay;

pub(crate) async fn run(cx: &Cx, args: &Watch) -> Result<Report, Failure> {
    let belay = cx.open().await?;
    let id = match &args.deployment {
        Some(text) => belay.resolve_deployment(text).await?,
        None => the_one(&belay, |_| true, "is open").await?,
    };
    let watched = Watched {
        id: &id,
        until: args.until,
        known: 0,
    };
    match follow(cx, &belay, watched).await? {
        Followed::Until(summary) => outcome::report(&belay, &summary).await,
        Followed::Interrupted(last) => Ok(interrupted(cx, &id, last.as_deref())),
    }
}

/// The only open deployment of which that is so. Two are not guessed between.
pub(crate) async fn the_one(
    belay: &Belay,
    is_meant: impl Fn(&Summary) -> bool,
    what: &str,
) -> Result<DeploymentId, Failure> {
    let scopes = belay.status().await?;
    let open = scopes.iter().flat_map(|scope| &scope.open);
    let mut meant: Vec<_> = open.filter(|summary| is_meant(summary)).collect();
    match meant.len() {
        1 => Ok(meant.remove(0).id.clone()),
        0 => {
            let failure = Failure::new(Exit::Blocked, "E0304", format!("no deployment {what}"));
            Err(failure.next("belay status").next("belay history -e ENV"))
        }
        _ => {
            let lines = meant
                .iter()
                .map(|summary| format!("{}    {} ({})", summary.id, summary.scope, summary.phase));
            let message = format!("more than one deployment {what}: say which");
            Err(Failure::usage(message).detail(lines.collect::<Vec<_>>()))
        }
    }
}
