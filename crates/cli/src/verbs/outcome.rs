//! What a deployment came to, in words: what happened, what state the world is in, what to do next.

use crate::exit::{Exit, Failure};
use crate::output::table::{printable, table};
use crate::output::time::{length, now_us, offset_ms};
use crate::output::{Report, json};
use belay_model::environment::Standing;
use belay_model::event::{Ask, Outcome, RollbackResult};
use belay_model::id::{ReleaseNumber, Scope};
use belay_model::summary::{Phase, Summary, Timeline};
use belay_runtime::Belay;

/// The report of a deployment that is not followed any more.
pub(crate) async fn report(belay: &Belay, summary: &Summary) -> Result<Report, Failure> {
    let bad = quarantined(belay, summary).await?;
    let mut json = serde_json::json!({ "deployment": json::deployment(summary) });
    json["quarantined"] = serde_json::json!(bad);
    let mut text = sentence(summary);
    if summary.outcome == Some(Outcome::Succeeded) {
        let stays = summary.remarks.iter();
        for line in stays.filter(|line| line.starts_with("stays behind: ")) {
            text = format!("{text}\n  {}", printable(line));
        }
    }
    for line in &summary.ignored {
        text = format!("{text}\n  although: {}", printable(line));
    }
    let times = timeline(&summary.timeline);
    if !times.is_empty() {
        text = format!("{text}\n\n{times}");
    }
    Ok(Report::new(text, json).failing(failure(summary, &bad)))
}

/// Where it stands, in one line.
pub(crate) fn sentence(summary: &Summary) -> String {
    let (scope, id) = (&summary.scope, &summary.id);
    let to = goal(summary);
    let took = length(summary.ended_us.unwrap_or_else(now_us) - summary.created_us);
    match (&summary.outcome, summary.phase) {
        (Some(Outcome::Succeeded), _) if summary.kind == "deploy" => {
            let bake = if is_cut_short(summary) {
                "its bake was cut short"
            } else {
                "baked"
            };
            let but = match summary.ignored.len() {
                0 => "",
                _ => ", and not all of it was done",
            };
            format!("{scope}: {to} serves, {bake}{but} ({id}, {took})")
        }
        (Some(Outcome::Succeeded), _) => format!("{scope}: back to {to} ({id}, {took})"),
        (Some(Outcome::Failed { .. }), _) => format!("{scope}: {to} failed ({id}, {took})"),
        (Some(Outcome::Stopped), _) if summary.superseded_by.is_some() => {
            let by = summary.superseded_by.as_ref();
            let by = by.map_or_else(String::new, ToString::to_string);
            format!("{scope}: {to} made way for the hotfix {by} ({id}, {took})")
        }
        (Some(Outcome::Stopped), _) => format!("{scope}: {to} was left as it is ({id}, {took})"),
        (Some(Outcome::Replaced { by }), _) => {
            format!("{scope}: {to} was not put out: {by} took its place ({id}, {took})")
        }
        (None, Phase::NeedsOperator) => format!("{scope}: {to} waits for a person ({id})"),
        (None, Phase::Baking) => format!("{scope}: {to} serves, bakes ({id}, {took})"),
        (None, phase) => format!("{scope}: {to} is {phase} ({id}, {took})"),
    }
}

/// Someone did not want to wait for the end of its bake.
fn is_cut_short(summary: &Summary) -> bool {
    let promoted_us = summary.promoted_us.unwrap_or(i64::MAX);
    let mut said = summary.said.iter();
    said.any(|said| said.ask == Ask::Advance && said.at_us >= promoted_us)
}

fn goal(summary: &Summary) -> String {
    match (&summary.release, &summary.back_to) {
        (Some(release), _) => format!("release {release}"),
        (None, Some(back_to)) => back_to.clone(),
        (None, None) => "what was there before".to_owned(),
    }
}

