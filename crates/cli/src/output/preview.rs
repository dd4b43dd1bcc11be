//! Where a rollback would lead, for people.

use crate::output::steps::{stays, steps};
use crate::output::table::printable;
use crate::output::time::moment;
use belay_model::environment::Standing;
use belay_runtime::{Restorability, RollbackPreview};

/// Where it leads.
pub(crate) fn text(preview: &RollbackPreview) -> String {
    let from = match preview.leaves {
        _ if preview.leaves_there.is_some() => preview.leaves_there.clone().unwrap_or_default(),
        Some(release) => format!("release {release}"),
        None => "nothing".to_owned(),
    };
    // The environment's own settings are no part of a release: the same one can be there with others.
    let settings = match &preview.record {
        Some(record) if preview.leaves.is_some() && preview.leaves == preview.release => {
            format!(
                " with the settings it had before (record {})",
                record.short()
            )
        }
        _ => String::new(),
    };
    let mut lines = vec![format!(
        "{}: from {from} back to {}{settings}",
        preview.scope, preview.goal
    )];
    if let Some(standing) = preview.standing {
        let since = preview.good_at_us.map_or_else(
            || ", never seen to be good here".to_owned(),
            |at| format!(", good at {}", moment(at)),
        );
        let bake = match standing {
            Standing::Good => " (its bake did not end)",
            _ => "",
        };
        lines.push(format!("  standing: {standing}{bake}{since}"));
    }
    if let Some(id) = &preview.signal_to {
        let to = match (&preview.record, preview.chosen) {
            (Some(_), true) => "there",
            _ => "to what was there before it",
        };
        lines.push(format!("  {id} is open: it is told to go back {to}"));
    }
    for queued in &preview.ends {
        let release = queued
            .release
            .map_or_else(String::new, |release| format!(" (release {release})"));
        lines.push(format!(
            "  {}{release} waits behind it: it ends, too, and nothing of it is begun",
            queued.id
        ));
    }
    for skipped in &preview.skipped {
        lines.push(format!(
            "  passed over: release {}, {}",
            skipped.release,
            printable(&skipped.why)
        ));
    }
    lines.extend(
        preview
            .passed_over
            .iter()
            .map(|line| format!("  passed over: {}", printable(line))),
    );
    lines.extend(steps(2, &preview.steps));
    lines.extend(stays(&preview.residue));
    match &preview.restorability {
        Restorability::Exact { millis: Some(ms) } => {
            lines.push(format!("  expected to take {ms} ms"))
        }
        Restorability::Exact { millis: None } => {}
        Restorability::Partial(missing) => {
            lines.extend(
                missing
                    .iter()
                    .map(|line| format!("  not restored: {}", printable(line))),
            );
        }
        Restorability::No(why) => {
            lines.extend(
                why.iter()
                    .map(|line| format!("  cannot be restored: {}", printable(line))),
            );
        }
    }
    if !preview.hands.is_empty() {
        let what = if preview.keeps_hands {
            "had been changed by hand; it goes back to it as it was then (`--accept drift` restores the record instead)"
        } else {
            "had been changed by hand; that is lost, as the release's record is restored"
        };
        lines.push(format!("  what was there before {what}:"));
        lines.extend(
            preview
                .hands
                .iter()
                .map(|line| format!("    {}", printable(line))),
        );
    }
    let more = [
        ("differs from today's belay.yaml", &preview.drift),
        ("secret", &preview.newer_secrets),
        ("note", &preview.remarks),
    ];
    for (what, found) in more {
        lines.extend(
            found
                .iter()
                .map(|line| format!("  {what}: {}", printable(line))),
        );
    }
    lines.join("\n")
}
