//! A project in a temporary directory and the real command run in it. Everything that runs from it is killed, by pid,
//! when it is dropped.

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Below the folder.
const TALK: &str = "begun";
/// How long one command may take where seconds are due.
const PATIENCE: Duration = Duration::from_secs(60);
/// A directory that is gone with its value.
pub(crate) fn temporary() -> Result<tempfile::TempDir> {
    tempfile::Builder::new()
        .prefix("belay-bench-")
        .tempdir()
        .context("make a temporary directory")
}

pub(crate) struct Home {
    dir: tempfile::TempDir,
    belay: PathBuf,
    /// Where its deployments go.
    environment: &'static str,
    /// Variables that the commands have besides ours.
    variables: Vec<(String, String)>,
    /// Where strace writes, when it watches.
    traces: Option<PathBuf>,
    commands: std::cell::Cell<u32>,
}

impl Home {
    pub(crate) fn new(belay: &Path, environment: &'static str) -> Result<Self> {
        let dir = temporary()?;
        // A copy, so that what runs is known by its executable.
        let copy = dir.path().join("bin/belay");
        fs::create_dir_all(dir.path().join("bin"))?;
        fs::copy(belay, &copy).context("copy belay")?;
        Ok(Self {
            dir,
            belay: copy,
            environment,
            variables: Vec::new(),
            traces: None,
            commands: 0.into(),
        })
    }

    /// From now on every command has this variable.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.variables.push((name.to_owned(), value.into()));
    }

    /// Writes a file of the project.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.path().join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, text).with_context(|| format!("write {name}"))
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
        let variables = self.variables.iter();
        command.envs(variables.map(|(name, value)| (name, value)));
        command
    }

    /// Starts a command; what it says of its progress is kept: [`Home::talk`].
    pub(crate) fn begin(&self, words: &[&str]) -> Result<Child> {
        let mut command = self.command(words);
        let talk = self.path().join(TALK);
        let talk = fs::File::options().create(true).append(true).open(talk)?;
        command.stdout(Stdio::null()).stderr(talk);
        command
            .spawn()
            .with_context(|| format!("run belay {}", words.join(" ")))
    }

    /// What all commands said that were begun.
    pub(crate) fn talk(&self) -> String {
        fs::read_to_string(self.path().join(TALK)).unwrap_or_default()
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

    /// Goes back; answers the deployment that did it.
    pub(crate) async fn roll_back(&self) -> Result<Value> {
        let document = self
            .run(&[
                "rollback",
                "-e",
                self.environment,
                "--yes",
                "--reason",
                "bench",
            ])
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

impl Drop for Home {
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

/// A time of a deployment's timeline, Unix microseconds.
pub(crate) fn time(deployment: &Value, name: &str) -> Result<i64> {
    let at_us = deployment["timeline"][format!("{name}_us")].as_i64();
    at_us.with_context(|| format!("{name} in the timeline of {deployment:#}"))
}

/// Microseconds as milliseconds.
pub(crate) fn ms(us: i64) -> f64 {
    us as f64 / 1000.0
}
