//! Bad input and bad luck: a clear error, nothing lost.

use crate::support::project::Project;
use serde_json::Value;

mod back;
mod disk;
mod killed;
mod releases;
mod strangers;
mod turns;

/// A small HTTP server in Python: answers with its release, and misbehaves on request.
pub(crate) const SERVER: &str = r#"
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

/// Deploys a release of the server with more settings, blue/green; answers what it was told.
fn release(project: &Project, exit: i32, run: &str, settings: &str) -> Value {
    configure(project, run, settings, "blue_green", "500ms");
    project.json(exit, &["deploy"])
}

/// Writes the configuration of a release: how it runs, its settings, the strategy, and how long it bakes. The basic
/// strategy keeps nothing warm.
fn configure(project: &Project, run: &str, settings: &str, strategy: &str, bake: &str) {
    let warm = if strategy == "basic" { bake } else { "5m" };
    project.configure(
        settings,
        // Long: a slow machine is no reason to fail.
        &format!("run: \"{run}\", instances: 1, ready: {{ http: /health, within: 60s }}"),
        "  - { http: /health, at: staged }",
        &format!("strategy: {strategy}\n    keep: {{ bake: {bake}, warm: {warm} }}"),
    );
}

const GOOD: &str = "python3 server.py";

fn serves(project: &Project, release: u32) {
    let (status, answer) = project.get("/").expect("someone answers");
    assert_eq!(status, 200, "{answer}");
    assert!(answer.ends_with(&format!("release {release}")), "{answer}");
}
