//! `belay history URI`: the platform's own versions of what Belay may never have deployed.

use crate::cx::{Cx, variables};
use crate::exit::Failure;
use crate::output::table::{printable, table};
use crate::output::time::moment;
use crate::output::{Report, json};
use belay_runtime::uri::Uri;
use belay_runtime::{Availability, Revision};
use serde_json::{Value, json};

pub(crate) async fn run(cx: &Cx, uri: &Uri, limit: usize) -> Result<Report, Failure> {
    let belay = match cx.has_store() {
        true => Some(cx.open_alone().await?),
        false => None,
    };
    let history = uri.history(belay.as_ref(), &variables()).await?;
    let shown = || history.revisions.iter().take(limit);
    let json = json!({
        "uri": uri.to_string(),
        "target": history.target,
        "revisions": shown().map(revision).collect::<Value>(),
    });
    let head = [
        "REVISION",
        "WHEN",
        "IMAGES",
        "AVAILABLE",
        "CHANGE CAUSE",
        "HOW IT IS KNOWN",
    ];
    let mut text = table(head, shown().map(row));
    if let Some(target) = &history.target {
        text += &format!("\n\nBelay deploys it, as {}", printable(target));
    }
    Ok(Report::new(text, json))
}

fn word(availability: &Availability) -> &'static str {
    match availability {
        Availability::Yes(_) => "yes",
        Availability::No(_) => "no",
        Availability::Unknown(_) => "unknown",
    }
}

fn row(revision: &Revision) -> [String; 6] {
    let dash = || "-".to_owned();
    let number = revision
        .number
        .map_or_else(|| revision.name.clone(), |it| it.to_string());
    let now = if revision.is_current { " (now)" } else { "" };
    [
        format!("{number}{now}"),
        revision.since_us.map_or_else(dash, moment),
        printable(&revision.images.join(", ")),
        word(&revision.availability).to_owned(),
        revision.cause.as_deref().map_or_else(dash, printable),
        printable(revision.availability.why()),
    ]
}

fn revision(revision: &Revision) -> Value {
    json!({
        "revision": revision.number,
        "name": revision.name,
        "at": json::at(revision.since_us),
        "images": revision.images,
        "change_cause": revision.cause,
        "current": revision.is_current,
        "available": word(&revision.availability),
        "evidence": revision.availability.why(),
    })
}
