//! How many processes a way back brings up.

use crate::misfortune::SERVER;
use crate::support::project::Project;
use serde_json::{Value, json};

/// Puts a release with so many instances out.
fn deploy(project: &Project, release: u32, instances: u32) {
    let process = format!(
        "run: python3 server.py, instances: {instances}, ready: {{ http: /health, within: 60s }}"
    );
    project.configure(
        &format!("RELEASE: {release}"),
        &process,
        "  []",
        "strategy: basic\n    keep: { bake: 200ms }",
    );
    project.json(0, &["deploy"]);
}

/// Titles up to the hash of a record, and what stands behind it.
fn titles(steps: Option<&Value>) -> Vec<String> {
    let steps = steps.and_then(Value::as_array).expect("steps");
    let titles = steps.iter().filter_map(|step| step["title"].as_str());
    let short = |title: &str| match title.split_once('-') {
        Some((start, rest)) => {
            let rest = rest.trim_start_matches(|it: char| it.is_ascii_alphanumeric());
            format!("{start}{rest}")
        }
        None => title.to_owned(),
    };
    titles.map(short).collect()
}

#[test]
fn a_way_back_brings_up_as_many_as_serve_now() {
    let project = Project::new();
    project.write("dist/server.py", SERVER);
    deploy(&project, 1, 1);
    deploy(&project, 2, 3);
    let steps = [
        "start 3 instances of r1",
        "all traffic to r1",
        "verify live (readiness only)",
        "stop r2",
        "reduce r1 to 1 instance",
    ];
    let why =
        "capacity: 3 instances before the traffic moves, as many as there are now; 1 afterwards";
    let plan = project.json(0, &["rollback", "--plan"]);
    assert_eq!(titles(plan.pointer("/preview/steps")), steps, "{plan:#}");
    assert!(plan.to_string().contains(why), "{plan:#}");
    let ready = project.json(0, &["ready"]);
    assert_eq!(titles(ready.pointer("/ready/steps")), steps, "{ready:#}");
    assert_eq!(ready.pointer("/ready/warm"), Some(&json!(false)), "not all");

    let load = project.load("/work");
    let back = project.json(0, &["rollback", "--yes"]);
    load.stop().all_good();
    assert!(back.to_string().contains(why), "{back:#}");
    let status = project.json(0, &["status"]);
    let groups = status.pointer("/services/0/targets/0/groups");
    let groups = groups.and_then(Value::as_array).expect("groups");
    let there: Vec<_> = groups
        .iter()
        .map(|group| (&group["release"], &group["ready"]))
        .collect();
    assert_eq!(there, [(&json!(1), &json!(1))], "{status:#}");
    assert_eq!(
        status.pointer("/services/0/targets/0/foreign"),
        Some(&json!([]))
    );
}
