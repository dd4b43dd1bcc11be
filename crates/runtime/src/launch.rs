//! Processes that outlive a command: the worker, the proxy, supervisors. None of them is a child that anyone waits for:
//! what holds them together is their locks and directories.

use crate::artifacts::chain;
use crate::lock::WorkerLock;
use crate::{Belay, Error};
use belay_driver_process::Error as SupervisorError;
use belay_driver_process::supervisor::{
    Found, Sealer, Spec, Supervised, is_unattended, lacks_supervisor, sweep,
};
use belay_proxy_api::Client;
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

const WORKER_PATIENCE: Duration = Duration::from_secs(5);
const PROXY_PATIENCE: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// The worker's own log is begun anew when it is larger.
const LOG_BYTES: u64 = 4 << 20;

/// What a detached worker gets of the environment beside Belay's own variables: what programs commonly need. Anything
/// else could be a secret of whoever happened to start it.
const INHERITED: [&str; 14] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "TZ",
    "XDG_RUNTIME_DIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "RUST_LOG",
    "RUST_BACKTRACE",
];

/// Of Belay's own variables those that are not handed on: marks of a command that Belay itself may run in; the key and
/// the store, which are given on purpose.
const OWN: [&str; 5] = [
    "BELAY_INSTANCE",
    "BELAY_INSTANCE_DIR",
    "BELAY_DIR",
    "BELAY_KEY",
    "BELAY_STORE",
];

/// Starts what a store needs.
#[derive(Clone)]
pub(crate) struct Launcher {
    dir: PathBuf,
    exe: PathBuf,
    key: Option<String>,
    /// Where the shared store is.
    url: Option<String>,
}

impl Launcher {
    pub(crate) fn new(
        dir: PathBuf,
        exe: PathBuf,
        key: Option<String>,
        url: Option<String>,
    ) -> Self {
        Self { dir, exe, key, url }
    }

    pub(crate) fn exe(&self) -> &Path {
        &self.exe
    }

    /// Where instances are.
    pub(crate) fn instances(&self) -> PathBuf {
        self.dir.join("instances")
    }

    /// Supervisors need a key in a file. Where the store's own key is not in one, or is that of several machines, they get
    /// another.
    pub(crate) fn key_file(&self) -> PathBuf {
        let name = if self.key.is_some() || self.url.is_some() {
            "instances.key"
        } else {
            "key"
        };
        self.dir.join(name)
    }

    fn proxy_dir(&self) -> PathBuf {
        self.dir.join("proxy")
    }

    fn proxy(&self) -> Supervised {
        Supervised::at(self.proxy_dir().join("supervised"))
    }

    fn worker_log(&self) -> PathBuf {
        self.dir.join("worker.log")
    }

    /// The proxy's admin socket.
    pub(crate) fn client(&self) -> Client {
        Client::for_dir(&self.proxy_dir())
    }

    /// Whether this store ever had a proxy.
    pub(crate) fn has_proxy(&self) -> bool {
        let dir = self.proxy_dir();
        dir.join("supervised/spec.json").exists() || dir.join("table.json").exists()
    }

    /// Sees to it that a supervisor keeps the proxy running; returns when it is at work, not when the proxy answers.
    pub(crate) async fn start_proxy(&self) -> Result<(), Error> {
        let failed = |error: SupervisorError| Error::Launch {
            what: "proxy",
            why: chain(&error),
            log: Some(self.proxy().output_path()),
        };
        if let Ok(spec) = self.proxy().spec() {
            // The executable it was made with is gone, after an upgrade to another place: made anew.
            if !Path::new(&spec.command[0]).exists() {
                self.proxy().stop(None).await.map_err(failed)?;
                self.proxy().remove().await.map_err(failed)?;
            }
        }
        match self.proxy().spec() {
            Ok(_) => {}
            Err(SupervisorError::Missing { .. }) => self.create_proxy().map_err(failed)?,
            Err(error) => return Err(failed(error)),
        }
        self.proxy().start(&self.exe).await.map_err(failed)
    }

