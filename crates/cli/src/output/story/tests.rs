//! News in, lines out.

use super::*;
use belay_model::error::{Class, Effect as Changed, Failure};
use belay_model::plan::{Action, Effect, Look, Phase, Verb, Wave};
use belay_model::state::{Goal, States};
use serde_json::Value;

fn effect(title: &str, promotes: bool) -> Step {
    let effect = Effect {
        verb: Verb::Stage,
        wave: Wave::Grow,
        title: title.to_owned(),
        params: Value::Null,
        records: Vec::new(),
        idempotent: true,
        residue: None,
    };
    Step {
        promotes,
        ..Step::of(Action::Effect(effect))
    }
}

fn goal(title: &str) -> Box<Goal> {
    Box::new(Goal {
        want: States::default(),
        records: BTreeMap::new(),
        title: title.to_owned(),
        record: None,
    })
}

fn planned() -> Event {
    let verify = Action::Verify {
        look: Look::Live,
        checks: Vec::new(),
        hold_ms: 0,
    };
    let steps = vec![
        effect("stage 2 instances of release 2", false),
        Step::of(verify),
        effect("send all traffic to release 2", true),
    ];
    let phases = vec![Phase {
        name: "t".to_owned(),
        target: Some("t".to_owned()),
        after: Vec::new(),
        steps,
    }];
    Event::Planned {
        plan: Plan::of(phases),
        baseline: States::default(),
        baseline_goal: goal("release 1 (as it was before)"),
        goal: goal("release 2"),
        takes_over: None,
        remarks: Vec::new(),
    }
}

fn started(index: u16) -> Event {
    Event::Started {
        step: StepId { plan: 0, index },
        attempt: 1,
        fingerprint: String::new(),
        before: None,
    }
}

fn finished(index: u16, finish: Finish) -> Event {
    let step = StepId { plan: 0, index };
    Event::Finished {
        step,
        attempt: 1,
        finish,
        state: None,
        times: BTreeMap::new(),
    }
}

fn verified(index: u16, outcome: Outcome) -> Event {
    let verdict = Verdict {
        outcome,
        check: "traffic".to_owned(),
        sentence: "no errors in 40 requests".to_owned(),
        evidence: Value::Null,
        first_bad_us: None,
    };
    Event::Verified {
        step: StepId { plan: 0, index },
        verdict,
    }
}

/// Events a second apart, with lines between them, against what is told, one line each.
fn check(events: Vec<Event>, lines: &[(i64, &str)], expect: &[&str]) {
    let entries: Vec<_> = (1..)
        .zip(events)
        .map(|(seq, event)| Entry {
            seq,
            at_us: seq as i64 * 1_000_000,
            format: 1,
            event,
        })
        .collect();
    let lines: Vec<_> = lines
        .iter()
        .map(|(at_us, text)| Line {
            at_us: *at_us,
            text: (*text).to_owned(),
        })
        .collect();
    let told = Story::default().tell(&entries, &lines);
    let told: Vec<_> = told
        .into_iter()
        .map(|say| match say {
            Say::Note(text) => text,
            Say::Begin { title, .. } => format!("> {title}"),
            Say::Detail(text) => format!("  {text}"),
            Say::End { mark, text, .. } => format!("{} {text}", mark.sign()),
        })
        .collect();
    assert_eq!(told, expect);
}

#[test]
fn a_step_and_its_lines() {
    check(
        vec![planned(), started(0), finished(0, Finish::Done)],
        &[
            (2_100_000, "1 of 2 ready"),
            (2_200_000, "1 of 2 ready"),
            (2_300_000, "2 of 2 ready"),
        ],
        &[
            "3 steps to release 2; the way back: release 1 (as it was before)",
            "> stage 2 instances of release 2",
            "  1 of 2 ready",
            "  2 of 2 ready",
            "✓ stage 2 instances of release 2 (1.0 s)",
        ],
    );
}

#[test]
fn a_verification_is_told_once() {
    check(
        vec![
            planned(),
            started(1),
            verified(1, Outcome::Pass),
            finished(1, Finish::Done),
        ],
        &[],
        &[
            "3 steps to release 2; the way back: release 1 (as it was before)",
            "> verify live (readiness only)",
            "✓ verify live (readiness only): no errors in 40 requests (1.0 s)",
        ],
    );
}

#[test]
fn inconclusive_does_not_look_like_pass() {
    check(
        vec![started(1), verified(1, Outcome::Inconclusive)],
        &[],
        &["> step 0.1", "? step 0.1: no errors in 40 requests (1.0 s)"],
    );
}

#[test]
fn a_failure_shows_what_was_seen() {
    let failure = Failure {
        class: Class::Application,
        effect: Changed::NotApplied,
        message: "start it".to_owned(),
        detail: vec!["no such \u{1b}file".to_owned()],
        retry_after_ms: None,
    };
    check(
        vec![planned(), started(0), finished(0, Finish::Failed(failure))],
        &[],
        &[
            "3 steps to release 2; the way back: release 1 (as it was before)",
            "> stage 2 instances of release 2",
            "✗ stage 2 instances of release 2: failed to start it (1.0 s)",
            "  | no such \u{fffd}file",
        ],
    );
}

#[test]
fn the_promotion_is_told() {
    check(
        vec![planned(), started(2), finished(2, Finish::Done)],
        &[],
        &[
            "3 steps to release 2; the way back: release 1 (as it was before)",
            "> send all traffic to release 2",
            "✓ send all traffic to release 2 (1.0 s)",
            "promoted",
        ],
    );
}
