//! The conformance suite on real processes with their supervisors. The router is a table in memory that keeps the
//! contract of `Router`; the proxy's own tests and those of the runtime have the real one.

mod router;

use async_trait::async_trait;
use belay_driver::conformance::Platform;
use belay_driver::{Artifacts, Capabilities, Driver, Error, Split};
use belay_driver_process::supervisor::Supervised;
use belay_driver_process::{Options, Process};
use belay_model::id::{ArtifactDigest, EnvironmentName, ReleaseNumber, Scope, ServiceName};
use belay_model::release::{Record, Target};
use router::Table;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Accepts connections on its port, or never does.
const SERVER: &str = r#"
import os, socket, time
if os.environ["RELEASE"] == "broken":
    time.sleep(60)
listener = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
while True:
    listener.accept()[0].close()
"#;

/// Works without a port, or ends at once.
const WORKER: &str = r#"
import os, time
if os.environ["RELEASE"] == "broken":
    raise SystemExit("no queue")
while True:
    time.sleep(60)
"#;

const TARGET: &str = "shop/test";

struct Machine {
    root: tempfile::TempDir,
    table: Arc<Table>,
    driver: Arc<Process>,
    /// Of releases with odd and with even numbers.
    settings: [Value; 2],
}

struct Files(PathBuf);

#[async_trait]
impl Artifacts for Files {
    async fn directory(&self, _: &ArtifactDigest) -> Result<PathBuf, Error> {
        Ok(self.0.clone())
    }
}

/// Behind the router.
fn server() -> Value {
    json!({
        "run": "python3 server.py", "listen": "127.0.0.1:1", "instances": 2,
        "ready": { "tcp": true, "within": "5s" }, "stop_timeout": "2s",
    })
}

/// Without traffic.
fn worker() -> Value {
    json!({ "run": "python3 worker.py", "instances": 2, "stop_timeout": "2s" })
}

async fn servers() -> Machine {
    machine([server(), server()])
}

async fn workers() -> Machine {
    machine([worker(), worker()])
}

/// The second release takes no traffic any more.
async fn server_then_worker() -> Machine {
    machine([server(), worker()])
}

/// The second release is the first to take traffic.
async fn worker_then_server() -> Machine {
    machine([worker(), server()])
}

/// Releases of odd and of even numbers.
fn machine(settings: [Value; 2]) -> Machine {
    let root = tempfile::tempdir().expect("a directory");
    let files = root.path().join("files");
    std::fs::create_dir(&files).expect("a directory");
    std::fs::write(files.join("server.py"), SERVER).expect("written");
    std::fs::write(files.join("worker.py"), WORKER).expect("written");
    let options = Options {
        root: root.path().join("instances"),
        exe: env!("CARGO_BIN_EXE_belay-supervise-test").into(),
        key_file: root.path().join("key"),
    };
    let table = Arc::new(Table::default());
    let driver = Process::new(options, table.clone(), Arc::new(Files(files)));
    Machine {
        driver: Arc::new(driver),
        table,
        root,
        settings,
    }
}

impl Machine {
    fn release(&self, number: u32, name: &str) -> Record {
        Record {
            format: 1,
            scope: Scope {
                service: ServiceName::new("shop"),
                environment: EnvironmentName::new("test"),
            },
            release: ReleaseNumber(number),
            artifact: ArtifactDigest::new(format!("sha256:{number:064}")),
            config: BTreeMap::from([("RELEASE".to_owned(), name.to_owned())]),
            secrets: BTreeMap::new(),
            sealed: None,
            targets: vec![Target {
                driver: "process".to_owned(),
                name: TARGET.to_owned(),
                host: None,
                settings: self.settings[usize::from(number.is_multiple_of(2))].clone(),
            }],
        }
    }
}

#[async_trait]
impl Platform for Machine {
    fn driver(&self) -> Arc<dyn Driver> {
        self.driver.clone()
    }

    fn record(&self, number: u32) -> Record {
        self.release(number, &number.to_string())
    }

    fn broken(&self) -> Option<Record> {
        Some(self.release(9, "broken"))
    }

    fn takes_traffic(&self) -> bool {
        self.settings.iter().any(|one| one["listen"].is_string())
    }

    async fn meddle(&self) {
        self.table.meddle(TARGET);
    }

    fn throttle(&self, retry_after_ms: u64) -> bool {
        self.table.throttle(retry_after_ms);
        true
    }

    fn lock_out(&self) -> bool {
        // Whoever runs Belay on this machine is who runs the processes.
        false
    }
}

impl Drop for Machine {
    /// A case that failed leaves processes behind; one that passed has removed them.
    fn drop(&mut self) {
        let stop = |dir: PathBuf| {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().build().expect("a runtime");
            let _ = runtime.block_on(Supervised::at(dir).stop(Some(Duration::from_secs(1))));
        };
        let dirs = directories(&self.root.path().join("instances"));
        let stopped = std::thread::spawn(move || dirs.into_iter().for_each(stop));
        let _ = stopped.join();
    }
}

fn directories(root: &Path) -> Vec<PathBuf> {
    let found = std::fs::read_dir(root).into_iter().flatten().flatten();
    found.map(|entry| entry.path()).collect()
}

mod traffic {
    belay_driver::conformance!(super::servers);
}

mod no_traffic {
    belay_driver::conformance!(super::workers);
}

mod traffic_lost {
    belay_driver::conformance!(super::server_then_worker);
}

mod traffic_gained {
    belay_driver::conformance!(super::worker_then_server);
}

/// Without traffic there is no share of it and nothing that stands by; what is new still runs beside the old, so that it
/// can be checked before the old goes, one by one where that is asked for.
#[tokio::test]
async fn what_can_be_done_depends_on_traffic() {
    let machine = server_then_worker().await;
    let capabilities = |number| {
        let target = &machine.record(number).targets[0];
        machine.driver().capabilities(target)
    };
    let server = Capabilities {
        split: Split::Weights,
        staged: true,
        warm_standby: true,
        supersedes: false,
        units: 2,
    };
    assert_eq!(capabilities(1), server);
    let worker = Capabilities {
        split: Split::None,
        warm_standby: false,
        ..server
    };
    assert_eq!(capabilities(2), worker);
}