    fn create_proxy(&self) -> Result<(), SupervisorError> {
        let dir = self.proxy_dir();
        make_directory(&dir).map_err(|source| SupervisorError::Io {
            what: format!("make {}", dir.display()),
            source,
        })?;
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let command = vec![
            text(&self.exe),
            "proxy".to_owned(),
            "run".to_owned(),
            "--dir".to_owned(),
            // The store's; the proxy lives in it as `proxy`.
            text(&self.dir),
        ];
        let mut spec = Spec::new("proxy", command, &self.dir);
        // Longer than the proxy waits for requests in flight (30 s).
        spec.stop_timeout_ms = 40_000;
        let place = dir.join("supervised");
        match Supervised::create(place, &spec, &BTreeMap::new(), &NothingToSeal) {
            // Another command was faster.
            Ok(_) | Err(SupervisorError::Exists { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn sweep(&self) -> Result<Vec<String>, Error> {
        let (instances, proxy) = (self.instances(), self.proxy());
        let (swept, proxy) = tokio::join!(sweep(&instances, &self.exe), proxy.ensure(&self.exe));
        let swept = swept.map_err(|error| Error::Launch {
            what: "supervisors",
            why: chain(&error),
            log: None,
        })?;
        let mut lines = Vec::new();
        for one in swept {
            if let Found::Failed(error) = one.found {
                let id = one.id.unwrap_or_else(|| one.dir.display().to_string());
                lines.push(format!("{id}: {}", chain(&error)));
            }
        }
        match proxy {
            Ok(_) | Err(SupervisorError::Missing { .. }) => {}
            Err(error) => lines.push(format!("proxy: {}", chain(&error))),
        }
        Ok(lines)
    }

    /// Whether something that shall run has no supervisor: all of Belay was killed, or the machine was restarted.
    fn is_unattended(&self) -> bool {
        is_unattended(&self.instances()) || lacks_supervisor(self.proxy().dir())
    }

    async fn ensure_worker(&self) -> Result<bool, Error> {
        let failed = |why: String| Error::Launch {
            what: "worker",
            why,
            log: Some(self.worker_log()),
        };
        let lock = WorkerLock::at(&self.dir);
        let is_held = || lock.is_held().map_err(|error| failed(error.to_string()));
        if is_held()? {
            return Ok(false);
        }
        let spawned = self.spawn_worker();
        let mut ended = spawned.map_err(|error| failed(error.to_string()))?;
        let deadline = Instant::now() + WORKER_PATIENCE;
        loop {
            if is_held()? {
                return Ok(true);
            }
            match ended.try_recv() {
                // It found that another one does it already, or was done at once.
                Ok(Ok(status)) if status.success() => return Ok(true),
                Ok(Ok(status)) => return Err(failed(format!("it ended with {status}"))),
                Ok(Err(error)) => return Err(failed(error.to_string())),
                Err(_) => {}
            }
            if Instant::now() >= deadline {
                let secs = WORKER_PATIENCE.as_secs();
                return Err(failed(format!("it was not at work after {secs} s")));
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    fn spawn_worker(&self) -> std::io::Result<oneshot::Receiver<std::io::Result<ExitStatus>>> {
        let path = self.worker_log();
        if fs::metadata(&path).is_ok_and(|found| found.len() > LOG_BYTES) {
            fs::rename(&path, self.dir.join("worker.log.1"))?;
        }
        let mut options = OpenOptions::new();
        let log = options.append(true).create(true).mode(0o600).open(&path)?;
        let mut command = Command::new(&self.exe);
        command
            .args(["worker", "--detached", "--dir"])
            .arg(&self.dir)
            .current_dir("/")
            .env_clear()
            .envs(inherited())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        if let Some(key) = &self.key {
            command.env("BELAY_KEY", key);
        }
        if let Some(url) = &self.url {
            // What the client library reads beside the URL: a password, a file with one, certificates.
            let own =
                std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"PG"));
            command.envs(own).env("BELAY_STORE", url);
        }
        let mut process = command.spawn()?;
        let (tx, ended) = oneshot::channel();
        // Reaps it if it ends before we do: a zombie would look like someone. If we end first, init does.
        let reaper = std::thread::Builder::new()
            .name("worker-reaper".to_owned())
            .stack_size(64 << 10);
        reaper.spawn(move || tx.send(process.wait()))?;
        Ok(ended)
    }
}

fn inherited() -> impl Iterator<Item = (String, std::ffi::OsString)> {
    std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        let known = INHERITED.contains(&name.as_str()) || name.starts_with("BELAY_");
        (known && !OWN.contains(&name.as_str())).then_some((name, value))
    })
}

/// The proxy has no secrets.
struct NothingToSeal;

impl Sealer for NothingToSeal {
    fn seal(&self, _: &[u8]) -> Vec<u8> {
        Vec::new()
    }

    fn unseal(&self, _: &[u8]) -> Result<Vec<u8>, SupervisorError> {
        Err(SupervisorError::Unseal)
    }
}

/// For its owner only.
pub(crate) fn make_directory(path: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(path)
}

/// A session of one's own, so that the end of a terminal is not the end of this process: for `worker --detached`.
pub fn detach() {
    // Refused only where the process leads a group already; then a terminal's signals do not reach it either.
    let _ = rustix::process::setsid();
}

impl Belay {
    /// Sees to it that a worker of this machine is at work on this store if it could do anything: `EXE worker --detached
    /// --dir DIR`. Answers whether one had to be started.
    ///
    /// # Errors
    /// It did not start; its log says why.
    pub async fn ensure_worker(&self) -> Result<bool, Error> {
        if self.is_shared() {
            // What is open may all be for other machines: a worker would leave at once, again and again.
            let is_held = WorkerLock::at(self.dir()).is_held().unwrap_or(false);
            if is_held || !crate::worker::has_work(self).await? {
                return Ok(false);
            }
        }
        self.launcher().ensure_worker().await
    }

    /// Sees to it that a worker is at work if there is anything to do: something open, a clean-up, or something that
    /// shall run and has no supervisor. So whatever was killed goes on at the next command, whichever that is.
    ///
    /// # Errors
    /// The store cannot be read, or the worker did not start.
    pub async fn attend(&self) -> Result<(), Error> {
        let lock = WorkerLock::at(self.dir());
        let is_held = lock.is_held().unwrap_or(false);
        if !is_held && (self.launcher().is_unattended() || crate::worker::has_work(self).await?) {
            self.ensure_worker().await?;
        }
        Ok(())
    }

    /// Sees to it that the proxy runs under its supervisor (`EXE proxy run --dir DIR`), and waits until it answers.
    ///
    /// # Errors
    /// It did not start.
    pub async fn ensure_proxy(&self) -> Result<(), Error> {
        let launcher = self.launcher();
        launcher.start_proxy().await?;
        let deadline = Instant::now() + PROXY_PATIENCE;
        loop {
            match launcher.client().status().await {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() >= deadline => {
                    return Err(Error::Launch {
                        what: "proxy",
                        why: chain(&error),
                        log: Some(launcher.proxy().output_path()),
                    });
                }
                Err(_) => sleep(LOOK_AGAIN).await,
            }
        }
    }

    /// Gives everything that shall run its supervisor back: instances, and the proxy where there is one.
    /// Answers what could not be done, one line each.
    ///
    /// # Errors
    /// The directories cannot be read.
    pub async fn sweep(&self) -> Result<Vec<String>, Error> {
        self.launcher().sweep().await
    }
}
