//! What is said when there is nothing to check: the platform's own word that the instances are ready, named as the only
//! evidence. It is as old as the state in the question: nothing is asked here.

use crate::answer::Answer;
use crate::watch::Watch;
use belay_model::state::{Health, ROUTE, Resource, State};
use belay_model::verdict::Outcome;
use serde_json::json;

/// What the platform says of the release: of its group; where releases have none, as one takes the place of the other, of all
/// that is there, but for what says itself that it is of another group. With the number of instances where it is told; none:
/// there is nothing.
fn ready(state: &State, group: &str) -> Option<(Health, Option<usize>)> {
    if let Some(group) = state.resources.get(&format!("group/{group}")) {
        let count = group.facts["instances"].as_array().map(Vec::len);
        return Some((group.health.clone(), count));
    }
    let is_own = |it: &Resource| it.facts["group"] == group;
    let stands_beside = state.resources.values().any(is_own);
    let counts = |it: &Resource| match stands_beside {
        true => is_own(it),
        false => it.facts["group"].is_null(),
    };
    let mut own = state.clone();
    own.resources.retain(|key, it| key != ROUTE && counts(it));
    let mut told = own
        .resources
        .values()
        .filter(|it| it.health != Health::Unknown);
    let has_groups = state.resources.keys().any(|key| key.starts_with("group/"));
    if has_groups || told.next().is_none() {
        return None;
    }
    let health = match own.unhealthy() {
        lines if lines.is_empty() => Health::Healthy,
        lines => Health::Unhealthy(lines.join("; ")),
    };
    Some((health, None))
}

/// Passes only if the group is known to be healthy, and only when the hold is over.
pub(crate) async fn readiness(watch: &Watch<'_>) -> Answer {
    let record = &watch.question.record;
    let release = record.title();
    let key = format!("group/{}", record.group());
    let (health, count) = match ready(&watch.question.state, &record.group()) {
        Some((health, count)) => (Some(health), count),
        None => (None, None),
    };
    let (outcome, sentence) = match (&health, count) {
        (Some(Health::Healthy), Some(0)) | (None, _) => {
            (Outcome::Fail, format!("{release} has no instances"))
        }
        (Some(Health::Healthy), count) => {
            while watch.left_ms() > 0 {
                watch.clock.sleep_ms(watch.left_ms().min(2000)).await;
            }
            let ready = match count {
                Some(1) => format!("the instance of {release} is ready"),
                Some(count) => format!("all {count} instances of {release} are ready"),
                None => format!("{release} is ready"),
            };
            let sentence = format!("readiness is the only evidence: {ready}");
            (Outcome::Pass, sentence)
        }
        (Some(Health::Unhealthy(why)), _) => {
            (Outcome::Fail, format!("{release} is not ready: {why}"))
        }
        (Some(Health::Unknown), _) => {
            let sentence = format!("whether {release} is ready is not known");
            (Outcome::Fail, sentence)
        }
    };
    Answer {
        check: "readiness".to_owned(),
        kind: "readiness",
        outcome,
        sentence,
        seen: json!({ "group": key, "health": health, "instances": count }),
        first_bad_us: None,
    }
}
