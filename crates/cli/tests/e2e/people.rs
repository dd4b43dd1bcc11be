//! What people say to a deployment: yes, no, wait, go on, leave it.

use crate::misfortune::{GOOD, SERVER, release, serves};
use crate::support::project::{Project, until};
use serde_json::json;

/// Release 1 serves; the next ones wait for two yeses of three people.
fn project() -> Project {
    let project = Project::new();
    project.write("dist/server.py", SERVER);
    release(&project, 0, GOOD, "RELEASE: 1");
    project
}

/// Begins a release that has to be approved, and waits until it stands there.
fn begin(project: &Project, number: u32, phase: &str) -> String {
    project.configure(
        &format!("RELEASE: {number}"),
        &format!("run: \"{GOOD}\", instances: 1, ready: {{ http: /health, within: 60s }}"),
        "  - { http: /health, at: staged }",
        "strategy: blue_green\n    approve: { by: [ada, bob, eve], count: 2 }\n    keep: { bake: 500ms, warm: 5m }",
    );
    let begun = project.json(0, &["deploy", "--detach"]);
    stands(project, phase);
    begun["deployment"]["id"]
        .as_str()
        .expect("an id")
        .to_owned()
}

fn stands(project: &Project, phase: &str) {
    until(phase, || {
        let status = project.json(0, &["status"]);
        let open = status.pointer("/services/0/open/0/phase").cloned();
        open.filter(|now| now.as_str() == Some(phase))
    });
}

