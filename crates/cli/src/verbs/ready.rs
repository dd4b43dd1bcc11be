//! `belay ready`: whether going back would work right now. Changes nothing; its exit code is a gate.

use crate::args::{Ready, Require};
use crate::cx::Cx;
use crate::exit::{Exit, Failure};
use crate::output::table::printable;
use crate::output::time::{ago, length};
use crate::output::{Report, json};
use belay_model::id::ReleaseNumber;
use belay_runtime::{Light, Measured, Readiness};
use serde_json::json;

pub(crate) async fn run(cx: &Cx, args: &Ready) -> Result<Report, Failure> {
    let belay = cx.open().await?;
    let scope = cx.scope(&belay, &args.place).await?;
    let readiness = belay.ready(&scope, args.to.map(ReleaseNumber)).await?;
    let report = Report::new(
        text(&readiness),
        json!({ "ready": json::readiness(&readiness) }),
    );
    let required = match args.require {
        Require::Ready => Light::Green,
        Require::Possible => Light::Yellow,
    };
    let failure = (readiness.light < required).then(|| {
        let message = match readiness.light {
            Light::Red => format!("{scope} cannot go back right now"),
            _ => format!("{scope} can go back, and does not stand ready for it"),
        };
        Failure::new(Exit::Blocked, "E0313", message).next("belay rollback --plan")
    });
    Ok(report.failing(failure))
}

fn text(readiness: &Readiness) -> String {
    let scope = &readiness.scope;
    let goal = readiness.goal.as_deref().unwrap_or("nothing good");
    let mut lines = Vec::new();
    if readiness.ready {
        let time = match readiness.predicted_ms {
            Some(ms) => {
                let how = match readiness.measured {
                    Some(Measured::WayBack) => ", as the last time",
                    Some(Measured::Rollout) => ", as its pods took going forward",
                    None => "",
                };
                let us = i64::try_from(ms).unwrap_or(i64::MAX / 1000) * 1000;
                format!("in about {}{how}", length(us))
            }
            None => "in a time that nobody measured yet".to_owned(),
        };
        let warm = if readiness.warm {
            "; it stands warm"
        } else {
            "; it has to be started"
        };
        let light = match readiness.light {
            Light::Green => "green",
            _ => "yellow",
        };
        lines.push(format!("{scope}: {light}, back to {goal} {time}{warm}"));
        lines.push(match readiness.good_at_us {
            Some(at_us) => format!(
                "  known to be good since {}",
                ago(at_us, readiness.looked_at_us)
            ),
            None => "  never seen to be good here".to_owned(),
        });
    } else {
        lines.push(format!("{scope}: red (goal: {goal})"));
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
