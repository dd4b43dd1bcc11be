//! The stage: a temporary directory with a project in it, a port, and the real command run there as a person would.

use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::verbs::demo::{processes, unheld};
use serde_json::Value;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// The port people expect, and what is taken instead: below those that the kernel gives to clients, one of which could
/// take it while the proxy is down.
const PORTS: std::ops::Range<u16> = 8080..8280;
/// How long one command may take where seconds are due.
const PATIENCE: Duration = Duration::from_secs(180);
/// Only a directory with this in it is ever removed.
const MARK: &str = ".belay-demo";
pub(crate) const ENVIRONMENT: &str = "demo";

/// What a release is like.
pub(crate) struct Release {
    pub(crate) number: u32,
    pub(crate) error_rate: &'static str,
}

pub(crate) struct Stage {
    dir: PathBuf,
    exe: PathBuf,
    pub(crate) address: SocketAddr,
    /// Keeps the port from another demonstration until the proxy has it.
    _claim: Option<UnixListener>,
}

impl Stage {
    pub(crate) fn set(bookstore: Option<PathBuf>) -> Result<Self, Failure> {
        let exe = std::env::current_exe().map_err(|error| io("find this executable", &error))?;
        let bookstore = find_bookstore(&exe, bookstore)?;
        let (address, claim) = port()?;
        let temporary = tempfile::Builder::new().prefix("belay-demo-").tempdir();
        let temporary = temporary.map_err(|error| io("make a temporary directory", &error))?;
        // Without symbolic links in it: it is looked for in the paths of processes.
        let dir = fs::canonicalize(temporary.path()).map_err(|error| io("find it", &error))?;
        let fill = || {
            fs::write(dir.join(MARK), "made by belay demo\n")?;
            fs::create_dir(dir.join("build"))?;
            fs::copy(&bookstore, dir.join("build/bookstore")).map(drop)
        };
        fill().map_err(|error| io("fill it", &error))?;
        // From here on it is removed when nothing runs in it any more.
        let _ = temporary.keep();
        Ok(Self {
            dir,
            exe,
            address,
            _claim: claim,
        })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes `belay.yaml` as it is for this release.
    pub(crate) fn write(&self, release: &Release) -> Result<(), Failure> {
        let Release { number, error_rate } = release;
        let text = format!(
            "# belay demo: release {number}\n\
             service: bookstore\n\
             release:\n  artifact: build\n\
             config:\n  RELEASE: \"{number}\"\n  ERROR_RATE: {error_rate}\n\
             verify:\n  - http: /health\n  - traffic: {{ max_errors: 1%, min_requests: 50 }}\n\
             environments:\n  {ENVIRONMENT}:\n    target:\n      process:\n        run: ./bookstore\n        listen: {}\n\
             \x20       instances: 2\n        ready: {{ http: /health }}\n        stop_timeout: 2s\n\
             \x20   strategy:\n      canary:\n        - {{ to: 10%, for: 5s }}\n\
             \x20   keep: {{ bake: 2s, warm: 5m }}\n",
            self.address
        );
        fs::write(self.dir.join("belay.yaml"), text).map_err(|error| io("write belay.yaml", &error))
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.exe);
        command
            .args(words)
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            // Ctrl-C is for us: a terminal would send it to everyone.
            .process_group(0)
            .kill_on_drop(true);
        for name in [
            "BELAY_DIR",
            "BELAY_FILE",
            "BELAY_HOST",
            "BELAY_KEY",
            "BELAY_LOG",
            "BELAY_STORE",
        ] {
            command.env_remove(name);
        }
        command
    }

    /// Starts a command and shows it, as a person would type it.
    pub(crate) fn begin(&self, output: Output, words: &[&str]) -> Result<Running, Failure> {
        let line = typed(words);
        output.say(&format!("\n  $ belay {line}"));
        let mut command = self.command(words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| io("run belay", &error))?;
        let talk = child.stderr.take().map(|pipe| pass(output, pipe));
        let data = child.stdout.take().map(|pipe| pass(output, pipe));
        Ok(Running {
            child,
            line,
            pipes: [talk, data].into_iter().flatten().collect(),
        })
    }

