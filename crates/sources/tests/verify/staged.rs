use crate::support::*;
use belay_model::config::Check;
use belay_model::plan::Look;
use belay_model::state::{Health, Resource};
use belay_model::verdict::Outcome::{Fail, Inconclusive, Pass};
use serde_json::json;
use std::sync::atomic::Ordering;

#[tokio::test]
async fn every_instance_is_asked() {
    let good = answer("200 OK", "", "ok");
    let (one, asked_one) = server(&[&good]).await;
    let (two, asked_two) = server(&[&good]).await;
    let world = World::new();
    let question = staged(vec![http("/health")], &[one, two]);
    let verdict = world
        .check(&question, Pass, "`http /health` passed on all 2 instances")
        .await;
    assert_eq!(verdict.check, "http /health");
    let asked = [&asked_one, &asked_two].map(|count| count.load(Ordering::SeqCst));
    assert_eq!(asked, [1, 1]);
    assert_eq!(
        verdict.evidence["checks"][0]["seen"]["places"][1]["status"],
        200
    );
}

#[tokio::test]
async fn one_bad_instance_fails_the_release() {
    let (good, _) = server(&[&answer("200 OK", "", "ok")]).await;
    let (bad, asked) = server(&[&answer("500 Oops", "", "no shelf")]).await;
    let world = World::new();
    let question = staged(vec![http("/health")], &[good, bad]);
    let sentence = format!(
        "`http /health` failed on instance i2 of release 2 (127.0.0.1:{bad}): it answered with status 500 instead of \
         200 (3 tries)"
    );
    let verdict = world.check(&question, Fail, &sentence).await;
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    let place = &verdict.evidence["checks"][0]["seen"]["places"][1];
    assert_eq!(
        (&place["body"], &place["tries"]),
        (&json!("no shelf"), &json!(3))
    );
    assert_eq!(world.notes.lines.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_hiccup_is_no_verdict() {
    let good = answer("200 OK", "", "ok");
    let (port, asked) = server(&["", &answer("503 Wait", "", ""), &good]).await;
    let world = World::new();
    let verdict = world.verify(&staged(vec![http("/")], &[port])).await;
    assert_eq!(verdict.outcome, Pass, "{}", verdict.sentence);
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    assert_eq!(world.elapsed_ms(), 400);
}

async fn refused(check: Check, answer: &str, why: &str) {
    let (port, _) = server(&[answer]).await;
    let verdict = World::new()
        .verify(&staged(vec![check.clone()], &[port]))
        .await;
    if why.is_empty() {
        assert_eq!(verdict.outcome, Pass, "{check:?}: {}", verdict.sentence);
        return;
    }
    assert_eq!(verdict.outcome, Fail, "{check:?}: {}", verdict.sentence);
    let expect = format!("): {why} (3 tries)");
    assert!(verdict.sentence.ends_with(&expect), "{}", verdict.sentence);
}

fn json_check(place: &str, expect: serde_json::Value) -> Check {
    Check {
        json: [(place.to_owned(), expect)].into(),
        ..http("/health")
    }
}

#[tokio::test]
async fn an_answer_must_look_as_expected() {
    let body = r#"{"status":"ok","nodes":[{"state":"up"}]}"#;
    let good = answer("200 OK", "x-release: 2\r\n", body);
    let contains = |text: &str| Check {
        contains: Some(text.to_owned()),
        ..http("/")
    };
    refused(contains("\"ok\""), &good, "").await;
    refused(
        contains("fine"),
        &good,
        "its answer does not contain `fine`",
    )
    .await;
    let header = |name: &str, value: &str| Check {
        header: [(name.to_owned(), value.to_owned())].into(),
        ..http("/")
    };
    refused(header("X-Release", "2"), &good, "").await;
    refused(
        header("X-Release", "3"),
        &good,
        "the header `X-Release` is `2` instead of `3`",
    )
    .await;
    refused(
        header("X-Other", "3"),
        &good,
        "its answer has no header `X-Other`",
    )
    .await;
    refused(json_check("nodes[0].state", json!("up")), &good, "").await;
    refused(
        json_check("status", json!("bad")),
        &good,
        "`status` is \"ok\" instead of \"bad\"",
    )
    .await;
    refused(
        json_check("nodes[1]", json!("up")),
        &good,
        "its answer has no `nodes[1]`",
    )
    .await;
    let text = answer("200 OK", "", "ok");
    refused(
        json_check("status", json!("ok")),
        &text,
        "its answer is not JSON",
    )
    .await;
}

#[tokio::test]
async fn redirects_are_answers() {
    let moved = answer("302 Found", "location: /elsewhere\r\n", "");
    refused(
        http("/"),
        &moved,
        "it answered with status 302 instead of 200",
    )
    .await;
    let expected = Check {
        status: Some(302),
        ..http("/")
    };
    refused(expected, &moved, "").await;
}

#[tokio::test]
async fn a_body_is_read_up_to_a_limit() {
    let limit = 1024 * 1024;
    let body = |length: usize| answer("200 OK", "", &"x".repeat(length));
    let contains = Check {
        contains: Some("x".to_owned()),
        ..http("/")
    };
    refused(contains.clone(), &body(limit), "").await;
    refused(
        contains,
        &body(limit + 1),
        "its answer is larger than 1 MiB",
    )
    .await;
    // Whoever does not look at the body does not mind how long it is.
    refused(http("/"), &body(limit + 1), "").await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_refused() {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
    let (port, _) = server(&[half]).await;
    let verdict = World::new().verify(&staged(vec![http("/")], &[port])).await;
    assert_eq!(verdict.outcome, Fail);
    assert!(
        verdict.sentence.contains("its answer broke off"),
        "{}",
        verdict.sentence
    );
}

#[tokio::test]
async fn silence_ends_with_the_time_limit() {
    let (port, asked) = server(&[SILENCE]).await;
    let world = World::new();
    let check = Check {
        timeout: Some("3s".parse().unwrap()),
        ..http("/")
    };
    let question = staged(vec![check], &[port]);
    let turn_time = async {
        for tries in 1..=3 {
            while asked.load(Ordering::SeqCst) < tries {
                tokio::task::yield_now().await;
            }
            world.clock.advance_ms(3000);
        }
    };
    let (verdict, ()) = tokio::join!(world.verify(&question), turn_time);
    assert_eq!(verdict.outcome, Fail);
    assert!(
        verdict
            .sentence
            .ends_with("it did not answer within 3 s (3 tries)"),
        "{}",
        verdict.sentence
    );
}

#[tokio::test]
async fn tcp_asks_whether_the_port_is_open() {
    let tcp = Check {
        tcp: Some(true),
        ..Check::default()
    };
    let (open, _) = server(&["ignored"]).await;
    let world = World::new();
    let sentence = format!("`tcp` passed on instance i1 of release 2 (127.0.0.1:{open})");
    world
        .check(&staged(vec![tcp.clone()], &[open]), Pass, &sentence)
        .await;
    let closed = closed_port().await;
    let verdict = world.verify(&staged(vec![tcp], &[closed])).await;
    assert_eq!(verdict.outcome, Fail);
    assert!(
        verdict
            .sentence
            .contains("it accepts no connections (Connection refused"),
        "{}",
        verdict.sentence
    );
}

#[tokio::test]
async fn without_instances_there_is_no_pass() {
    let world = World::new();
    let none = "`http /` cannot be checked: release 2 has no instances to ask";
    world.check(&staged(vec![http("/")], &[]), Fail, none).await;
    world
        .check(&question(Look::Staged, vec![http("/")]), Fail, none)
        .await;
    let mut odd = staged(vec![http("/")], &[1]);
    for group in odd.state.resources.values_mut() {
        group.facts = json!({ "instances": [ { "id": "i1", "port": 70_000 } ] });
    }
    let unknown =
        "`http /` cannot be checked: the addresses of the instances of release 2 are not known";
    world.check(&odd, Inconclusive, unknown).await;
}

#[tokio::test]
async fn a_check_that_is_none_is_inconclusive() {
    let world = World::new();
    let sentence = "`http /` cannot be checked: `a..b` is no place in a JSON document";
    let check = Check {
        name: Some("http /".to_owned()),
        ..json_check("a..b", json!(1))
    };
    world
        .check(&staged(vec![check], &[1]), Inconclusive, sentence)
        .await;
    let both = Check {
        tcp: Some(true),
        ..http("/")
    };
    let verdict = world.verify(&staged(vec![both], &[1])).await;
    assert_eq!(verdict.outcome, Inconclusive);
}

#[tokio::test]
async fn without_checks_readiness_is_the_only_evidence() {
    let world = World::new();
    // A live check is none while the release is staged.
    let mut question = staged(vec![live(http("/")), traffic()], &[1, 2]);
    let sentence = "readiness is the only evidence: all 2 instances of release 2 are ready";
    let verdict = world.check(&question, Pass, sentence).await;
    assert_eq!(verdict.check, "readiness");
    question.hold_ms = 10_000;
    world.check(&question, Pass, sentence).await;
    assert_eq!(world.elapsed_ms(), 10_000);

    let key = question.state.resources.keys().next().unwrap().clone();
    let mut with = |health| {
        question.state.resources.get_mut(&key).unwrap().health = health;
        question.clone()
    };
    let why = Health::Unhealthy("1 of 2 instances ready".to_owned());
    world
        .check(
            &with(why),
            Fail,
            "release 2 is not ready: 1 of 2 instances ready",
        )
        .await;
    world
        .check(
            &with(Health::Unknown),
            Fail,
            "whether release 2 is ready is not known",
        )
        .await;
    question.state.resources.clear();
    world
        .check(&question, Fail, "release 2 has no instances")
        .await;
}

#[tokio::test]
async fn where_releases_take_each_others_place_all_that_is_there_has_to_be_ready() {
    let world = World::new();
    let mut question = question(Look::Live, Vec::new());
    let mut with = |parts: &[(&str, Health)]| {
        let part = |(key, health): &(&str, Health)| {
            let resource = Resource {
                health: health.clone(),
                ..Resource::default()
            };
            ((*key).to_owned(), resource)
        };
        question.state.resources = parts.iter().map(part).collect();
        question.clone()
    };
    let (api, web, config) = (
        "deployment.apps/api",
        "deployment.apps/web",
        "configmap/web",
    );
    let ready = "readiness is the only evidence: release 2 is ready";
    let whole = [
        (api, Health::Healthy),
        (web, Health::Healthy),
        (config, Health::Unknown),
    ];
    world.check(&with(&whole), Pass, ready).await;
    let sick = Health::Unhealthy("0 of 1 available".to_owned());
    let why = "release 2 is not ready: deployment.apps/web: 0 of 1 available";
    let parts = [(api, Health::Healthy), (web, sick)];
    world.check(&with(&parts), Fail, why).await;
    let none = "release 2 has no instances";
    world
        .check(&with(&[(config, Health::Unknown)]), Fail, none)
        .await;
    // Another one's group is not what was asked about.
    let other = [
        ("group/r1-other", Health::Healthy),
        ("route", Health::Healthy),
    ];
    world.check(&with(&other), Fail, none).await;
    world
        .check(&with(&[("route", Health::Healthy)]), Fail, none)
        .await;
}

#[tokio::test]
async fn where_releases_stand_side_by_side_only_ones_own_has_to_be_ready() {
    let world = World::new();
    let mut question = question(Look::Live, Vec::new());
    let own = question.record.group();
    let mut with = |parts: &[(&str, Option<&str>, Health)]| {
        let part = |(key, group, health): &(&str, Option<&str>, Health)| {
            let resource = Resource {
                facts: json!({ "group": group }),
                health: health.clone(),
                ..Resource::default()
            };
            ((*key).to_owned(), resource)
        };
        question.state.resources = parts.iter().map(part).collect();
        question.clone()
    };
    let sick = || Health::Unhealthy("0 of 1 available".to_owned());
    let (api, other) = ("deployment.apps/api", "deployment.apps/api-r1");
    let ready = "readiness is the only evidence: release 2 is ready";
    for group in [Some("r1"), None] {
        let both = [
            (api, Some(own.as_str()), Health::Healthy),
            (other, group, sick()),
        ];
        world.check(&with(&both), Pass, ready).await;
    }
    // Gone back to what is in no group.
    let both = [(api, None, Health::Healthy), (other, Some("r1"), sick())];
    world.check(&with(&both), Pass, ready).await;
    let why = "release 2 is not ready: deployment.apps/api: 0 of 1 available";
    let both = [
        (api, Some(own.as_str()), sick()),
        (other, Some("r1"), Health::Healthy),
    ];
    world.check(&with(&both), Fail, why).await;
}
