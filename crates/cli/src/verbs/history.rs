//! `belay history`: deployments of a place, or the journal of one.

use crate::args::History;
use crate::cx::Cx;
use crate::exit::Failure;
use crate::output::story::{Say, Story};
use crate::output::table::{printable, table};
use crate::output::time::{length, moment};
use crate::output::{Report, json};
use crate::verbs::revisions;
use belay_model::event::{Entry, Event, Outcome, RollbackResult};
use belay_model::summary::Summary;
use belay_runtime::Belay;
use serde_json::{Value, json};

pub(crate) async fn run(cx: &Cx, args: &History) -> Result<Report, Failure> {
    if let Some(uri) = cx.uri(&args.place)? {
        return revisions::run(cx, &uri, args.limit).await;
    }
    let belay = cx.open().await?;
    if let Some(deployment) = &args.events {
        return events(&belay, deployment).await;
    }
    let scope = cx.scope(&belay, &args.place).await?;
    let history = belay.history(&scope, args.limit).await?;
    let json = json!({ "deployments": history.iter().map(json::deployment).collect::<Value>() });
    let text = table(
        [
            "DEPLOYMENT",
            "WHEN",
            "KIND",
            "RELEASE",
            "ENDED",
            "TOOK",
            "BY",
            "WHY",
        ],
        history.iter().map(row),
    );
    let text = if text.is_empty() {
        format!("{scope}: nothing was deployed yet")
    } else {
        text
    };
    Ok(Report::new(text, json))
}

fn row(summary: &Summary) -> [String; 8] {
    let dash = || "-".to_owned();
    let why = summary.cause.as_ref().or(summary.reason.as_ref());
    let trigger = summary.trigger.map(|trigger| format!(" ({trigger})"));
    let trigger = trigger.unwrap_or_default();
    [
        summary.id.to_string(),
        moment(summary.created_us),
        match &summary.promoted_from {
            Some(from) => format!("promotion from {from}"),
            None => summary.kind.clone(),
        },
        summary
            .release
            .map_or_else(dash, |release| release.to_string()),
        ended(summary),
        summary
            .ended_us
            .map_or_else(dash, |ended| length(ended - summary.created_us)),
        printable(&summary.actor),
        why.map_or_else(dash, |why| format!("{}{trigger}", printable(why))),
    ]
}

fn ended(summary: &Summary) -> String {
    match &summary.outcome {
        None => summary.phase.to_string(),
        Some(Outcome::Succeeded) if !summary.ignored.is_empty() => {
            format!("succeeded, {} ignored", summary.ignored.len())
        }
        Some(outcome) => meaning(outcome).to_owned(),
    }
}

fn meaning(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Stopped => "left as it was",
        Outcome::Replaced { .. } => "replaced",
        Outcome::Failed { rollback, .. } => match rollback {
            RollbackResult::None => "failed",
            RollbackResult::Complete => "failed, rolled back",
            RollbackResult::Limited => "failed, rolled back in part",
            RollbackResult::Incomplete => "failed, not all rolled back",
        },
    }
}

/// As far as the journal is written now.
async fn events(belay: &Belay, text: &str) -> Result<Report, Failure> {
    let id = belay.resolve_deployment(text).await?;
    let update = belay.follow(&id).next().await?;
    let entries = update.map(|update| update.entries).unwrap_or_default();
    let mut story = Story::default();
    let lines: Vec<_> = entries
        .iter()
        .map(|entry| line(entry, &mut story))
        .collect();
    let json = json!({ "id": id, "events": entries });
    Ok(Report::new(lines.join("\n"), json))
}

/// `3  2026-03-01 14:05:09Z  started           start 2 instances`: what it means; JSON has the whole fact.
fn line(entry: &Entry, story: &mut Story) -> String {
    let event = serde_json::to_value(&entry.event).unwrap_or_default();
    let name = match &event {
        Value::Object(object) => object.keys().next().map_or("", String::as_str),
        Value::String(name) => name,
        _ => "",
    };
    let says = story.tell(std::slice::from_ref(entry), &[]);
    let mut texts: Vec<_> = says.into_iter().map(text).collect();
    match &entry.event {
        Event::Claimed { owner, epoch } => {
            texts.push(format!("by {}, epoch {epoch}", printable(owner)));
        }
        Event::Ended { outcome, ignored } => {
            texts.push(meaning(outcome).to_owned());
            let ignored = ignored.iter();
            texts.extend(ignored.map(|line| format!("although: {}", printable(line))));
        }
        _ => {}
    }
    let line = format!(
        "{:>3}  {}  {name:<16}  {}",
        entry.seq,
        moment(entry.at_us),
        texts.join("; ")
    );
    line.trim_end().to_owned()
}

fn text(say: Say) -> String {
    match say {
        Say::Note(text) | Say::Detail(text) | Say::Begin { title: text, .. } => text,
        Say::End { mark, text, .. } => format!("{} {text}", mark.sign()),
    }
}
