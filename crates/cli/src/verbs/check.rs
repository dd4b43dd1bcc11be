//! `belay check`: says what is wrong with belay.yaml. Opens no store and changes nothing.

use crate::args::Check;
use crate::cx::Cx;
use crate::exit::Failure;
use crate::output::Report;
use belay_runtime::Unprobed;
use serde_json::{Value, json};

pub(crate) async fn run(cx: &Cx, args: &Check) -> Result<Report, Failure> {
    let loaded = match cx.load_or_found()? {
        Ok(loaded) => loaded,
        Err(found) => return Ok(report(found)),
    };
    let found = loaded.check(args.env.as_deref());
    if !found.is_empty() {
        return Ok(report(found));
    }
    let environments: Vec<_> = loaded.config.environments.keys().collect();
    let names: Vec<_> = environments.iter().map(|name| name.as_str()).collect();
    let unprobed = belay_runtime::unprobed(&loaded).await;
    let mut text = format!(
        "{}: no problems; service {}, {}",
        loaded.path.display(),
        loaded.config.service,
        names.join(", ")
    );
    let json = json!({
        "file": loaded.path,
        "service": loaded.config.service,
        "environments": environments,
        "problems": [],
        "unprobed": unprobed.iter().map(offer).collect::<Vec<_>>(),
    });
    for it in &unprobed {
        text += &format!(
            "\nnote: nobody asks container {} of {} whether it is well; with this below it, its pods are sent traffic only while they are:",
            it.container, it.workload
        );
        for line in it.template.lines() {
            text += &format!("\n    {line}");
        }
    }
    Ok(Report::new(text, json))
}

fn offer(it: &Unprobed) -> Value {
    json!({ "workload": it.workload, "container": it.container, "template": it.template })
}

fn report(found: Vec<belay_runtime::config::Diagnostic>) -> Report {
    let json = json!({ "problems": found });
    let failure = Failure::from(belay_runtime::Error::Configuration(found));
    Report::new("", json).failing(Some(failure))
}
