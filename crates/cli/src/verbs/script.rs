//! A plan as a script.

use crate::exit::{Exit, Failure};
use crate::output::Report;
use crate::output::table::printable;
use belay_runtime::Script;
use serde_json::json;

/// The script alone, so that it can be kept in a file; where a step has no plain commands there is none.
pub(crate) fn report(script: &Script, what: &str) -> Report {
    let json = json!({ "script": script.text, "missing": script.missing });
    if script.missing.is_empty() {
        return Report::new(script.text.trim_end(), json);
    }
    let missing = script.missing.iter();
    let detail = missing.map(|title| format!("no plain commands: {}", printable(title)));
    let failure = Failure {
        detail: detail.collect(),
        ..Failure::new(
            Exit::Usage,
            "E0325",
            format!("failed to write the {what} as a script: only Belay can do some of its steps"),
        )
    };
    Report::new("", json).failing(Some(failure.next("leave `--as` out to see the plan")))
}
