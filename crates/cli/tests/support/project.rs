//! A project folder of its own, the real `belay` on it, and load from wrk, which is not ours. Everything is stopped by
//! pid when the test ends, however it ends.

use super::disk::Disk;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

/// Longest time that anything here may take before it counts as hung; no test is about speed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// The same for a command, which may wait for much of that one after the other.
const LIFE: Duration = Duration::from_secs(180);

/// See the module.
pub(crate) struct Project {
    dir: tempfile::TempDir,
    pub(crate) port: u16,
    /// Of every command, and so of the workers that they start.
    pub(crate) env: Vec<(String, String)>,
    /// Done before each command, with its arguments.
    pub(crate) before: Option<Before>,
    /// Keep the ports from other tests while the proxy does not hold them.
    claims: Mutex<Vec<UnixListener>>,
}

/// See [`Project::before`].
pub(crate) type Before = Box<dyn Fn(&Project, &[&str]) + Send + Sync>;

/// Whose life a process of Belay is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A command, the worker, or a supervisor of an instance.
    Control,
    /// The proxy, or its supervisor.
    Proxy,
}

impl Project {
    /// An empty folder.
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("belay-e2e-")
            .tempdir()
            .expect("a folder");
        let (port, claim) = port();
        Self {
            dir,
            port,
            env: Vec::new(),
            before: None,
            claims: Mutex::new(vec![claim]),
        }
    }

    /// One more port, as free as the first.
    pub(crate) fn another_port(&self) -> u16 {
        let (port, claim) = port();
        self.claims.lock().expect("no panic").push(claim);
        port
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file below the folder, and its directories.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("below")).expect("directories");
        std::fs::write(path, text).expect("written");
    }

    /// Writes a file that can be run.
    pub(crate) fn executable(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        self.write(name, text);
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(self.dir.path().join(name), mode).expect("a mode");
    }

    /// A small disk of its own below the folder.
    pub(crate) fn disk(&self, name: &str, size: &str) -> Disk {
        Disk::mount(self.dir.path().join(name), size)
    }

    /// Writes `belay.yaml` for one environment `test` of the service `web`, with this `config:`, and these lines below
    /// `target: process`, `verify:` and the environment.
    pub(crate) fn configure(&self, config: &str, process: &str, verify: &str, environment: &str) {
        let port = self.port;
        self.write(
            "belay.yaml",
            &format!(
                "service: web\nrelease: {{ artifact: ./dist }}\nconfig: {{ {config} }}\nverify:\n{verify}\nenvironments:\n  test:\n    \
                 target: {{ process: {{ {process}, listen: \"127.0.0.1:{port}\" }} }}\n    {environment}\n"
            ),
        );
    }

    /// The command, not run yet.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        if let Some(before) = &self.before {
            before(self, arguments);
        }
        self.bare(arguments)
    }

    /// The same with nothing done before it.
    pub(crate) fn bare(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_belay"));
        command
            .args(arguments)
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        command
            .env_remove("BELAY_DIR")
            .env_remove("BELAY_FILE")
            .env_remove("BELAY_STORE")
            .env_remove("BELAY_KEY")
            .env_remove("BELAY_HOST")
            .envs(self.env.iter().cloned())
            .env("TMPDIR", self.dir.path());
        command
    }

    /// Runs it to its end.
    pub(crate) fn belay(&self, arguments: &[&str]) -> Output {
        ends(&mut self.command(arguments))
    }

    /// Someone says something; answers the exit code.
    pub(crate) fn says(&self, who: &str, arguments: &[&str]) -> Option<i32> {
        ends(self.command(arguments).env("BELAY_ACTOR", who))
            .status
            .code()
    }

    /// Starts it, and goes on beside it.
    pub(crate) fn beside(&self, arguments: &[&str]) -> Beside {
        let said = self.dir.path().join(format!(
            "{}-said.txt",
            arguments.join("-").replace('/', "-")
        ));
        let file = std::fs::File::create(&said).expect("a file");
        let mut command = self.command(arguments);
        let child = command.stdout(Stdio::null()).stderr(file).spawn();
        Beside {
            child: child.expect("belay runs"),
            said,
        }
    }

    /// Runs it with `--output json`, expects this exit code, and answers the document.
    pub(crate) fn json(&self, exit: i32, arguments: &[&str]) -> Value {
        let output = self.belay(&[arguments, &["--output", "json"]].concat());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let talk = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            output.status.code(),
            Some(exit),
            "belay {arguments:?}\n{text}\n{talk}"
        );
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("belay {arguments:?}: {error}\n{text}\n{talk}"))
    }

    /// One request of our own; the status, or none where nobody answers.
    pub(crate) fn get(&self, path: &str) -> Option<(u16, String)> {
        self.get_at(self.port, path)
    }

    /// The same at another port.
    pub(crate) fn get_at(&self, port: u16, path: &str) -> Option<(u16, String)> {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
        )
        .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        Some((status, answer))
    }

    /// Constant load on a path from wrk until [`Load::stop`].
    pub(crate) fn load(&self, path: &str) -> Load {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let report = self
            .dir
            .path()
            .join(format!("wrk{}.txt", path.replace('/', "-")));
        let file = std::fs::File::create(&report).expect("a report");
        // Slow enough to leave the machine to what is tested; wrk has no rate, so few connections it is.
        let child = Command::new("wrk")
            .args(["-t1", "-c2", "-d300s", &url])
            .stdout(file)
            .stderr(Stdio::null())
            .spawn()
            .expect("wrk is installed: `make needs`");
        Load { child, report }
    }

    /// Pids of every process that belongs to this folder, with their command lines.
    pub(crate) fn processes(&self) -> Vec<(i32, String)> {
        let own = self.dir.path().to_string_lossy().into_owned();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
            let Some(pid) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse::<i32>().ok())
            else {
                continue;
            };
            let read = |name: &str| std::fs::read(entry.path().join(name)).unwrap_or_default();
            let line = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
            let of_instance = String::from_utf8_lossy(&read("environ")).contains(&own);
            // Who renames itself, as nginx's workers do, has neither words nor variables that tell.
            let cwd = std::fs::read_link(entry.path().join("cwd")).unwrap_or_default();
            let is_here = cwd.starts_with(&own);
            let ours = u32::try_from(pid) == Ok(std::process::id());
            if !ours && !line.is_empty() && (line.contains(&own) || of_instance || is_here) {
                found.push((pid, line));
            }
        }
        found
    }

    /// SIGKILLs every process of Belay: commands, worker, supervisors, proxy; the instances live on.
    pub(crate) fn kill_belay(&self) -> usize {
        self.kill_all(&[Role::Control, Role::Proxy])
    }

    /// SIGKILLs everything that runs here.
    pub(crate) fn kill_everything(&self) {
        // Supervisors bring instances back, so they go first; again, for what was being started.
        for _ in 0..3 {
            self.kill_belay();
            for (pid, _) in self.processes() {
                kill(pid);
            }
        }
    }

    /// SIGKILLs every process of Belay that has one of these roles. They are frozen first, so that none starts another
    /// one meanwhile.
    pub(crate) fn kill_all(&self, roles: &[Role]) -> usize {
        let mut frozen = std::collections::BTreeSet::new();
        loop {
            let processes = self.processes().into_iter();
            let own =
                processes.filter(|(_, line)| role(line).is_some_and(|role| roles.contains(&role)));
            let new: Vec<i32> = own
                .map(|(pid, _)| pid)
                .filter(|pid| frozen.insert(*pid))
                .collect();
            if new.is_empty() {
                return frozen.into_iter().filter(|pid| kill(*pid)).count();
            }
            for pid in new {
                signal(pid, Signal::STOP);
            }
        }
    }

    /// Whether a process holds this lock of the store.
    pub(crate) fn holds(&self, lock: &str) -> bool {
        use rustix::fs::{FlockOperation, flock};
        std::fs::File::open(self.dir.path().join(".belay").join(lock))
            .is_ok_and(|file| flock(file, FlockOperation::NonBlockingLockShared).is_err())
    }

    /// SIGKILLs the worker, so that the next command starts one with that command's environment.
    pub(crate) fn kill_worker(&self) {
        self.kill_one(" worker --detached ");
    }

    /// SIGKILLs the processes whose command line contains this; how many there were.
    pub(crate) fn kill_one(&self, part: &str) -> usize {
        let processes = self.processes().into_iter();
        let fitting = processes.filter(|(_, line)| line.contains(part));
        fitting.filter(|(pid, _)| kill(*pid)).count()
    }

    /// All of it stands still.
    pub(crate) fn pause(&self, pid: i32) {
        assert!(signal(pid, Signal::STOP), "{pid} was there");
    }

    /// Waits until it stands still, and has it go on.
    pub(crate) fn go_on(&self, pid: i32) {
        until("it stands still", || is_paused(pid).then_some(()));
        assert!(signal(pid, Signal::CONT), "{pid} was there");
    }

    /// SIGKILLs it.
    pub(crate) fn kill(&self, pid: i32) {
        assert!(kill(pid), "{pid} was there");
    }

    /// The process whose command line contains this.
    pub(crate) fn find(&self, part: &str) -> Option<i32> {
        let processes = self.processes().into_iter();
        processes
            .filter(|(_, line)| line.contains(part))
            .map(|(pid, _)| pid)
            .next()
    }
}

