//! `belay rollback`: shows where it leads, asks where someone can be asked, then has it done.

use crate::args::{How, Rollback, Until};
use crate::cx::Cx;
use crate::exit::{Exit, Failure};
use crate::output::preview;
use crate::output::table::printable;
use crate::output::{Report, json, warn};
use crate::verbs::follow::{Followed, Watched, follow, interrupted};
use crate::verbs::{ask, outcome, script};
use belay_model::event::{Outcome, RollbackResult};
use belay_model::id::{DeploymentId, ReleaseNumber, Scope};
use belay_model::summary::Summary;
use belay_runtime::{Accepted, Belay, RollbackRequest};
use serde_json::json;

pub(crate) async fn run(cx: &Cx, args: Rollback) -> Result<Report, Failure> {
    let uri = cx.uri(&args.place)?;
    if args.gitops.is_some() && uri.is_none() {
        let failure = Failure::usage("`--gitops` is for what only a URI names");
        return Err(failure.next("write `gitops:` into the target in belay.yaml"));
    }
    // What is taken back was done by a store that is there.
    let begins = uri.is_some() && args.undo.is_none();
    let belay = match begins {
        true => cx.open_or_make().await?,
        false => cx.open().await?,
    };
    if !args.how.plan {
        belay.expect_write();
    }
    let (scope, undo) = match &uri {
        Some(uri) if begins => (uri.scope(), None),
        _ => what(cx, &belay, &args).await?,
    };
    let request = RollbackRequest {
        uri,
        undo,
        gitops: args.gitops.map(Into::into),
        ..request(&args.how)
    };
    carry_out(cx, &belay, &scope, request, &args.how).await
}

/// What is asked for, but for what is meant.
pub(crate) fn request(how: &How) -> RollbackRequest {
    RollbackRequest {
        to: how.to.map(ReleaseNumber),
        accept: how.accept.iter().map(|risk| (*risk).into()).collect(),
        trigger: how.trigger.map(Into::into),
        reason: how.reason.clone(),
        env: crate::cx::variables(),
        ..RollbackRequest::default()
    }
}

/// Shows where it leads, asks where someone can be asked, has it done and follows it.
pub(crate) async fn carry_out(
    cx: &Cx,
    belay: &Belay,
    scope: &Scope,
    request: RollbackRequest,
    args: &How,
) -> Result<Report, Failure> {
    // No configuration is about what only a URI names.
    let today = cx.load_if_any().filter(|_| request.uri.is_none());
    let preview = belay.preview(scope, &request, today.as_ref()).await?;
    let shown = preview::text(&preview);
    if args.shell.is_some() {
        return Ok(script::report(&preview.script, "rollback"));
    }
    if args.plan {
        return Ok(Report::new(
            shown,
            json!({ "preview": json::preview(&preview) }),
        ));
    }
    if !args.yes && cx.output.can_ask() {
        // Shown even where talk is not wanted: nobody should agree to something unseen.
        warn(&shown);
        if !ask::agreed(&format!("Go back to {}? [y/N] ", preview.goal)) {
            cx.output.say("nothing was changed");
            let json =
                json!({ "deployment": null, "preview": json::preview(&preview), "declined": true });
            return Ok(Report {
                exit: Exit::Interrupted,
                ..Report::new("", json)
            });
        }
    } else {
        cx.output.say(&shown);
    }
    let known = match &preview.signal_to {
        Some(id) => seen(belay, id).await?,
        None => 0,
    };
    let accepted = belay.rollback(scope, &request).await?;
    perform(cx, belay, &accepted, known, args.detach).await
}

/// Where, and which deployment is taken back.
async fn what(
    cx: &Cx,
    belay: &Belay,
    args: &Rollback,
) -> Result<(Scope, Option<DeploymentId>), Failure> {
    match args.undo.as_deref() {
        None => Ok((cx.scope(belay, &args.place).await?, None)),
        Some("") => {
            let scope = cx.scope(belay, &args.place).await?;
            let history = belay.history(&scope, usize::from(u16::MAX)).await?;
            let last = history.into_iter().find(|summary| summary.kind != "deploy");
            let none = || {
                let message = format!("{scope} was never rolled back on request");
                Failure::new(Exit::Blocked, "E0304", message).next(format!(
                    "belay history {} -e {}",
                    scope.service, scope.environment
                ))
            };
            let id = last.ok_or_else(none)?.id;
            Ok((scope, Some(id)))
        }
        Some(text) => {
            let id = belay.resolve_deployment(text).await?;
            let summary = first(belay, &id).await?.map(|summary| summary.scope);
            let scope = match summary {
                Some(scope) => scope,
                None => cx.scope(belay, &args.place).await?,
            };
            Ok((scope, Some(id)))
        }
    }
}