fn failure(summary: &Summary, bad: &[ReleaseNumber]) -> Option<Failure> {
    let id = &summary.id;
    let cause = summary.cause.clone().or_else(|| {
        summary
            .failure
            .as_ref()
            .map(|failure| format!("failed to {}", failure.message))
    });
    let because = cause.map_or_else(String::new, |cause| format!(": {cause}"));
    let what = goal(summary);
    let exit = Exit::of(summary);
    let failure = match exit {
        Exit::RolledBack => {
            let state = match &summary.back_to {
                Some(back_to) => format!("{} is as before: {back_to}", summary.scope),
                None => format!("{}: nothing was changed", summary.scope),
            };
            let failure = Failure::new(exit, "E0310", format!("{what} is not in place{because}"));
            failure.detail([state])
        }
        Exit::Incomplete => {
            let failure = Failure::new(exit, "E0311", format!("{what} is not in place{because}"));
            let is_left = matches!(
                &summary.outcome,
                Some(Outcome::Failed { rollback, .. }) if *rollback == RollbackResult::Limited
            );
            let by_phase = summary.back_to.as_ref().filter(|_| is_left);
            if let Some(back_to) = by_phase {
                let scope = &summary.scope;
                failure
                    .detail([
                        format!("{scope}: back to {back_to}"),
                        "earlier phases stay, as `on_failure: roll_back_phase` says".to_owned(),
                    ])
                    .next("belay status")
                    .next(format!(
                        "belay rollback --undo {id}    take back the rest, too"
                    ))
            } else if is_left {
                let undo = format!("belay rollback --undo {id}    remove it");
                failure.next("belay status").next(undo)
            } else {
                let state = "it was not, or not completely, rolled back".to_owned();
                failure.detail([state]).next("belay status")
            }
        }
        Exit::Blocked => {
            let Some(Outcome::Replaced { by }) = &summary.outcome else {
                return None;
            };
            let message = format!("{what} was not put out: {by} was asked for meanwhile");
            let failure = Failure::new(exit, "E0240", message);
            let state = "it had changed nothing".to_owned();
            let failure = failure.detail([state]);
            return Some(failure.next(format!("belay watch {by}    follow the newer one")));
        }
        Exit::NeedsOperator => {
            let why = summary.stuck.as_deref().unwrap_or("it cannot go on");
            let failure = Failure::new(exit, "E0312", format!("{id} waits for a person: {why}"));
            return Some(
                failure
                    .detail(["it keeps its lock: nothing else is deployed there".to_owned()])
                    .next(format!(
                        "belay retry {id}                   try the step again"
                    ))
                    .next(format!(
                        "belay skip {id} --reason TEXT      go on without it"
                    ))
                    .next(format!(
                        "belay abandon {id} --reason TEXT   end it as it is"
                    ))
                    .next(format!("{}   go back", back_command(&summary.scope))),
            );
        }
        _ => return None,
    };
    let residue = match &summary.outcome {
        Some(Outcome::Failed { residue, .. }) => residue.as_slice(),
        _ => &[],
    };
    let lines = residue.iter().map(|line| format!("left: {line}"));
    let seen = summary.failure.iter().flat_map(|failure| &failure.detail);
    let mut failure = failure
        .detail(lines)
        .detail(seen.map(|line| format!("| {line}")));
    failure = failure.next(format!(
        "belay history --events {id}    what happened, entry by entry"
    ));
    for release in bad {
        failure = failure.next(format!(
            "belay release lift {release} {} -e {} --reason TEXT    it is quarantined: refused until lifted",
            summary.scope.service, summary.scope.environment
        ));
    }
    Some(failure)
}

/// What a person types to go back there.
pub(crate) fn back_command(scope: &Scope) -> String {
    format!("belay rollback {} -e {}", scope.service, scope.environment)
}

/// Releases that this deployment put in quarantine and that still are.
pub(crate) async fn quarantined(
    belay: &Belay,
    summary: &Summary,
) -> Result<Vec<ReleaseNumber>, Failure> {
    let releases = belay.releases(&summary.scope.service).await?;
    let bad = releases.iter().filter(|info| {
        info.standings.iter().any(|(environment, known)| {
            *environment == summary.scope.environment
                && known.standing == Standing::Quarantined
                && known.deployment.as_ref() == Some(&summary.id)
        })
    });
    Ok(bad.map(|info| info.release.number).collect())
}

/// The way back, measured from the verdict or command (t1). Empty if there was none.
pub(crate) fn timeline(timeline: &Timeline) -> String {
    let Some(t1) = timeline.t1 else {
        return String::new();
    };
    let times = [
        ("t0", timeline.t0, "first bad request"),
        ("t1", timeline.t1, "verdict or command"),
        ("t2", timeline.t2, "plan ready"),
        ("t3", timeline.t3, "first request on the old release"),
        ("t4", timeline.t4, "all new requests on it"),
        ("t5", timeline.t5, "capacity converged"),
        ("t6", timeline.t6, "verified"),
        ("t7", timeline.t7, "bad release gone"),
    ];
    let rows = times.into_iter().filter_map(|(name, at, meaning)| {
        let at = offset_ms(t1, at?);
        Some([name.to_owned(), at, meaning.to_owned()])
    });
    table(["TIME", "FROM T1", "WHAT"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_back_is_shown_from_t1() {
        let times = Timeline {
            t0: Some(1_000_000),
            t1: Some(2_000_000),
            t4: Some(2_004_500),
            ..Timeline::default()
        };
        let expect = "TIME  FROM T1   WHAT\n\
                      t0    -1000 ms  first bad request\n\
                      t1    +0.0 ms   verdict or command\n\
                      t4    +4.5 ms   all new requests on it";
        assert_eq!(timeline(&times), expect);
        assert_eq!(timeline(&Timeline::default()), "");
    }
}
