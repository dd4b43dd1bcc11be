//! `belay deploy`: writes a deployment down, sees to it that a worker does it, and follows.

use crate::args::{Deploy, Following, Place, Until, What};
use crate::cx::Cx;
use crate::exit::Failure;
use crate::output::Report;
use crate::output::table::printable;
use crate::output::time::{ago, moment, now_us};
use crate::verbs::follow::{Followed, Watched, follow, interrupted};
use crate::verbs::outcome;
use belay_model::id::DeploymentId;
use belay_model::summary::{Phase, Summary};
use belay_runtime::config::Loaded;
use belay_runtime::{Accepted, Belay, DeployRequest, Error, Images, Released};
use serde_json::json;

pub(crate) async fn run(cx: &Cx, args: Deploy) -> Result<Report, Failure> {
    let mut request = request(cx, &args.place, args.what, args.reason)?;
    request.hotfix = args.hotfix;
    let belay = cx.open_or_make().await?;
    carry_out(cx, &belay, &request, args.following).await
}

/// Has it written down, sees to it that a worker does it, and follows.
pub(crate) async fn carry_out(
    cx: &Cx,
    belay: &Belay,
    request: &DeployRequest,
    following: Following,
) -> Result<Report, Failure> {
    let Following { until, detach } = following;
    let accepted = belay.deploy(request).await?;
    let (id, behind, replaces, supersedes) = match &accepted {
        Accepted::New {
            id,
            behind,
            replaces,
            supersedes,
            ..
        } => (id, behind.as_slice(), replaces.as_slice(), supersedes),
        Accepted::Signal { id, .. } => (id, &[][..], &[][..], &None),
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
    for line in accepted.remarks() {
        cx.output.say(&printable(line));
    }
    for old in replaces {
        cx.output.say(&format!(
            "{id} takes the place of {old}, which had not begun"
        ));
    }
    if let Some(old) = supersedes {
        cx.output.say(&format!("{id} takes over from {old}"));
    }
    for before in behind.iter().filter(|id| supersedes.as_ref() != Some(id)) {
        if let Some(before) = belay.store().summary(before).await.map_err(Error::from)? {
            cx.output.say(&waits(id, &before, now_us()));
        }
    }
    belay.ensure_worker().await?;
    if detach {
        return Ok(Report::new(
            format!("{id}\n"),
            json!({ "deployment": { "id": id }, "replaces": replaces, "supersedes": supersedes }),
        ));
    }
    let watched = Watched {
        id,
        until,
        known: 0,
    };
    match follow(cx, belay, watched).await? {
        Followed::Interrupted(last) => Ok(interrupted(cx, id, last.as_deref())),
        Followed::Until(summary) => {
            if until == Until::Promoted && summary.phase == Phase::Baking {
                cx.output.say(&format!(
                    "the bake goes on without us\n  -> belay watch {id}"
                ));
            }
            outcome::report(belay, &summary).await
        }
    }
}

/// Who is first, since when.
fn waits(id: &DeploymentId, before: &Summary, now_us: i64) -> String {
    let actor = printable(&before.actor);
    let what = before.release.map_or_else(
        || before.kind.clone(),
        |release| format!("{} of release {release}", before.kind),
    );
    let since = |us| ago(us, now_us);
    let how = match before.locked_us {
        Some(us) => format!("holds the lock since {} ({})", moment(us), since(us)),
        None => format!(
            "waits, too, since {} ({})",
            moment(before.created_us),
            since(before.created_us)
        ),
    };
    format!(
        "{id} waits for {}: the {what} by {actor} {how} and is {}",
        before.id, before.phase
    )
}

/// What is asked for, from the configuration and the command line.
pub(crate) fn request(
    cx: &Cx,
    place: &Place,
    what: What,
    reason: Option<String>,
) -> Result<DeployRequest, Failure> {
    let loaded = load(cx, place.service.as_ref(), |service| {
        format!("belay deploy {service} -e ENV")
    })?;
    let environment = environment(&loaded, place, "deploy")?;
    Ok(DeployRequest {
        environment,
        released: Released::New {
            artifact: what.artifact,
            images: images(&what.image)?,
            commit: what.commit,
        },
        reason,
        hotfix: false,
        interactive: cx.output.can_ask(),
        env: crate::cx::variables(),
        loaded,
    })
}

/// The environment that is meant: the one that is named, or the only one.
pub(crate) fn environment(loaded: &Loaded, place: &Place, verb: &str) -> Result<String, Failure> {
    let mut known = loaded.config.environments.keys();
    match (&place.env, known.next(), known.next()) {
        (Some(named), _, _) => Ok(named.clone()),
        (None, Some(only), None) => Ok(only.clone()),
        _ => {
            let names: Vec<_> = loaded.config.environments.keys().cloned().collect();
            let failure = Failure::usage("there are several environments: say which");
            Err(failure.next(format!("belay {verb} -e ENV, one of: {}", names.join(", "))))
        }
    }
}

/// Images by container; one without a name is that of the only container.
fn images(given: &[String]) -> Result<Images, Failure> {
    let mut images = Images::default();
    for text in given {
        let (container, image) = match text.split_once('=') {
            Some((container, image)) => (Some(container), image),
            None => (None, text.as_str()),
        };
        if image.is_empty() || container == Some("") {
            let failure =
                Failure::usage(format!("`--image {text}` lacks the image or its container"));
            return Err(failure.next("--image IMAGE, or --image CONTAINER=IMAGE"));
        }
        let before = match container {
            Some(container) => images.named.insert(container.to_owned(), image.to_owned()),
            None => images.only.replace(image.to_owned()),
        };
        if before.is_some() {
            let failure = Failure::usage(format!(
                "`--image {text}`: that container has an image already"
            ));
            return Err(failure.next("name each container once"));
        }
    }
    Ok(images)
}

/// The configuration, which has to be that of the service if one is named. `right`: what to type for the one it is about.
pub(crate) fn load(
    cx: &Cx,
    named: Option<&String>,
    right: impl FnOnce(&str) -> String,
) -> Result<Loaded, Failure> {
    let loaded = cx.load()?;
    let service = &loaded.config.service;
    if let Some(named) = named.filter(|named| *named != service) {
        let path = loaded.path.display();
        let message = format!("{path} is about `{service}`, not `{named}`");
        return Err(Failure::usage(message).next(right(service)));
    }
    Ok(loaded)
}