pub(crate) async fn first(belay: &Belay, id: &DeploymentId) -> Result<Option<Summary>, Failure> {
    Ok(belay.follow(id).next().await?.map(|update| update.summary))
}

/// How much of a journal was written before we speak: not told again.
pub(crate) async fn seen(belay: &Belay, id: &DeploymentId) -> Result<u64, Failure> {
    Ok(first(belay, id).await?.map_or(0, |summary| summary.seq))
}

async fn perform(
    cx: &Cx,
    belay: &Belay,
    accepted: &Accepted,
    known: u64,
    detach: bool,
) -> Result<Report, Failure> {
    let Some(id) = accepted.id() else {
        let Accepted::NothingToDo {
            release,
            deployment,
        } = accepted
        else {
            return Ok(Report::silent());
        };
        let text = format!("nothing to do: release {release} serves already, since {deployment}");
        let json = json!({ "deployment": null, "nothing_to_do": { "release": release, "deployment": deployment } });
        return Ok(Report::new(text, json));
    };
    let ended = match accepted {
        Accepted::Signal { ended, .. } => Some(ended.as_slice()),
        _ => None,
    };
    for line in accepted.remarks() {
        cx.output.say(&printable(line));
    }
    belay.ensure_worker().await?;
    if detach {
        return Ok(Report::new(
            id.to_string(),
            json!({ "deployment": { "id": id } }),
        ));
    }
    let watched = Watched {
        id,
        until: Until::Baked,
        known,
    };
    match follow(cx, belay, watched).await? {
        Followed::Interrupted(last) => Ok(interrupted(cx, id, last.as_deref())),
        Followed::Until(summary) => match ended {
            Some(ended) => signalled(belay, &summary, ended).await,
            None => requested(belay, &summary).await,
        },
    }
}

/// A rollback of its own: how it came out is how the command ends.
async fn requested(belay: &Belay, summary: &Summary) -> Result<Report, Failure> {
    let mut report = outcome::report(belay, summary).await?;
    if report.exit == Exit::Ok {
        report.text += &verified(summary);
        report.text += &quarantine(belay, summary).await?;
        report.text += &format!("\nto take it back: belay rollback --undo {}", summary.id);
    }
    Ok(report)
}

/// An open deployment was told to go back. It has failed; the rollback has not if it is complete.
async fn signalled(
    belay: &Belay,
    summary: &Summary,
    ended: &[DeploymentId],
) -> Result<Report, Failure> {
    let mut report = outcome::report(belay, summary).await?;
    report.json["ended"] = json!(ended);
    match &summary.outcome {
        Some(Outcome::Failed {
            rollback: RollbackResult::Complete | RollbackResult::None,
            ..
        }) if report.exit == Exit::RolledBack => {
            let to = summary
                .back_to
                .as_deref()
                .unwrap_or("what was there before");
            let times = outcome::timeline(&summary.timeline);
            report.exit = Exit::Ok;
            report.failure = None;
            report.text = format!(
                "{}: back to {to} ({} was told to go back)",
                summary.scope, summary.id
            );
            if !times.is_empty() {
                report.text += &format!("\n\n{times}");
            }
            report.text += &verified(summary);
            report.text += &quarantine(belay, summary).await?;
            for id in ended {
                report.text += &format!("\n{id} waited behind it and ended, with nothing begun");
            }
        }
        Some(Outcome::Succeeded) => {
            let message = format!(
                "{} had ended before it could be told to go back",
                summary.id
            );
            let failure = Failure::new(Exit::Blocked, "E0306", message)
                .next(outcome::back_command(&summary.scope));
            report = report.failing(Some(failure));
        }
        _ => {}
    }
    Ok(report)
}

fn verified(summary: &Summary) -> String {
    match &summary.verdict {
        Some(verdict) => format!(
            "\n\nverified by {}: {}",
            verdict.check,
            printable(&verdict.sentence)
        ),
        None => "\n\nnot verified: readiness is the only evidence".to_owned(),
    }
}

async fn quarantine(belay: &Belay, summary: &Summary) -> Result<String, Failure> {
    let bad = outcome::quarantined(belay, summary).await?;
    let lines = bad.iter().map(|release| {
        format!("\nrelease {release} is quarantined; to allow it again: belay release lift {release} --reason TEXT")
    });
    Ok(lines.collect())
}