/// None: it is not of Belay.
fn role(line: &str) -> Option<Role> {
    let words = line.strip_prefix(env!("CARGO_BIN_EXE_belay"))?.trim();
    let is_proxy = words.starts_with("proxy run") || words.ends_with("/proxy/supervised");
    Some(if is_proxy { Role::Proxy } else { Role::Control })
}

/// A port that nobody listens on and no other test has claimed; below those that the kernel gives to clients, one of
/// which could take it while the proxy is down, and below those of instances.
fn port() -> (u16, UnixListener) {
    let claim = |port: u16| {
        let name = SocketAddr::from_abstract_name(format!("belay-test-{port}")).ok()?;
        let claim = UnixListener::bind_addr(&name).ok()?;
        TcpListener::bind(("127.0.0.1", port)).ok()?;
        Some((port, claim))
    };
    (10_000..18_000).find_map(claim).expect("a port")
}

impl Drop for Project {
    fn drop(&mut self) {
        self.kill_everything();
    }
}

/// Whether every thread of a process stands still.
pub(crate) fn is_paused(pid: i32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
    let states = threads.into_iter().flatten().flatten().map(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // `pid (name) T ...`, and a name may have anything in it.
        stat.rsplit(')').next().map(|rest| rest.starts_with(" T"))
    });
    let states: Vec<bool> = states.flatten().collect();
    !states.is_empty() && states.into_iter().all(|it| it)
}

