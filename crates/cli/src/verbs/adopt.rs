//! `belay adopt`: the configuration of what runs. Opens no store.

use crate::args::Adopt;
use crate::cx::{Cx, parsed, variables};
use crate::exit::Failure;
use crate::output::Report;
use crate::output::table::printable;
use belay_runtime::uri::Adoption;
use serde_json::json;

pub(crate) async fn run(_: &Cx, args: Adopt) -> Result<Report, Failure> {
    let adoption = Adoption {
        uri: parsed(&args.uri)?,
        service: args.service,
        environment: args.env,
        directory: args.to,
        env: variables(),
    };
    let adopted = adoption.write().await?;
    let files = adopted.files.iter();
    let mut lines: Vec<String> = files
        .map(|file| format!("wrote {}", file.display()))
        .collect();
    let notes = adopted.notes.iter();
    lines.extend(notes.map(|note| format!("note: {}", printable(note))));
    lines.push(format!(
        "next: `belay plan -e {0}` says that nothing is to be done, and `belay deploy -e {0}` takes it over",
        adopted.environment
    ));
    let json = json!({
        "service": adopted.service, "environment": adopted.environment, "files": adopted.files, "notes": adopted.notes,
    });
    Ok(Report::new(lines.join("\n"), json))
}
