//! `belay abort`: one open deployment goes back now. Shows where that leads, and asks, as `rollback` does.

use crate::args::Abort;
use crate::cx::Cx;
use crate::exit::Failure;
use crate::output::Report;
use crate::verbs::{rollback, watch};
use belay_model::summary::Summary;

pub(crate) async fn run(cx: &Cx, args: Abort) -> Result<Report, Failure> {
    let belay = cx.open().await?;
    let id = match &args.deployment {
        Some(text) => belay.resolve_deployment(text).await?,
        None => {
            // To turn a rollback round that gets on is not what anybody means without saying so.
            let is_meant = |summary: &Summary| summary.kind == "deploy" || summary.stuck.is_some();
            watch::the_one(&belay, is_meant, "is open that could go back").await?
        }
    };
    let Some(summary) = rollback::first(&belay, &id).await? else {
        let message = format!("nothing is written of {id} yet");
        return Err(Failure::usage(message).next("belay status"));
    };
    let mut request = rollback::request(&args.how);
    request.only = Some(id);
    rollback::carry_out(cx, &belay, &summary.scope, request, &args.how).await
}