fn kill(pid: i32) -> bool {
    signal(pid, Signal::KILL)
}

fn signal(pid: i32, signal: Signal) -> bool {
    Pid::from_raw(pid).is_some_and(|pid| kill_process(pid, signal).is_ok())
}

/// Runs a command to its end; one that has none is killed, and the test fails with what it said until then.
pub(crate) fn ends(command: &mut Command) -> Output {
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("belay runs");
    let pid = i32::try_from(child.id()).expect("a pid");
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || tell.send(child.wait_with_output()));
    let ended = told.recv_timeout(LIFE).unwrap_or_else(|_| {
        kill(pid);
        let said = told.recv_timeout(PATIENCE);
        panic!("{command:?} has no end: {said:?}")
    });
    ended.expect("belay runs")
}

/// A command that runs beside the test.
pub(crate) struct Beside {
    child: Child,
    said: PathBuf,
}

impl Beside {
    /// What it wrote to stderr so far.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.said).expect("its words")
    }

    /// Waits until it has written this.
    pub(crate) fn until_it_says(&self, words: &str) {
        until(words, || self.said().contains(words).then_some(()));
    }

    /// Waits for its end; what it wrote, all of it, if it succeeded.
    pub(crate) fn succeeds(mut self) -> String {
        let status = self.child.wait().expect("gone");
        let said = self.said();
        assert!(status.success(), "{said}");
        said
    }
}

/// Load that runs.
pub(crate) struct Load {
    child: Child,
    report: PathBuf,
}

/// What wrk saw.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) requests: u64,
    /// Answers that were neither 2xx nor 3xx.
    pub(crate) errors: u64,
    /// Connections refused, cut or silent.
    pub(crate) broken: u64,
}

impl Seen {
    /// Many requests, and not one that failed.
    pub(crate) fn all_good(&self) {
        assert!(self.requests > 0, "{self:?}");
        assert_eq!((self.errors, self.broken), (0, 0), "{self:?}");
    }
}

impl Load {
    /// Stops it as Ctrl-C does, and answers what it saw.
    pub(crate) fn stop(mut self) -> Seen {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-INT", &pid]).status();
        let _ = self.child.wait();
        let text = std::fs::read_to_string(&self.report).expect("wrk's report");
        let after = |mark: &str| {
            text.lines()
                .find_map(|line| line.trim().strip_prefix(mark))
                .map(str::trim)
                .unwrap_or_default()
                .to_owned()
        };
        let requests = text
            .lines()
            .find_map(|line| line.trim().split_once(" requests in "))
            .map(|(count, _)| count);
        let numbers = after("Socket errors:");
        let broken = numbers
            .split([' ', ','])
            .filter_map(|word| word.parse::<u64>().ok())
            .sum();
        Seen {
            requests: requests
                .and_then(|count| count.trim().parse().ok())
                .unwrap_or(0),
            errors: after("Non-2xx or 3xx responses:").parse().unwrap_or(0),
            broken,
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for something, however long it takes on this machine.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            Instant::now() < end,
            "{what} did not happen in {} s",
            PATIENCE.as_secs()
        );
        // Not a sleep that a test relies on: only so that looking leaves the machine to what is looked at.
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
