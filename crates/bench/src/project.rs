//! A project in a temporary directory and the real command run in it. Everything that runs from it is killed, by pid,
//! when it is dropped.

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::timeout;

pub(crate) const ENVIRONMENT: &str = "bench";
/// How long one command may take where seconds are due.
const PATIENCE: Duration = Duration::from_secs(60);
/// Below those that the kernel gives to clients and that Belay gives to instances.
const PORTS: std::ops::Range<u16> = 8400..8600;

/// The release build, found beside this executable.
pub(crate) struct Binaries {
    pub(crate) belay: PathBuf,
    pub(crate) bookstore: PathBuf,
}

impl Binaries {
    pub(crate) fn find() -> Result<Self> {
        let exe = std::env::current_exe().context("find this executable")?;
        let find = |name| {
            let path = exe.with_file_name(name);
            ensure!(
                path.is_file(),
                "{} is not there: use `make bench`",
                path.display()
            );
            Ok(path)
        };
        Ok(Self {
            belay: find("belay")?,
            bookstore: find("bookstore")?,
        })
    }
}

/// What the deployments are like.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) strategy: &'static str,
    pub(crate) bake: &'static str,
    pub(crate) start_delay_ms: u64,
}

/// Two groups side by side, so that the old one stays warm.
pub(crate) const WARM: Kind = Kind {
    strategy: "blue_green",
    bake: "0s",
    start_delay_ms: 0,
};

/// A directory that is gone with its value.
pub(crate) fn temporary() -> Result<tempfile::TempDir> {
    tempfile::Builder::new()
        .prefix("belay-bench-")
        .tempdir()
        .context("make a temporary directory")
}

pub(crate) struct Project {
    dir: tempfile::TempDir,
    belay: PathBuf,
    /// Where the service is reached through Belay's proxy.
    pub(crate) address: SocketAddr,
    kind: Kind,
    /// Where strace writes, when it watches.
    traces: Option<PathBuf>,
    commands: std::cell::Cell<u32>,
}

impl Project {
    pub(crate) fn new(binaries: &Binaries, kind: Kind) -> Result<Self> {
        let dir = temporary()?;
        // A copy, so that what runs is known by its executable.
        let belay = dir.path().join("bin/belay");
        fs::create_dir_all(dir.path().join("bin"))?;
        fs::create_dir_all(dir.path().join("build"))?;
        fs::copy(&binaries.belay, &belay).context("copy belay")?;
        fs::copy(&binaries.bookstore, dir.path().join("build/bookstore"))
            .context("copy bookstore")?;
        Ok(Self {
            dir,
            belay,
            address: free_address()?,
            kind,
            traces: None,
            commands: 0.into(),
        })
    }

