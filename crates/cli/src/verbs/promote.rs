//! `belay promote`: the release that is good in one environment goes to another one.

use crate::args::Promote;
use crate::cx::Cx;
use crate::exit::{Exit, Failure};
use crate::output::{Report, warn};
use crate::verbs::{ask, deploy, plan};
use belay_model::id::{EnvironmentName, ReleaseNumber};
use belay_runtime::{DeployRequest, Released};
use serde_json::{Value, json};

pub(crate) async fn run(cx: &Cx, args: Promote) -> Result<Report, Failure> {
    if args.from == args.to {
        let message = format!("a release of {0} cannot be promoted to {0}", args.from);
        return Err(Failure::usage(message).next("belay promote FROM TO"));
    }
    let from = EnvironmentName::new(&args.from);
    let mut request = DeployRequest {
        environment: args.to,
        released: Released::Promoted {
            from: from.clone(),
            release: args.release.map(ReleaseNumber),
        },
        reason: args.reason,
        hotfix: args.hotfix,
        interactive: cx.output.can_ask(),
        env: crate::cx::variables(),
        loaded: deploy::load(cx, args.service.as_ref(), |service| {
            format!("belay promote FROM TO {service}")
        })?,
    };
    let belay = cx.open().await?;
    let asks = !args.yes && cx.output.can_ask();
    if args.plan || asks {
        let plan = belay.plan(&request).await?;
        let (shown, mut document) = (plan::text(&plan), plan::json(&plan));
        if args.plan {
            return Ok(Report::new(shown, document));
        }
        warn(&shown);
        if !ask::agreed(&format!("Promote it to {}? [y/N] ", plan.scope)) {
            cx.output.say("nothing was changed");
            document["deployment"] = Value::Null;
            document["declined"] = json!(true);
            return Ok(Report {
                exit: Exit::Interrupted,
                ..Report::new("", document)
            });
        }
        // What was agreed to, whatever serves there by now.
        request.released = Released::Promoted {
            from,
            release: plan.release,
        };
    }
    deploy::carry_out(cx, &belay, &request, args.following).await
}
