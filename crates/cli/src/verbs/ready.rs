//! `belay ready`: whether going back would work right now. Changes nothing; its exit code is a gate.

use crate::args::Ready;
use crate::cx::Cx;
use crate::exit::{Exit, Failure};
use crate::output::table::printable;
use crate::output::{Report, json};
use belay_model::id::ReleaseNumber;
use belay_runtime::Readiness;
use serde_json::json;

pub(crate) async fn run(cx: &Cx, args: &Ready) -> Result<Report, Failure> {
    let belay = cx.open().await?;
    let scope = cx.scope(&belay, &args.place).await?;
    let readiness = belay.ready(&scope, args.to.map(ReleaseNumber)).await?;
    let report = Report::new(
        text(&readiness),
        json!({ "ready": json::readiness(&readiness) }),
    );
    let failure = (!readiness.ready).then(|| {
        let message = format!("{scope} cannot go back right now");
        Failure::new(Exit::Blocked, "E0313", message).next("belay release list")
    });
    Ok(report.failing(failure))
}

fn text(readiness: &Readiness) -> String {
    let scope = &readiness.scope;
    let goal = readiness.goal.as_deref().unwrap_or("nothing good");
    let mut lines = Vec::new();
    if readiness.ready {
        let time = match readiness.predicted_ms {
            Some(ms) => format!("in about {ms} ms"),
            None => "in a time that nobody measured yet".to_owned(),
        };
        let warm = if readiness.warm {
            "; it stands warm"
        } else {
            "; it has to be started"
        };
        lines.push(format!("{scope}: yes, back to {goal} {time}{warm}"));
    } else {
        lines.push(format!("{scope}: no (goal: {goal})"));
    }
    lines.extend(
        readiness
            .reasons
            .iter()
            .map(|why| format!("  {}", printable(why))),
    );
    for skipped in &readiness.skipped {
        lines.push(format!(
            "  passed over: release {}, {}",
            skipped.release,
            printable(&skipped.why)
        ));
    }
    lines.join("\n")
}
