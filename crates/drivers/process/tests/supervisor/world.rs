//! A directory of supervised commands that leaves no process behind, and how to wait for things.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use belay_driver_process::Error;
use belay_driver_process::supervisor::{
    Identity, KeyFile, NotReady, Readiness, Sealer, Spec, Status, Supervised,
};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

pub(crate) const EXE: &str = env!("CARGO_BIN_EXE_belay-supervise-test");
const PATIENCE: Duration = Duration::from_secs(30);

/// Answers every GET with `ANSWER` (200 if not set) on `PORT`.
pub(crate) const SERVER: &str = r#"
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(os.environ.get("ANSWER", "200")))
        self.end_headers()
        self.wfile.write(b"the database is away\n")
    def log_message(self, *args): pass
http.server.HTTPServer(("127.0.0.1", int(os.environ.get("LISTEN", os.environ["PORT"]))), Handler).serve_forever()
"#;

pub(crate) struct World {
    root: tempfile::TempDir,
    pub(crate) key: KeyFile,
}

impl World {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let key = KeyFile::create(&root.path().join("key")).unwrap();
        Self { root, key }
    }

    /// Where the commands' directories are.
    pub(crate) fn all(&self) -> PathBuf {
        self.root.path().join("run")
    }

    pub(crate) fn spec(&self, id: &str, command: &[&str]) -> Spec {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        let mut spec = Spec::new(id, command, self.root.path());
        spec.stop_timeout_ms = 5_000;
        spec.timing.backoff_first_ms = 20;
        spec
    }

    pub(crate) fn server(&self, id: &str) -> Spec {
        let mut spec = self.spec(id, &["python3", "-c", SERVER]);
        spec.port = Some(free_port());
        spec.ready = Readiness::http("/health");
        spec
    }

    pub(crate) fn create(&self, spec: &Spec) -> Supervised {
        self.create_with(spec, &[])
    }

    pub(crate) fn create_with(&self, spec: &Spec, secrets: &[(&str, &str)]) -> Supervised {
        let secrets: BTreeMap<String, String> = secrets
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        Supervised::create(
            self.all().join(&spec.id),
            spec,
            &secrets,
            &self.key as &dyn Sealer,
        )
        .unwrap()
    }

    pub(crate) async fn start(&self, spec: &Spec) -> Supervised {
        let it = self.create(spec);
        it.start(Path::new(EXE)).await.unwrap();
        it
    }

    /// Every live process of ours: supervisors by their argument, commands by their mark.
    pub(crate) fn processes(&self, dir: &Path) -> Vec<Identity> {
        let needle = dir.as_os_str().as_encoded_bytes();
        let names = |pid: u32, file: &str| {
            let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            bytes.split(|b| *b == 0).any(|word| {
                let word = word.strip_prefix(b"BELAY_INSTANCE_DIR=").unwrap_or(word);
                word.starts_with(needle) && matches!(word.get(needle.len()), None | Some(b'/'))
            })
        };
        let pids = fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter_map(|e| e.file_name().to_str()?.parse().ok());
        pids.filter(|pid| names(*pid, "environ") || names(*pid, "cmdline"))
            .filter_map(Identity::of)
            .collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let all = self.all();
        // Supervisors start what is killed before them again, so: until nothing is left.
        for _ in 0..50 {
            let left = self.processes(&all);
            if left.is_empty() {
                break;
            }
            left.iter().for_each(kill);
        }
    }
}

pub(crate) fn kill(who: &Identity) {
    let pid = Pid::from_raw(who.pid.try_into().unwrap()).unwrap();
    if let Ok(fd) = pidfd_open(pid, PidfdFlags::empty())
        && who.is_alive()
    {
        let _ = pidfd_send_signal(fd.as_fd(), Signal::KILL);
    }
}

/// Kills it and waits until it is gone.
pub(crate) async fn kill_and_wait(who: &Identity) {
    kill(who);
    until("a killed process is gone", async || {
        (!who.is_alive()).then_some(())
    })
    .await;
}

pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The status as soon as it is as wanted.
pub(crate) async fn until_status(
    it: &Supervised,
    what: &str,
    is: impl Fn(&Status) -> bool,
) -> Status {
    until(what, async || {
        it.status().await.ok().filter(|status| is(status))
    })
    .await
}

pub(crate) async fn ready(it: &Supervised) -> Status {
    it.wait_ready(Some(PATIENCE)).await.unwrap()
}

pub(crate) async fn not_ready(it: &Supervised, within_ms: u64) -> NotReady {
    match it.wait_ready(Some(Duration::from_millis(within_ms))).await {
        Err(Error::NotReady(report)) => *report,
        other => panic!("expected it not to be ready: {other:?}"),
    }
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}
