//! A database of its own, and machines that use it.

use crate::support::project::Project;
use belay_testbed::{Postgres, Version};
use serde_json::Value;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// A database on the server of this test binary.
pub(crate) struct Database {
    pub(crate) url: String,
}

fn server() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::start(Version::V15).expect("a server"))
}

pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(work)
}

async fn connect(url: &str) -> PgConnection {
    let options = PgConnectOptions::from_str(url).expect("a URL");
    options.connect().await.expect("a connection")
}

impl Database {
    /// Empty.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::SeqCst));
        let one = Self {
            url: server().url(Postgres::DATABASE),
        };
        one.sql(&format!("CREATE DATABASE {name}"));
        Self {
            url: server().url(&name),
        }
    }

    /// Does to the database what nobody may do through the store.
    pub(crate) fn sql(&self, sql: &str) {
        block_on(async {
            let mut connection = connect(&self.url).await;
            let sql = sqlx::AssertSqlSafe(sql.to_owned());
            let done = sqlx::raw_sql(sql).execute(&mut connection).await;
            done.expect("done");
            connection.close().await.expect("closed");
        });
    }

    /// The one number that a statement answers.
    pub(crate) fn number(&self, sql: &'static str) -> i64 {
        block_on(async {
            let mut connection = connect(&self.url).await;
            let row = sqlx::query_as(sql).fetch_one(&mut connection).await;
            let (number,): (i64,) = row.expect("a number");
            number
        })
    }

    pub(crate) fn machine(&self, name: &str) -> Project {
        machine(&self.url, name)
    }
}

/// A machine that uses the store at that URL, with short leases: a killed worker is replaced soon.
pub(crate) fn machine(url: &str, name: &str) -> Project {
    let mut project = Project::new();
    project.write("dist/server.py", SERVER);
    for (variable, value) in [
        ("BELAY_STORE", url),
        ("BELAY_HOST", name),
        ("BELAY_LEASE_MS", "1000"),
        ("BELAY_ACTOR", name),
    ] {
        project.env.push((variable.to_owned(), value.to_owned()));
    }
    project
}

/// A small HTTP server in Python: answers with its release, and misbehaves on request.
pub(crate) const SERVER: &str = r#"
import http.server, os, sys
if os.environ.get("SICK"):
    sys.exit("sick")
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        text = ("release " + os.environ["RELEASE"] + os.environ.get("TOKEN", "")).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
"#;

/// Writes the configuration of a release with these settings, that bakes so long.
pub(crate) fn configure(machine: &Project, settings: &str, bake: &str) {
    machine.configure(
        settings,
        // Long: a slow machine is no reason to fail.
        "run: python3 server.py, instances: 1, ready: { http: /health, within: 60s }",
        "  - { http: /health, at: staged }",
        &format!("strategy: blue_green\n    keep: {{ bake: {bake}, warm: 60m }}"),
    );
}

/// Deploys it.
pub(crate) fn release(machine: &Project, exit: i32, settings: &str) -> Value {
    configure(machine, settings, "300ms");
    machine.json(exit, &["deploy"])
}

pub(crate) fn serves(machine: &Project, release: u32) {
    let (status, answer) = machine.get("/").expect("someone answers");
    assert_eq!(status, 200, "{answer}");
    assert!(answer.ends_with(&format!("release {release}")), "{answer}");
}

/// How its deployments ended, newest first.
pub(crate) fn outcomes(machine: &Project) -> Vec<String> {
    let history = machine.json(0, &["history", "web", "-e", "test"]);
    let all = history
        .pointer("/deployments")
        .and_then(Value::as_array)
        .expect("a list");
    all.iter().map(|one| text(one, "/outcome/result")).collect()
}

pub(crate) fn text(value: &Value, pointer: &str) -> String {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_default().to_owned()
}