    /// From now on every command, and all that it starts, runs under strace, which writes the fsyncs here.
    pub(crate) fn trace(&mut self) -> Result<PathBuf> {
        let traces = self.dir.path().join("traces");
        fs::create_dir_all(&traces)?;
        self.traces = Some(traces.clone());
        Ok(traces)
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes `belay.yaml` as it is for this release.
    fn write(&self, release: u32, kind: Kind) -> Result<()> {
        let Kind {
            strategy,
            bake,
            start_delay_ms,
        } = kind;
        let text = format!(
            "service: bookstore\n\
             release: {{ artifact: build }}\n\
             config: {{ RELEASE: \"{release}\", START_DELAY_MS: \"{start_delay_ms}\" }}\n\
             verify: [{{ http: /health }}]\n\
             environments:\n  {ENVIRONMENT}:\n    target:\n      process:\n        run: ./bookstore\n        listen: {}\n\
             \x20       instances: 2\n        ready: {{ http: /health }}\n        stop_timeout: 2s\n\
             \x20   strategy: {strategy}\n\
             \x20   keep: {{ bake: {bake}, warm: 10m }}\n",
            self.address
        );
        fs::write(self.path().join("belay.yaml"), text).context("write belay.yaml")
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = match &self.traces {
            None => Command::new(&self.belay),
            Some(traces) => {
                let number = self.commands.replace(self.commands.get() + 1);
                let mut strace = Command::new("strace");
                // -D: strace is the grandchild, so that the command ends when belay does.
                strace
                    .args([
                        "-D",
                        "-f",
                        "-qq",
                        "-y",
                        "-ttt",
                        "-e",
                        "trace=fsync,fdatasync",
                    ])
                    .args(["-e", "signal=none", "-o"])
                    .arg(traces.join(format!("{number}.txt")))
                    .arg(&self.belay);
                strace
            }
        };
        command
            .args(words)
            .current_dir(self.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        for name in ["BELAY_DIR", "BELAY_FILE", "BELAY_KEY", "BELAY_LOG"] {
            command.env_remove(name);
        }
        command
    }

    /// Starts a command that nobody listens to.
    pub(crate) fn begin(&self, words: &[&str]) -> Result<Child> {
        let mut command = self.command(words);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
            .spawn()
            .with_context(|| format!("run belay {}", words.join(" ")))
    }

    /// Runs a command to its end; it has to exit with 0. Answers its document.
    pub(crate) async fn run(&self, words: &[&str]) -> Result<Value> {
        // Files, not pipes: strace would hold the other end.
        let (out, err) = (self.path().join("stdout"), self.path().join("stderr"));
        let mut command = self.command(words);
        command
            .args(["--output", "json", "--quiet"])
            .stdout(fs::File::create(&out)?)
            .stderr(fs::File::create(&err)?);
        let line = words.join(" ");
        let status = timeout(PATIENCE, command.status()).await;
        let status = status.with_context(|| format!("wait for belay {line}"))?;
        let status = status.with_context(|| format!("run belay {line}"))?;
        let (data, talk) = (fs::read_to_string(&out)?, fs::read_to_string(&err)?);
        if !status.success() {
            bail!("belay {line}: {status}\n{data}\n{talk}");
        }
        serde_json::from_str(&data).with_context(|| format!("read what belay {line} says: {talk}"))
    }

    /// Puts release 1 out, without a bake that others would have to wait for.
    pub(crate) async fn first(&self) -> Result<()> {
        let bake = "0s";
        self.write(1, Kind { bake, ..self.kind })?;
        self.run(&["deploy", "-e", ENVIRONMENT]).await.map(drop)
    }

    /// Puts a release out; answers the deployment.
    pub(crate) async fn deploy(&self, release: u32) -> Result<Value> {
        self.write(release, self.kind)?;
        let document = self.run(&["deploy", "-e", ENVIRONMENT]).await?;
        Ok(document["deployment"].clone())
    }

    /// Puts a release out, until it has all traffic; its bake goes on.
    pub(crate) async fn promote(&self, release: u32) -> Result<Value> {
        self.write(release, self.kind)?;
        let line = ["deploy", "-e", ENVIRONMENT, "--until", "promoted"];
        Ok(self.run(&line).await?["deployment"].clone())
    }

    /// Begins to put a release out.
    pub(crate) fn begin_deploy(&self, release: u32) -> Result<Child> {
        self.write(release, self.kind)?;
        self.begin(&["deploy", "-e", ENVIRONMENT])
    }

    /// Goes back; answers the deployment that did it.
    pub(crate) async fn roll_back(&self) -> Result<Value> {
        let document = self
            .run(&["rollback", "-e", ENVIRONMENT, "--yes", "--reason", "bench"])
            .await?;
        Ok(document["deployment"].clone())
    }

    /// The newest deployment.
    pub(crate) async fn last(&self) -> Result<Value> {
        let history = self.run(&["history", "-n", "1"]).await?;
        Ok(history["deployments"][0].clone())
    }

    /// A deployment's journal.
    pub(crate) async fn events(&self, deployment: &Value) -> Result<Vec<Value>> {
        let id = deployment["id"].as_str().context("a deployment's id")?;
        let history = self.run(&["history", "--events", id]).await?;
        let events = history["events"].as_array();
        Ok(events.context("events")?.clone())
    }

    /// Processes that run from here: (pid, command line).
    pub(crate) fn processes(&self) -> Vec<(Pid, String)> {
        let Ok(dir) = fs::canonicalize(self.path()) else {
            return Vec::new();
        };
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let found = entries.filter_map(|entry| {
            let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
            let exe = fs::read_link(entry.path().join("exe")).ok()?;
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            exe.starts_with(&dir).then_some((pid, line))
        });
        found.collect()
    }

    /// SIGKILLs those of Belay's own processes that are meant; answers how many.
    pub(crate) fn kill_belay(&self, is_meant: impl Fn(&str) -> bool) -> usize {
        let own = self.belay.to_string_lossy();
        let processes = self.processes().into_iter();
        let meant = processes.filter(|(_, line)| line.starts_with(&*own) && is_meant(line));
        meant
            .filter(|(pid, _)| kill_process(*pid, Signal::KILL).is_ok())
            .count()
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        // Supervisors bring instances back, so they go first; again, for what was being started.
        for _ in 0..5 {
            self.kill_belay(|_| true);
            for (pid, _) in self.processes() {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

/// A port that nobody listens on.
pub(crate) fn free_address() -> Result<SocketAddr> {
    let mut ports = PORTS;
    let free = ports.find_map(|port| {
        let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
        bound.local_addr().ok()
    });
    free.ok_or_else(|| anyhow!("no port of {PORTS:?} is free"))
}

/// A time of a deployment's timeline, Unix microseconds.
pub(crate) fn time(deployment: &Value, name: &str) -> Result<i64> {
    let at_us = deployment["timeline"][format!("{name}_us")].as_i64();
    at_us.with_context(|| format!("{name} in the timeline of {deployment:#}"))
}

/// Microseconds as milliseconds.
pub(crate) fn ms(us: i64) -> f64 {
    us as f64 / 1000.0
}