    /// Runs a command and shows it and what it says; answers its exit code.
    pub(crate) async fn run(&self, output: Output, words: &[&str]) -> Result<Option<i32>, Failure> {
        self.begin(output, words)?.end().await
    }

    /// Asks for data. Not part of the story.
    pub(crate) async fn ask(&self, words: &[&str]) -> Result<Value, Failure> {
        let line = typed(words);
        let mut command = self.command(words);
        command.args(["--output", "json"]);
        let answer = timeout(PATIENCE, command.output()).await;
        let answer = answer.map_err(|_| unheld(format!("`belay {line}` does not end")))?;
        let answer = answer.map_err(|error| io("run belay", &error))?;
        serde_json::from_slice(&answer.stdout).map_err(|_| {
            let said = String::from_utf8_lossy(&answer.stderr).into_owned();
            unheld(format!("`belay {line}` gives no data")).detail([said])
        })
    }

    /// Ends everything that runs here and removes it.
    pub(crate) async fn strike(&self) -> Result<(), Failure> {
        strike(&self.dir).await
    }
}

/// Ends a stage, also one that another run kept.
pub(crate) async fn strike(dir: &Path) -> Result<(), Failure> {
    let none = || {
        let message = format!("{} is no directory of a demo", dir.display());
        Failure::usage(message)
    };
    let dir = fs::canonicalize(dir).map_err(|_| none())?;
    if !dir.join(MARK).is_file() {
        return Err(none());
    }
    processes::end_all(&dir).await?;
    fs::remove_dir_all(&dir).map_err(|error| io("remove its directory", &error))
}

/// A command that runs.
pub(crate) struct Running {
    child: Child,
    line: String,
    pipes: Vec<tokio::task::JoinHandle<()>>,
}

impl Running {
    /// Waits for it; answers its exit code, none if it was killed.
    pub(crate) async fn end(mut self) -> Result<Option<i32>, Failure> {
        let ended = timeout(PATIENCE, self.child.wait()).await;
        let ended = ended.map_err(|_| unheld(format!("`belay {}` does not end", self.line)))?;
        for pipe in self.pipes {
            // Whatever it started holds no end of it.
            let _ = timeout(Duration::from_secs(1), pipe).await;
        }
        let status: ExitStatus = ended.map_err(|error| io("wait for belay", &error))?;
        Ok(status.code())
    }
}

/// Passes on what a command says, line by line.
fn pass(
    output: Output,
    pipe: impl AsyncRead + Unpin + Send + 'static,
) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let mut lines = BufReader::new(pipe).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            output.say(format!("  │ {line}").trim_end());
        }
    })
}

/// As a person types it.
fn typed(words: &[&str]) -> String {
    let quoted = words.iter().map(|word| {
        if word.contains(' ') {
            format!("'{word}'")
        } else {
            (*word).to_owned()
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

fn find_bookstore(exe: &Path, named: Option<PathBuf>) -> Result<PathBuf, Failure> {
    let path = named.unwrap_or_else(|| exe.with_file_name("bookstore"));
    if path.is_file() {
        return Ok(path);
    }
    let message = format!("the service to deploy is not at {}", path.display());
    Err(Failure::usage(message)
        .next("make demo    builds it and runs the demo")
        .next("belay demo --bookstore PATH"))
}

/// A port that nobody listens on and no other demonstration is about to use.
fn port() -> Result<(SocketAddr, Option<UnixListener>), Failure> {
    for port in PORTS {
        let name = format!("belay-demo-{port}");
        let claim = std::os::unix::net::SocketAddr::from_abstract_name(name)
            .and_then(|name| UnixListener::bind_addr(&name));
        let Ok(claim) = claim else { continue };
        if let Ok(free) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            let address = free
                .local_addr()
                .map_err(|error| io("find a port", &error))?;
            return Ok((address, Some(claim)));
        }
    }
    let any = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|any| any.local_addr());
    any.map(|address| (address, None))
        .map_err(|error| io("find a free port", &error))
}

fn io(what: &str, error: &std::io::Error) -> Failure {
    Failure::new(
        Exit::Unusable,
        "E0302",
        format!("failed to {what}: {error}"),
    )
}
