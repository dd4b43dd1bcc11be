//! One store in a directory of its own, a service, and everything stopped at the end.

use belay_driver_process::supervisor::Supervised;
use belay_model::event::Outcome;
use belay_model::id::{DeploymentId, EnvironmentName, Scope, ServiceName};
use belay_model::summary::{Phase, Summary};
use belay_runtime::{
    Accepted, Belay, DeployRequest, Error, Images, Left, Options, Released, Retention, config,
    run_worker,
};
use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Longer than anything here takes on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(60);

/// Answers with the content of `answer` and the secret.
const SERVER: &str = r#"
import http.server, os
text = open("answer").read() + os.environ.get("GREETING", "") + os.environ.get("TOKEN", "")
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"#;

pub(crate) type Case = for<'a> fn(&'a World) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

pub(crate) struct World {
    pub(crate) belay: Belay,
    pub(crate) dir: PathBuf,
    pub(crate) listen: SocketAddr,
    pub(crate) scope: Scope,
}

pub(crate) async fn open(dir: PathBuf) -> Belay {
    open_keeping(dir, Retention::default()).await
}

pub(crate) async fn open_keeping(dir: PathBuf, retention: Retention) -> Belay {
    let options = Options {
        dir,
        shared: None,
        lost: false,
        host: None,
        exe: std::env::current_exe().expect("an executable"),
        key: None,
        actor: "alice@example".to_owned(),
        retention,
    };
    Belay::open(options).await.expect("the store opens")
}

/// Runs a case in a world of its own, and stops everything whatever became of it.
pub(crate) async fn with(case: Case) {
    let dir = tempfile::tempdir().expect("a directory");
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let listen = free.local_addr().expect("its address");
    drop(free);
    let world = World {
        belay: open(dir.path().join(".belay")).await,
        dir: dir.path().to_owned(),
        listen,
        scope: Scope {
            service: ServiceName::new("hello"),
            environment: EnvironmentName::new("production"),
        },
    };
    let failed = tokio::time::timeout(3 * PATIENCE, futures_of(case(&world))).await;
    world.stop().await;
    if !matches!(failed, Ok(false)) {
        let log = fs::read_to_string(world.belay.dir().join("worker.log")).unwrap_or_default();
        panic!("it failed; the worker said: {log}");
    }
}

/// Whether it panicked.
async fn futures_of(case: Pin<Box<dyn Future<Output = ()> + '_>>) -> bool {
    use futures_util::FutureExt;
    std::panic::AssertUnwindSafe(case)
        .catch_unwind()
        .await
        .is_err()
}

impl World {
    async fn stop(&self) {
        for (_, pid) in self.workers() {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        let entries = fs::read_dir(self.belay.dir().join("instances"))
            .into_iter()
            .flatten();
        let mut supervised: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        supervised.push(self.belay.dir().join("proxy/supervised"));
        for dir in supervised {
            let _ = Supervised::at(dir).stop(Some(Duration::from_secs(1))).await;
        }
        self.belay.close().await;
    }

    /// Workers of this world: processes that were started as one, with their ids.
    pub(crate) fn workers(&self) -> Vec<(String, rustix::process::Pid)> {
        let dir = self.belay.dir().to_string_lossy().into_owned();
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let found = processes.filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let line = fs::read_to_string(entry.path().join("cmdline")).ok()?;
            let is_worker = line.contains("\0worker\0") && line.contains(&dir);
            let pid = rustix::process::Pid::from_raw(pid)?;
            is_worker.then_some((line, pid))
        });
        found.collect()
    }

    /// A request to deploy a server that answers like that. `more` is added to the environment's configuration.
    pub(crate) fn request(&self, answer: &str, more: &str) -> DeployRequest {
        let artifact = self.dir.join(format!("build-{answer}"));
        fs::create_dir_all(&artifact).expect("a directory");
        fs::write(artifact.join("server.py"), SERVER).expect("written");
        fs::write(artifact.join("answer"), answer).expect("written");
        let text = format!(
            "service: hello\n\
             release:\n  artifact: build-{answer}\n\
             verify:\n  - http: /\n    contains: {answer}\n\
             environments:\n  production:\n    target:\n      process:\n        run: python3 server.py\n\
             \x20       listen: \"{}\"\n        stop_timeout: 1s\n        ready:\n          http: /\n\
             {more}",
            self.listen
        );
        let path = self.dir.join("belay.yaml");
        fs::write(&path, text).expect("written");
        let loaded = config::load(&path).unwrap_or_else(|found| panic!("{}", found[0]));
        DeployRequest {
            hotfix: false,
            loaded,
            environment: "production".to_owned(),
            released: Released::New {
                artifact: None,
                images: Images::default(),
                commit: None,
            },
            reason: None,
            interactive: false,
            env: BTreeMap::new(),
        }
    }

    /// Deploys and waits for the end.
    pub(crate) async fn deploy(&self, request: &DeployRequest) -> Summary {
        let accepted = self.belay.deploy(request).await.expect("accepted");
        self.finish(&accepted).await
    }

    /// Works and waits for the end.
    pub(crate) async fn finish(&self, accepted: &Accepted) -> Summary {
        let id = accepted.id().expect("a deployment");
        self.belay.ensure_worker().await.expect("a worker");
        self.until(id, |summary| summary.phase == Phase::Ended)
            .await
    }

    /// Works here, with another rule of what is kept, until nothing is left to do.
    pub(crate) async fn work_once(&self, retention: Retention) {
        let belay = open_keeping(self.belay.dir().to_owned(), retention).await;
        let working = async {
            while run_worker(&belay, Some(1)).await.expect("it works") == Left::AlreadyRunning {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let done = tokio::time::timeout(PATIENCE, working).await;
        belay.close().await;
        done.expect("in time");
    }

    /// Follows until a deployment stands like that.
    pub(crate) async fn until(&self, id: &DeploymentId, is: impl Fn(&Summary) -> bool) -> Summary {
        let mut follow = self.belay.follow(id);
        let watching = async {
            while let Some(update) = follow.next().await.expect("readable") {
                if is(&update.summary) {
                    return Some(update.summary);
                }
            }
            None
        };
        let seen = tokio::time::timeout(PATIENCE, watching).await;
        if let Ok(Some(summary)) = seen {
            return summary;
        }
        let last = self.belay.store().summary(id).await;
        panic!("it never stood like that: {last:#?}");
    }

    /// Waits until the environment's stream says so.
    pub(crate) async fn until_view(&self, is: impl Fn(&belay_model::environment::View) -> bool) {
        let store = self.belay.store();
        let watching = async {
            loop {
                let generation = store.generation();
                let entries = store.environment(&self.scope, 0).await.expect("readable");
                if is(&belay_model::environment::View::of(&entries)) {
                    return;
                }
                store.changed(generation).await;
            }
        };
        tokio::time::timeout(PATIENCE, watching)
            .await
            .expect("in time");
    }

    /// What a user of the service gets.
    pub(crate) async fn get(&self) -> String {
        let mut stream = TcpStream::connect(self.listen).await.expect("it listens");
        let request = b"GET / HTTP/1.1\r\nHost: hello\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("answered");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        body.to_owned()
    }
}

pub(crate) fn succeeded(summary: &Summary) {
    assert_eq!(summary.outcome, Some(Outcome::Succeeded), "{summary:#?}");
}

/// The code of what went wrong.
pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> &'static str {
    let error = result.expect_err("it is refused");
    assert!(!error.next().is_empty());
    error.code()
}

/// Everything below a directory that may be written by its owner only, made writable: to alter it.
pub(crate) fn alter(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("owned");
    fs::write(path, text).expect("written");
}