#[test]
fn enough_people_have_to_say_yes() {
    let project = project();
    let id = begin(&project, 2, "waiting");
    assert_eq!(project.says("ada@laptop", &["approve"]), Some(0));
    assert_eq!(
        project.says("ada@laptop", &["approve"]),
        Some(6),
        "once each"
    );
    assert_eq!(project.says("mallory", &["approve"]), Some(6), "not asked");
    serves(&project, 1);
    let status = project.belay(&["status"]);
    let text = String::from_utf8_lossy(&status.stdout).into_owned();
    for part in [
        "wait for approval by 2 of ada, bob, eve",
        "ada@laptop said: yes",
        "belay reject dep_",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(
        project.says("eve", &["approve", "--reason", "fine"]),
        Some(0)
    );
    project.json(0, &["watch", &id]);
    serves(&project, 2);
    let journal = project.json(0, &["history", "--events", &id]).to_string();
    assert!(
        journal.contains("ada@laptop") && journal.contains("fine"),
        "who and why"
    );
    assert_eq!(project.says("bob", &["approve"]), Some(6), "nothing waits");
}

#[test]
fn a_no_goes_back() {
    let project = project();
    let id = begin(&project, 2, "waiting");
    assert_eq!(
        project.says("bob", &["reject", "--reason", "not today"]),
        Some(0)
    );
    let ended = project.json(3, &["watch", &id]);
    assert!(ended.to_string().contains("not today"), "{ended:#}");
    serves(&project, 1);
}

#[test]
fn nobody_answers_in_time() {
    let project = project();
    project.configure(
        "RELEASE: 2",
        &format!("run: \"{GOOD}\", instances: 1, ready: {{ http: /health, within: 60s }}"),
        "  - { http: /health, at: staged }",
        "strategy: blue_green\n    approve: { by: [ada], within: 1s }\n    keep: { bake: 500ms, warm: 5m }",
    );
    let ended = project.json(3, &["deploy"]);
    assert!(ended.to_string().contains("approved in time"), "{ended:#}");
    serves(&project, 1);
}

#[test]
fn paused_it_begins_nothing_and_stopped_it_is_left() {
    let project = project();
    begin(&project, 2, "waiting");
    assert_eq!(
        project.says("ada", &["resume"]),
        Some(6),
        "it is not paused"
    );
    assert_eq!(project.says("ada", &["pause"]), Some(0));
    stands(&project, "paused");
    for who in ["ada", "bob"] {
        let said = project.says(who, &["approve"]);
        assert_eq!(said, Some(6), "while it is paused nobody is asked");
    }
    assert_eq!(project.says("ada", &["resume"]), Some(0));
    stands(&project, "waiting");
    assert_eq!(
        project.says("ada", &["stop", "--reason", "by hand"]),
        Some(0)
    );
    until("the end", || {
        let status = project.json(0, &["status"]);
        let open = status.pointer("/services/0/open")?.as_array()?.len();
        (open == 0).then_some(())
    });
    serves(&project, 1);
    let status = project.json(0, &["status"]);
    let foreign = status.pointer("/services/0/targets/0/foreign");
    assert_eq!(foreign, Some(&json!([])), "nobody else was there");
}

#[test]
fn a_rollback_is_never_held_up() {
    let project = project();
    let id = begin(&project, 2, "waiting");
    project.json(0, &["rollback", "-y", "--detach"]);
    project.json(3, &["watch", &id]);
    serves(&project, 1);
}

/// A release that would bake for an hour.
fn bakes(project: &Project, number: u32) -> String {
    project.configure(
        &format!("RELEASE: {number}"),
        &format!("run: \"{GOOD}\", instances: 1, ready: {{ http: /health, within: 60s }}"),
        "  - { http: /health, at: staged }",
        "strategy: blue_green\n    keep: { bake: 1h, warm: 2h }",
    );
    let begun = project.json(0, &["deploy", "--detach"]);
    stands(project, "baking");
    begun["deployment"]["id"]
        .as_str()
        .expect("an id")
        .to_owned()
}

#[test]
fn a_bake_is_cut_short() {
    let project = project();
    let id = bakes(&project, 2);
    let said = project.says("ada", &["advance", "--reason", "watched it"]);
    assert_eq!(said, Some(0));
    let ended = project.json(0, &["watch", &id]);
    assert_eq!(ended["deployment"]["said"][0]["actor"], "ada", "{ended:#}");
    assert_eq!(ended["deployment"]["said"][0]["reason"], "watched it");
    let release = project.json(0, &["release", "show", "2"]).to_string();
    assert!(release.contains("\"standing\":\"good\""), "{release}");
    let again = project.json(6, &["advance", &id]);
    assert_eq!(again["error"]["code"], "E0211");
}

#[test]
fn ready_is_a_gate() {
    let project = project();
    let light = |exit, arguments: &[&str]| {
        let ready = project.json(exit, &[&["ready"], arguments].concat());
        (ready["ready"]["light"].as_str().map(str::to_owned), ready)
    };
    let gate = ["--require", "ready"];
    let (red, _) = light(6, &[]);
    assert_eq!(red.as_deref(), Some("red"), "there is nothing before it");
    release(&project, 0, GOOD, "RELEASE: 2");
    let (green, ready) = light(0, &gate);
    assert_eq!(green.as_deref(), Some("green"), "{ready:#}");
    assert!(ready["ready"]["evidence_age_s"].is_i64(), "{ready:#}");
    assert!(ready["ready"]["predicted_ms"].is_i64());
    let plan = project.json(0, &["rollback", "--plan"]);
    assert_eq!(ready["ready"]["steps"], plan["preview"]["steps"]);
    project.json(0, &["rollback", "-y", "--trigger", "crash"]);
    project.json(0, &["release", "lift", "2", "--reason", "it was the disk"]);
    // Release 2 is good again and does not stand there any more; how long it takes is known from the last time.
    let (yellow, ready) = light(0, &[]);
    assert_eq!(yellow.as_deref(), Some("yellow"), "{ready:#}");
    assert_eq!(ready["ready"]["measured"], true);
    light(6, &gate);
    let shown = project.json(0, &["release", "show", "2"]);
    let standing = &shown["release"]["standings"][0];
    assert_eq!(standing["failures"], 0, "{shown:#}");
    assert!(standing["budget_since"].is_string(), "{shown:#}");
    let history = project.json(0, &["history"]);
    assert_eq!(history["deployments"][0]["trigger"], "crash");
}

#[test]
fn abort_leads_to_another_release_and_is_not_run_again() {
    let project = project();
    release(&project, 0, GOOD, "RELEASE: 2");
    let id = bakes(&project, 3);
    let shown = project.json(0, &["abort", "--to", "1", "--plan"]);
    assert_eq!(shown["preview"]["release"], 1, "{shown:#}");
    assert_eq!(shown["preview"]["signal_to"], id.as_str());
    let to_one = ["--to", "1", "--reason", "two is no better"];
    let said = [&["abort", "--trigger", "slow"][..], &to_one].concat();
    let ended = project.json(0, &said);
    assert_eq!(ended["deployment"]["trigger"], "slow", "{ended:#}");
    assert_eq!(ended["deployment"]["back_to"], "release 1");
    serves(&project, 1);
    for verb in ["abort", "retry", "approve"] {
        let again = project.json(6, &[verb, &id]);
        let next = again["error"]["next"].to_string();
        assert!(next.contains("make a new one"), "{again:#}");
    }
}

#[test]
fn what_waits_behind_one_that_is_aborted_keeps_its_place() {
    let project = project();
    let first = bakes(&project, 2);
    project.configure(
        "RELEASE: 3",
        &format!("run: \"{GOOD}\", instances: 1, ready: {{ http: /health, within: 60s }}"),
        "  - { http: /health, at: staged }",
        "strategy: blue_green\n    keep: { bake: 500ms, warm: 5m }",
    );
    let waits = project.json(0, &["deploy", "--detach"]);
    project.json(0, &["abort", &first, "--reason", "it is slow"]);
    let waits = waits["deployment"]["id"].as_str().expect("an id");
    project.json(0, &["watch", waits]);
    serves(&project, 3);
}
