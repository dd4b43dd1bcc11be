//! `belay check`: says what is wrong with belay.yaml. Opens no store and changes nothing.

use crate::args::Check;
use crate::cx::Cx;
use crate::exit::Failure;
use crate::output::Report;
use serde_json::json;

pub(crate) fn run(cx: &Cx, args: &Check) -> Result<Report, Failure> {
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
    let text = format!(
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
    });
    Ok(Report::new(text, json))
}

fn report(found: Vec<belay_runtime::config::Diagnostic>) -> Report {
    let json = json!({ "problems": found });
    let failure = Failure::from(belay_runtime::Error::Configuration(found));
    Report::new("", json).failing(Some(failure))
}
