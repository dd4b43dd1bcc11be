use crate::support::*;
use belay_engine::ports::Question;
use belay_model::config::Check;
use belay_model::plan::Look;
use belay_model::verdict::Outcome::{Fail, Inconclusive, Pass};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::Notify;

fn listening(port: u16, look: Look, checks: Vec<Check>) -> Question {
    let mut question = question(look, checks);
    question.target.settings = json!({ "listen": format!("0.0.0.0:{port}") });
    question
}

#[tokio::test]
async fn live_checks_ask_the_address_of_the_service() {
    let (port, asked) = server(&[&answer("200 OK", "", "ok")]).await;
    let checks = vec![live(http("/health")), http("/staged-only")];
    for look in [Look::Live, Look::Bake] {
        let question = listening(port, look, checks.clone());
        let sentence = format!("`http /health` passed on bookstore/production (127.0.0.1:{port})");
        World::new().check(&question, Pass, &sentence).await;
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_hold_asks_again_and_again() {
    let good = answer("200 OK", "", "ok");
    let bad = answer("500 Oops", "", "");
    let (port, asked) = server(&[&good]).await;
    let world = World::new();
    let question = |port| Question {
        hold_ms: 10_000,
        ..listening(port, Look::Bake, vec![live(http("/"))])
    };
    let verdict = world.verify(&question(port)).await;
    assert_eq!((verdict.outcome, world.elapsed_ms()), (Pass, 10_000));
    assert_eq!(asked.load(Ordering::SeqCst), 6);
    assert_eq!(verdict.evidence["checks"][0]["seen"]["rounds"], 6);

    let (port, _) = server(&[&good, &good, &bad]).await;
    let world = World::new();
    let verdict = world.verify(&question(port)).await;
    assert_eq!((verdict.outcome, world.elapsed_ms()), (Fail, 4400));
}

#[tokio::test]
async fn a_fail_does_not_wait_for_the_others() {
    let (port, asked) = server(&[&answer("500 Oops", "", "")]).await;
    // The counters answer nothing before the page has failed, so time stands still until then.
    let world = World::gated(Some(Arc::new(Notify::new())), |_| unreachable!());
    let question = listening(port, Look::Live, vec![traffic(), live(http("/"))]);
    let question = Question {
        hold_ms: 600_000,
        ..question
    };
    // What dates the first bad request hangs as well, and is not waited for.
    let verdict = world.verify(&question).await;
    assert_eq!((verdict.outcome, verdict.check.as_str()), (Fail, "http /"));
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    assert_eq!(verdict.first_bad_us, None);
    let checks = &verdict.evidence["checks"];
    assert_eq!(checks[0]["check"], "http /");
    assert_eq!(
        checks[1],
        json!({ "check": "traffic", "outcome": "unfinished" })
    );
}

#[tokio::test]
async fn a_failed_page_is_dated_by_the_proxy() {
    let (port, _) = server(&[&answer("500 Oops", "", "")]).await;
    let first_us = START * SECOND_US + 7;
    let world = World::counting(move |now_us| {
        let mut reading = reading(now_us, &[]);
        // The group's name has the address in it.
        let question = listening(port, Look::Live, vec![]);
        let group = question.record.group();
        reading.first_error_us.insert(group, first_us);
        Ok(reading)
    });
    let verdict = world
        .verify(&listening(port, Look::Live, vec![live(http("/"))]))
        .await;
    assert_eq!(
        (verdict.outcome, verdict.first_bad_us),
        (Fail, Some(first_us))
    );
}

fn command(script: &str) -> Check {
    Check {
        name: Some(script.to_owned()),
        command: Some(format!("sh -c '{script}'").parse().unwrap()),
        ..Check::default()
    }
}

#[tokio::test]
async fn the_worst_answer_decides() {
    let verdict = async |scripts: &[&str]| {
        let checks = scripts.iter().map(|script| command(script)).collect();
        World::new().verify(&staged(checks, &[1])).await
    };
    let both = verdict(&["true", "exit 75"]).await;
    assert_eq!(
        (both.outcome, both.check.as_str()),
        (Inconclusive, "exit 75")
    );
    let all = verdict(&["exit 75", "exit 1", "true"]).await;
    assert_eq!((all.outcome, all.check.as_str()), (Fail, "exit 1"));
    let good = verdict(&["true", "true"]).await;
    assert_eq!((good.outcome, good.check.as_str()), (Pass, "all checks"));
    let on = "on instance i1 of release 2 (127.0.0.1:1)";
    assert_eq!(
        good.sentence,
        format!("all 2 checks pass: `true` passed {on}; `true (2)` passed {on}")
    );
}

#[tokio::test]
async fn without_an_address_there_is_no_pass() {
    let mut question = listening(1, Look::Live, vec![live(http("/"))]);
    question.target.settings = json!({});
    let sentence =
        "`http /` cannot be checked: bookstore/production has no address that could be asked";
    World::new().check(&question, Inconclusive, sentence).await;
}

/// Release 2 takes no traffic, and its instance is healthy.
fn worker(look: Look, checks: Vec<Check>) -> Question {
    let mut question = question(look, checks);
    question.target.settings = json!({});
    let mut group = group(&[4001]);
    group.spec = json!({ "traffic": false });
    let key = format!("group/{}", question.record.group());
    question.state.resources.insert(key, group);
    question
}

#[tokio::test]
async fn a_live_command_of_workers_is_told_each_instance() {
    let question = worker(Look::Live, vec![live(command("test $BELAY_ADDRESS"))]);
    let on = "on instance i1 of release 2 (127.0.0.1:4001)";
    let sentence = format!("`test $BELAY_ADDRESS` passed {on}");
    World::new().check(&question, Pass, &sentence).await;
}

/// Going back to workers from a release that had an address: its checks are none of theirs.
#[tokio::test]
async fn checks_that_need_an_address_are_not_asked_of_workers() {
    let checks = vec![
        live(http("/")),
        live(Check {
            tcp: Some(true),
            ..Check::default()
        }),
        traffic(),
    ];
    let world = World::counting(|_| Err("nobody may ask".to_owned()));
    let sentence = "readiness is the only evidence: the instance of release 2 is ready";
    for look in [Look::Live, Look::Bake] {
        let question = worker(look, checks.clone());
        world.check(&question, Pass, sentence).await;
    }
    let lines = world.notes.lines.lock().unwrap().join("\n");
    let said = "`http /` is not asked: release 2 takes no traffic";
    assert!(lines.contains(said), "{lines}");
}
