//! Releases that cannot serve: the step fails with what was seen, and the old release never loses a request.

use super::{GOOD, project, release, serves};
use crate::support::project::Project;
use serde_json::Value;

/// Deploys a release that never gets ready, and waits no longer than it has to.
fn bad(project: &Project, run: &str, settings: &str) -> Value {
    project.configure(
        settings,
        &format!("run: \"{run}\", instances: 1, ready: {{ http: /health, within: 3s }}"),
        "  - { http: /health, at: staged }",
        "strategy: blue_green\n    keep: { bake: 500ms, warm: 5m }",
    );
    project.json(3, &["deploy"])
}

fn fails_and_the_old_one_serves(run: &str, settings: &str, expected: &str) {
    let project = project();
    release(&project, 0, GOOD, "RELEASE: 1");
    let load = project.load("/");
    let failed = bad(&project, run, settings);
    let text = failed.to_string();
    assert!(text.contains(expected), "`{expected}` is not in {failed:#}");
    serves(&project, 1);
    load.stop().all_good();
}

#[test]
fn a_command_that_exits_at_once() {
    fails_and_the_old_one_serves(
        "sh -c 'echo no database; exit 3'",
        "RELEASE: 2",
        "no database",
    );
}

#[test]
fn a_command_that_never_listens() {
    fails_and_the_old_one_serves("sleep 1000", "RELEASE: 2", "connection refused");
}

#[test]
fn a_command_that_listens_elsewhere() {
    fails_and_the_old_one_serves(GOOD, "RELEASE: 2, ELSEWHERE: 1", "connection refused");
}

#[test]
fn health_that_is_never_true() {
    fails_and_the_old_one_serves(GOOD, "RELEASE: 2, SICK: 1", "503");
}

/// The file has its executable bit, so only starting it tells.
#[test]
fn a_command_that_cannot_be_executed() {
    let project = project();
    release(&project, 0, GOOD, "RELEASE: 1");
    let load = project.load("/");
    project.executable("dist/serve.sh", "#!/no/such/interpreter\n");
    let failed = bad(&project, "./serve.sh", "RELEASE: 2");
    assert!(failed.to_string().contains("serve.sh"), "{failed:#}");
    serves(&project, 1);
    load.stop().all_good();
}

/// What can be known beforehand is refused beforehand.
#[test]
fn a_command_without_its_executable_bit_is_refused() {
    let project = project();
    release(&project, 0, GOOD, "RELEASE: 1");
    project.write("dist/serve.sh", "#!/bin/sh\n");
    let refused = release(&project, 2, "./serve.sh", "RELEASE: 2");
    assert!(
        refused.to_string().contains("is not executable"),
        "{refused:#}"
    );
    serves(&project, 1);
}
