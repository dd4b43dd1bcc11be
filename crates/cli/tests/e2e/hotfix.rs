//! A hotfix as a user meets it: it waits for nobody, and going back from it is going back from what it superseded.

use crate::misfortune::{GOOD, project, release, serves};
use crate::support::project::{Project, until};
use serde_json::{Value, json};

/// A canary that nobody waits for the end of, and a short way for hotfixes.
fn configure(project: &Project, settings: &str, hotfix: &str) {
    project.configure(
        settings,
        &format!("run: \"{GOOD}\", instances: 1, ready: {{ http: /health, within: 60s }}"),
        "  - { http: /health, at: live }",
        &format!(
            "strategy: {{ canary: [ {{ to: 20%, for: 30m }} ] }}\n    keep: {{ bake: 30m, warm: 60m }}\n    hotfix: {{ {hotfix} }}"
        ),
    );
}

/// Release 1 serves, and release 2 has a fifth of the traffic.
fn half_way() -> (Project, String) {
    let project = project();
    release(&project, 0, GOOD, "RELEASE: 1");
    configure(&project, "RELEASE: 2", "");
    let old = project.json(0, &["deploy", "--detach"]);
    until("release 2 has its share", || {
        let status = project.json(0, &["status"]);
        let groups = status
            .pointer("/services/0/targets/0/groups")?
            .as_array()?
            .clone();
        let shares = groups
            .iter()
            .filter(|group| group["weight_per_mille"] == json!(200));
        (shares.count() == 1).then_some(())
    });
    (project, text(&old, "/deployment/id"))
}

const SHORT: &str = "strategy: blue_green, bake: 500ms";

#[test]
fn it_takes_over_from_what_waits() {
    let (project, old) = half_way();
    let load = project.load("/");
    configure(&project, "RELEASE: 3", SHORT);
    // Without a reason it is none.
    project.json(2, &["deploy", "--hotfix"]);
    let plan = project.json(0, &["plan", "--hotfix"]);
    let steps = plan["plan"]["steps"].to_string();
    assert!(!steps.contains("20 %"), "the short way: {steps}");
    let back_to = text(&plan, "/plan/back_to");
    assert_eq!(back_to, "release 1 (as it was before)");
    let new = project.json(0, &["deploy", "--hotfix", "--reason", "orders fail"]);
    assert_eq!(text(&new, "/deployment/supersedes"), old, "{new:#}");
    serves(&project, 3);
    load.stop().all_good();
    let told = project.json(4, &["watch", &old]);
    assert_eq!(text(&told, "/deployment/outcome/result"), "stopped");
    let by = text(&told, "/deployment/superseded_by");
    assert_eq!(by, text(&new, "/deployment/id"));
    // Not to what it superseded.
    project.json(0, &["rollback", "--yes"]);
    serves(&project, 1);
}

#[test]
fn one_that_fails_goes_back_to_what_was_there_before_both() {
    let (project, old) = half_way();
    project.configure(
        "RELEASE: 3",
        "run: \"sh -c 'exit 3'\", instances: 1",
        "  - { http: /health, at: live }",
        "",
    );
    let failed = project.json(3, &["deploy", "--hotfix", "--reason", "orders fail"]);
    assert_eq!(
        text(&failed, "/deployment/outcome/rollback"),
        "complete",
        "{failed:#}"
    );
    serves(&project, 1);
    project.json(4, &["watch", &old]);
    let status = project.json(0, &["status"]);
    let groups = status.pointer("/services/0/targets/0/groups");
    let groups = groups.and_then(Value::as_array).map(Vec::len);
    assert_eq!(groups, Some(1), "nothing of both is left: {status:#}");
}

#[test]
fn a_freeze_is_passed_only_where_the_policy_says_so() {
    let (project, _) = half_way();
    let freeze = ["freeze", "-e", "test", "--reason", "the big day"];
    project.json(0, &freeze);
    configure(&project, "RELEASE: 3", SHORT);
    let hotfix = ["deploy", "--hotfix", "--reason", "orders fail"];
    let refused = project.json(6, &hotfix);
    assert_eq!(refused["error"]["code"], json!("E0221"), "{refused:#}");
    configure(
        &project,
        "RELEASE: 3",
        &format!("{SHORT}, passes: [freeze]"),
    );
    project.json(0, &hotfix);
    serves(&project, 3);
}

fn text(value: &Value, pointer: &str) -> String {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_default().to_owned()
}
