//! `belay deploy`: writes a deployment down, sees to it that a worker does it, and follows.

use crate::args::{Deploy, Place, Until, What};
use crate::cx::Cx;
use crate::exit::Failure;
use crate::output::Report;
use crate::verbs::follow::{Followed, Watched, follow, interrupted};
use crate::verbs::outcome;
use belay_model::summary::Phase;
use belay_runtime::{Accepted, DeployRequest};
use serde_json::json;

pub(crate) async fn run(cx: &Cx, args: Deploy) -> Result<Report, Failure> {
    let request = request(cx, &args.place, args.what, args.reason)?;
    let belay = cx.open_or_make().await?;
    let accepted = belay.deploy(&request).await?;
    let (id, behind) = match &accepted {
        Accepted::New { id, behind, .. } => (id, behind.as_slice()),
        Accepted::Signal { id, .. } => (id, &[][..]),
        Accepted::NothingToDo {
            release,
            deployment,
        } => {
            let text =
                format!("nothing to do: release {release} serves already, since {deployment}");
            let json = json!({ "deployment": null, "nothing_to_do": { "release": release, "deployment": deployment } });
            return Ok(Report::new(text, json));
        }
    };
    for before in behind {
        cx.output.say(&format!("{id} waits for {before}"));
    }
    belay.ensure_worker().await?;
    if args.detach {
        return Ok(Report::new(
            format!("{id}\n"),
            json!({ "deployment": { "id": id } }),
        ));
    }
    let watched = Watched {
        id,
        until: args.until,
        known: 0,
    };
    match follow(cx, &belay, watched).await? {
        Followed::Interrupted(last) => Ok(interrupted(cx, id, last.as_deref())),
        Followed::Until(summary) => {
            if args.until == Until::Promoted && summary.phase == Phase::Baking {
                cx.output.say(&format!(
                    "the bake goes on without us\n  -> belay watch {id}"
                ));
            }
            outcome::report(&belay, &summary).await
        }
    }
}

/// What is asked for, from the configuration and the command line.
pub(crate) fn request(
    cx: &Cx,
    place: &Place,
    what: What,
    reason: Option<String>,
) -> Result<DeployRequest, Failure> {
    let loaded = cx.load()?;
    let service = &loaded.config.service;
    if let Some(named) = place.service.as_ref().filter(|named| *named != service) {
        let message = format!(
            "{} is about `{service}`, not `{named}`",
            loaded.path.display()
        );
        return Err(Failure::usage(message).next(format!("belay deploy {service} -e ENV")));
    }
    let mut known = loaded.config.environments.keys();
    let environment = match (&place.env, known.next(), known.next()) {
        (Some(named), _, _) => named.clone(),
        (None, Some(only), None) => only.clone(),
        _ => {
            let names: Vec<_> = loaded.config.environments.keys().cloned().collect();
            let failure = Failure::usage("there are several environments: say which");
            return Err(failure.next(format!("belay deploy -e ENV, one of: {}", names.join(", "))));
        }
    };
    Ok(DeployRequest {
        environment,
        artifact: what.artifact,
        commit: what.commit,
        reason,
        interactive: cx.output.can_ask(),
        env: crate::cx::variables(),
        loaded,
    })
}
