//! `belay plan`: what deploy would do, and the way back. Changes nothing.

use crate::args::Plan;
use crate::cx::Cx;
use crate::exit::Failure;
use crate::output::steps::{stays, steps};
use crate::output::table::printable;
use crate::output::{Report, json};
use crate::verbs::{deploy, script};
use belay_runtime::DeployPlan;
use serde_json::{Value, json};

pub(crate) async fn run(cx: &Cx, args: Plan) -> Result<Report, Failure> {
    let mut request = deploy::request(cx, &args.place, args.what, None)?;
    request.hotfix = args.hotfix;
    let belay = cx.open_or_make().await?;
    let plan = belay.plan(&request).await?;
    if args.shell.is_some() {
        return Ok(script::report(&plan.script, "plan"));
    }
    Ok(Report::new(text(&plan), json(&plan)))
}

/// No step has an effect: it is there, and what remains is to look at it and to write it down.
fn changes_nothing(plan: &DeployPlan) -> bool {
    plan.steps.iter().all(|step| step.wave.is_none())
}

/// What deploying or promoting would do, as a document.
pub(crate) fn json(plan: &DeployPlan) -> Value {
    let (service, environment) = json::scope(&plan.scope);
    json!({ "plan": {
        "service": service,
        "environment": environment,
        "release": plan.release,
        "promoted_from": plan.promoted_from,
        "artifact": plan.artifact,
        "nothing_to_do": plan.nothing_to_do,
        "changes_nothing": changes_nothing(plan),
        "steps": json::steps(&plan.steps),
        "back_to": plan.back_to,
        "back_steps": json::steps(&plan.back_steps),
        "residue": plan.residue,
        "behind": plan.behind,
        "remarks": plan.remarks,
    }})
}

/// The same for people.
pub(crate) fn text(plan: &DeployPlan) -> String {
    let release = match plan.release {
        Some(release) => format!("release {release}"),
        None => "a new release".to_owned(),
    };
    // As much of the digest as people compare; the JSON has it whole.
    let artifact: String = plan.artifact.as_str().chars().take(19).collect();
    let from = plan.promoted_from.as_ref();
    let from = from.map_or_else(String::new, |from| format!(", promoted from {from}"));
    let mut lines = vec![format!("{}: {release} ({artifact}){from}", plan.scope)];
    if plan.nothing_to_do {
        lines.push("  it serves already: nothing would be done".to_owned());
    } else if changes_nothing(plan) {
        lines.push("  nothing to do there: what runs is this release already".to_owned());
    }
    lines.extend(steps(2, &plan.steps));
    lines.push(format!("the way back: {}", plan.back_to));
    lines.extend(steps(2, &plan.back_steps));
    lines.extend(stays(&plan.residue));
    lines.extend(plan.behind.iter().map(|id| format!("waits for {id}")));
    lines.extend(
        plan.remarks
            .iter()
            .map(|remark| format!("note: {}", printable(remark))),
    );
    lines.join("\n")
}
