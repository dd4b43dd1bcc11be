//! Two deployments at once, and going back from one that runs, waits or bakes (I12).

use super::{GOOD, configure, project, release, serves};
use crate::support::project::{Project, until};
use serde_json::Value;

#[test]
fn two_deployments_at_once_take_turns() {
    let project = project();
    release(&project, 0, GOOD, "RELEASE: 1");
    configure(&project, GOOD, "RELEASE: 2", "blue_green", "5m");
    let first = project.json(0, &["deploy", "--until", "promoted"]);
    let holder = text(&first, "/deployment/id");
    configure(&project, GOOD, "RELEASE: 3", "blue_green", "500ms");
    let second = project.beside(&["deploy"]);
    second.until_it_says(&format!("waits for {holder}"));
    project.json(0, &["advance", &holder]);
    let talk = second.succeeds();
    assert!(
        talk.contains(&holder) && talk.contains("since"),
        "who holds the lock, since when: {talk}"
    );
    serves(&project, 3);
    let outcomes = outcomes(&project);
    assert_eq!(outcomes, ["succeeded", "succeeded", "succeeded"]);
}

#[test]
fn a_newer_one_takes_the_place_of_one_that_waits() {
    let project = project();
    release(&project, 0, GOOD, "RELEASE: 1");
    configure(&project, GOOD, "RELEASE: 2", "blue_green", "5m");
    let first = project.json(0, &["deploy", "--until", "promoted"]);
    configure(&project, GOOD, "RELEASE: 3", "blue_green", "500ms");
    let waits = text(&project.json(0, &["deploy", "--detach"]), "/deployment/id");
    configure(&project, GOOD, "RELEASE: 4", "blue_green", "500ms");
    let newest = project.json(0, &["deploy", "--detach"]);
    assert_eq!(newest["replaces"], serde_json::json!([waits]));
    let newest = text(&newest, "/deployment/id");
    // Whoever follows the old one hears of it at once.
    let told = project.json(6, &["watch", &waits]);
    assert_eq!(
        told["error"]["code"],
        serde_json::json!("E0240"),
        "{told:#}"
    );
    assert_eq!(text(&told, "/deployment/outcome/by"), newest);
    project.json(0, &["advance", &text(&first, "/deployment/id")]);
    project.json(0, &["watch", &newest]);
    serves(&project, 4);
    let expect = ["succeeded", "replaced", "succeeded", "succeeded"];
    assert_eq!(outcomes(&project), expect);
}

#[test]
fn a_deployment_that_runs_is_told_to_go_back() {
    // Readiness never comes, and is waited for longer than this test lasts.
    goes_back_from(
        "run: \"sleep 1000\", instances: 1, ready: { http: /health, within: 10m }",
        "blue_green",
        "running",
    );
}

#[test]
fn a_deployment_that_waits_is_told_to_go_back() {
    goes_back_from(
        &format!("run: \"{GOOD}\", instances: 1, ready: {{ http: /health, within: 10m }}"),
        "{ canary: [ { to: 20%, for: 20m } ] }",
        "running",
    );
}

#[test]
fn a_deployment_that_bakes_is_told_to_go_back() {
    goes_back_from(
        &format!("run: \"{GOOD}\", instances: 1, ready: {{ http: /health, within: 10m }}"),
        "blue_green",
        "baking",
    );
}

fn goes_back_from(process: &str, strategy: &str, phase: &str) {
    let project = project();
    release(&project, 0, GOOD, "RELEASE: 1");
    let load = project.load("/");
    project.configure(
        "RELEASE: 2",
        process,
        "  - { http: /health, at: staged }",
        &format!("strategy: {strategy}\n    keep: {{ bake: 30m, warm: 60m }}"),
    );
    let deployed = project.json(0, &["deploy", "--detach"]);
    let id = text(&deployed, "/deployment/id");
    until("the deployment is where it is wanted", || {
        let status = project.json(0, &["status"]);
        let open = status.pointer("/services/0/open/0").cloned()?;
        let is_under_way = open.get("step").is_some_and(|step| !step.is_null());
        (is_under_way && open.get("phase") == Some(&Value::from(phase))).then_some(())
    });
    let back = project.json(0, &["rollback", "--yes", "--reason", "a test"]);
    assert_eq!(text(&back, "/deployment/id"), id, "it is the same one");
    assert_eq!(
        text(&back, "/deployment/outcome/rollback"),
        "complete",
        "{back:#}"
    );
    serves(&project, 1);
    assert_eq!(outcomes(&project), ["failed", "succeeded"]);
    load.stop().all_good();
}

fn outcomes(project: &Project) -> Vec<String> {
    let history = project.json(0, &["history"]);
    let all = history
        .pointer("/deployments")
        .and_then(Value::as_array)
        .expect("a list");
    all.iter().map(|one| text(one, "/outcome/result")).collect()
}

fn text(value: &Value, pointer: &str) -> String {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_default().to_owned()
}
