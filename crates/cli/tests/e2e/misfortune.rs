//! Bad input and bad luck: a clear error, nothing lost.

use crate::project::{Project, until};
use serde_json::Value;

/// A small HTTP server in Python: answers with its release, and misbehaves on request.
const SERVER: &str = r#"
import http.server, os, sys
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        bad = self.path == "/health" and os.environ.get("SICK")
        text = ("release " + os.environ["RELEASE"]).encode()
        self.send_response(503 if bad else 200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    def log_message(self, *_): pass
port = int(os.environ["PORT"]) + int(os.environ.get("ELSEWHERE", "0"))
http.server.ThreadingHTTPServer(("127.0.0.1", port), Answer).serve_forever()
"#;

fn project() -> Project {
    let project = Project::new();
    project.write("dist/server.py", SERVER);
    project
}

/// Deploys a release of the server with more settings; answers what it was told.
fn release(project: &Project, exit: i32, run: &str, settings: &str) -> Value {
    project.configure(
        &format!("run: \"{run}\", instances: 1, ready: {{ http: /health, within: 3s }}"),
        "  - { http: /health, at: staged }",
        &format!("config: {{ {settings} }}\n    strategy: blue_green\n    keep: {{ bake: 500ms, warm: 5m }}"),
    );
    project.json(exit, &["deploy"])
}

const GOOD: &str = "python3 server.py";

fn serves(project: &Project, release: u32) {
    let (status, answer) = project.get("/").expect("someone answers");
    assert_eq!(status, 200, "{answer}");
    assert!(answer.ends_with(&format!("release {release}")), "{answer}");
}

/// A bad release fails at its step with what was seen, and the old one never lost a request.
fn fails_and_the_old_one_serves(run: &str, settings: &str, expected: &str) {
    let project = project();
    release(&project, 0, GOOD, "RELEASE: 1");
    let load = project.load("/");
    let failed = release(&project, 3, run, settings);
    let text = failed.to_string();
    assert!(text.contains(expected), "`{expected}` is not in {failed:#}");
    serves(&project, 1);
    let seen = load.stop();
    assert!(seen.requests > 0, "{seen:?}");
    assert_eq!((seen.errors, seen.broken), (0, 0), "{seen:?}");
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

#[test]
fn two_deployments_at_once_take_turns() {
    let project = project();
    release(&project, 0, GOOD, "RELEASE: 1");
    let configured = |number: u32| {
        project.configure(
            &format!("run: \"{GOOD}\", instances: 1, ready: {{ http: /health }}"),
            "  - { http: /health, at: staged }",
            &format!("config: {{ RELEASE: {number} }}\n    strategy: blue_green\n    keep: {{ bake: 500ms, warm: 5m }}"),
        );
    };
    configured(2);
    let first = project.json(0, &["deploy", "--detach"]);
    configured(3);
    let second = project.json(0, &["deploy"]);
    assert_ne!(first, second);
    serves(&project, 3);
    let history = project.json(0, &["history"]);
    let ended = history.to_string().matches("succeeded").count();
    assert!(ended >= 3, "{history:#}");
}

#[test]
fn all_of_belay_killed_and_the_next_command_brings_it_back() {
    let project = project();
    release(&project, 0, GOOD, "RELEASE: 1");
    let killed = project.kill_belay();
    assert!(
        killed >= 3,
        "the worker, a supervisor, the proxy and its supervisor: only {killed} were there"
    );
    until("the proxy comes back with its table", || {
        project.belay(&["status"]);
        project.get("/").filter(|(status, _)| *status == 200)
    });
    serves(&project, 1);
    until("the instance has a supervisor again", || {
        let is_it = |line: &str| line.contains(" supervise ") && line.contains("/instances/");
        project
            .processes()
            .iter()
            .any(|(_, line)| is_it(line))
            .then_some(())
    });
    // And it still works.
    release(&project, 0, GOOD, "RELEASE: 2");
    serves(&project, 2);
    project.json(0, &["rollback", "--yes"]);
    serves(&project, 1);
}

#[test]
fn nothing_good_to_return_to_is_refused() {
    let project = project();
    release(&project, 0, GOOD, "RELEASE: 1");
    let refused = project.json(6, &["rollback", "--yes"]);
    assert_eq!(
        refused.pointer("/error/code").and_then(Value::as_str),
        Some("E0206"),
        "{refused:#}"
    );
    serves(&project, 1);
}

#[test]
fn an_altered_artifact_is_named_before_anything_changes() {
    let project = project();
    release(&project, 0, GOOD, "RELEASE: 1");
    project.write("dist/server.py", &format!("{SERVER}\n# another one\n"));
    release(&project, 0, GOOD, "RELEASE: 2");
    let ready = project.json(0, &["ready"]);
    assert!(ready.to_string().contains("\"ready\":true"), "{ready:#}");
}

#[test]
fn a_rollback_does_what_the_record_says_and_mentions_the_drift() {
    let project = project();
    release(&project, 0, GOOD, "RELEASE: 1");
    release(&project, 0, GOOD, "RELEASE: 2");
    project.configure(
        &format!("run: \"{GOOD}\", instances: 1"),
        "  - { tcp: true }",
        "config: { RELEASE: 77 }\n    strategy: blue_green",
    );
    let plan = project.json(0, &["rollback", "--plan"]);
    assert!(
        plan.to_string().contains("77"),
        "the drift is mentioned: {plan:#}"
    );
    project.json(0, &["rollback", "--yes"]);
    serves(&project, 1);
}

#[test]
fn a_killed_instance_comes_back_and_is_counted() {
    let project = project();
    release(&project, 0, GOOD, "RELEASE: 1");
    let instance = || {
        project
            .processes()
            .into_iter()
            .find(|(_, line)| line.contains("server.py"))
    };
    let (pid, _) = instance().expect("it runs");
    let _ = std::process::Command::new("kill")
        .args(["-9", &pid.to_string()])
        .status();
    until("another one runs", || {
        instance().filter(|(now, _)| *now != pid)
    });
    until("it serves", || {
        project.get("/").filter(|(status, _)| *status == 200)
    });
    serves(&project, 1);
}
