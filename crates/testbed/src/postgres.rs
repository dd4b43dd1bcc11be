//! A PostgreSQL server on loopback, with a data directory of its own.
//!
//! The server is the child of a small shell that also waits for us: it reads a pipe whose other end only we hold. When
//! that ends, because the value was dropped or because the process is gone, however it went, the shell stops the server
//! and removes its files.

use crate::certificates::Identity;
use crate::release::{Version, run};
use std::fs::{OpenOptions, Permissions};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to start: it may have to recover first.
const START: Duration = Duration::from_secs(60);

/// `$1`: the directory of it all; the rest starts the server. Told `keep`, it leaves the files.
const KEEPER: &str = r#"
dir=$1; shift
"$@" </dev/null >>"$dir/log" 2>&1 &
server=$!
read -r word
kill -QUIT $server 2>/dev/null
wait $server
[ "$word" = keep ] || rm -rf "$dir"
"#;

/// See the module.
#[derive(Debug)]
pub struct Postgres {
    dir: PathBuf,
    programs: PathBuf,
    port: u16,
    keeper: Option<Child>,
}

impl Postgres {
    /// Makes a data directory and starts a server on it. Syncing is on: what is acknowledged survives a crash.
    ///
    /// # Errors
    /// Why there is no server, for people.
    pub fn start(version: Version) -> Result<Self, String> {
        let mut server = Self::unpack(version)?;
        run(server
            .unprivileged("initdb")
            .arg("-D")
            .arg(server.data())
            .args(["-U", "belay", "--auth=trust", "--no-sync"])
            .args(["-E", "UTF8", "--locale=C"]))?;
        server.launch_anywhere()?;
        Ok(server)
    }

    /// A second server that follows this one by streaming replication, under that name, until [`Postgres::promote`].
    /// Debian's PostgreSQL only: the other one comes without `pg_basebackup`.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub fn standby(&self, name: &str) -> Result<Self, String> {
        let mut standby = Self::unpack(Version::V15)?;
        let from = format!("{} application_name={name}", self.conninfo());
        run(standby
            .unprivileged("pg_basebackup")
            .args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync"])
            .arg(format!("--dbname={from}"))
            .arg("--pgdata")
            .arg(standby.data()))?;
        standby.launch_anywhere()?;
        Ok(standby)
    }

    /// Makes a standby a server of its own.
    ///
    /// # Errors
    /// It does not become one.
    pub fn promote(&self) -> Result<(), String> {
        run(self
            .unprivileged("pg_ctl")
            .args(["promote", "-w", "-D"])
            .arg(self.data()))
    }

    /// Changes a setting that needs no restart: `name = value`, as in `postgresql.conf`.
    ///
    /// # Errors
    /// The server does not run, or its files cannot be written.
    pub fn set(&self, line: &str) -> Result<(), String> {
        let path = self.data().join("postgresql.conf");
        let file = OpenOptions::new().append(true).open(path);
        let written = file.and_then(|mut file| writeln!(file, "{line}"));
        written.map_err(|e| e.to_string())?;
        run(self
            .unprivileged("pg_ctl")
            .args(["reload", "-D"])
            .arg(self.data()))
    }

    /// Starts it again with TLS, and lets nobody in without. With `clients`, the file of an authority, only those whom it
    /// calls as the user they want to be.
    ///
    /// # Errors
    /// It does not come up again.
    pub fn secure(&mut self, identity: &Identity, clients: Option<&Path>) -> Result<(), String> {
        self.stop("keep\n");
        self.take(&identity.certificate, "server.crt")?;
        self.take(&identity.key, "server.key")?;
        let mut lines = "ssl = on\n".to_owned();
        let mut method = "trust";
        if let Some(authority) = clients {
            self.take(authority, "clients.crt")?;
            lines.push_str("ssl_ca_file = 'clients.crt'\n");
            method = "cert";
        }
        let file = OpenOptions::new()
            .append(true)
            .open(self.data().join("postgresql.conf"));
        let written = file.and_then(|mut file| file.write_all(lines.as_bytes()));
        written.map_err(|e| e.to_string())?;
        let who = format!("hostssl all all 127.0.0.1/32 {method}\n");
        std::fs::write(self.data().join("pg_hba.conf"), who).map_err(|e| e.to_string())?;
        self.launch()
    }

    /// Copies a file for the server alone.
    fn take(&self, from: &Path, name: &str) -> Result<(), String> {
        let to = self.data().join(name);
        let copy = || {
            std::fs::copy(from, &to)?;
            std::fs::set_permissions(&to, Permissions::from_mode(0o600))?;
            match owner() {
                Some((user, group)) => std::os::unix::fs::chown(&to, Some(user), Some(group)),
                None => Ok(()),
            }
        };
        copy().map_err(|e| format!("{}: {e}", to.display()))
    }

    /// Where to connect: `postgres://USER@HOST:PORT/` and the name of a database that is there.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://belay@127.0.0.1:{}/{database}", self.port)
    }

    /// The database that is there from the beginning.
    pub const DATABASE: &str = "postgres";

    /// Its port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops it as a crash of the machine would, without the loss of what was synced, and starts it again on the same
    /// port.
    ///
    /// # Errors
    /// It does not come up again.
    pub fn crash_and_restart(&mut self) -> Result<(), String> {
        self.stop("keep\n");
        self.launch()
    }

    /// Stops it at once, and keeps its files.
    pub fn crash(&mut self) {
        self.stop("keep\n");
    }

    /// Starts it again after [`Postgres::crash`].
    ///
    /// # Errors
    /// It does not come up.
    pub fn restart(&mut self) -> Result<(), String> {
        self.launch()
    }

    /// A directory of its own with the programs in it, owned by whom the server runs as.
    fn unpack(version: Version) -> Result<Self, String> {
        let programs = version.directory()?;
        let dir = tempfile::Builder::new().prefix("belay-postgres-").tempdir();
        let dir = dir.map_err(|e| e.to_string())?.keep();
        let server = Self {
            programs: dir.join("programs"),
            dir,
            port: 0,
            keeper: None,
        };
        server.prepare(&programs)?;
        Ok(server)
    }

    fn prepare(&self, programs: &Path) -> Result<(), String> {
        // Copied where the programs lie in a place that only we may enter: the server runs as somebody else.
        if owner().is_some() && !programs.starts_with("/usr") {
            run(Command::new("cp")
                .args(["-a", "--reflink=auto"])
                .arg(programs)
                .arg(&self.programs))?;
        } else {
            std::os::unix::fs::symlink(programs, &self.programs).map_err(|e| e.to_string())?;
        }
        if let Some((user, group)) = owner() {
            let chown = std::os::unix::fs::chown(&self.dir, Some(user), Some(group));
            chown.map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    fn conninfo(&self) -> String {
        format!("host=127.0.0.1 port={} user=belay", self.port)
    }

    /// A free port may be taken by someone else before the server has it.
    fn launch_anywhere(&mut self) -> Result<(), String> {
        let mut last = String::new();
        for _ in 0..5 {
            self.port = free_port()?;
            match self.launch() {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn launch(&mut self) -> Result<(), String> {
        let server = self.unprivileged("postgres");
        let mut keeper = Command::new("sh");
        keeper
            .args(["-c", KEEPER, "keeper"])
            .arg(&self.dir)
            .arg(server.get_program())
            .args(server.get_args())
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string()])
            .args(["-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "unix_socket_directories="])
            .args(["-c", "max_connections=200"])
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // What interrupts the tests at a terminal is not for it: it sees their end.
            .process_group(0);
        let _ = std::fs::remove_file(self.data().join("postmaster.pid"));
        self.keeper = Some(keeper.spawn().map_err(|e| format!("sh: {e}"))?);
        self.wait()
    }

    /// Until the eighth line of the pid file says `ready`; a standby says `standby`, once it answers reads.
    fn wait(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            let pid_file = std::fs::read_to_string(self.data().join("postmaster.pid"));
            let text = pid_file.unwrap_or_default();
            if matches!(
                text.lines().nth(7).map(str::trim),
                Some("ready" | "standby")
            ) {
                return Ok(());
            }
            let log = std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
            if log.contains("could not bind") || log.contains("FATAL:  could not create any") {
                self.stop("keep\n");
                let _ = std::fs::remove_file(self.dir.join("log"));
                return Err("its port was taken".to_owned());
            }
            pause();
        }
        let log = std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        Err(format!("the server does not come up: {log}"))
    }

    fn stop(&mut self, word: &str) {
        if let Some(mut keeper) = self.keeper.take() {
            if let Some(mut pipe) = keeper.stdin.take() {
                let _ = pipe.write_all(word.as_bytes());
            }
            let _ = keeper.wait();
        }
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// One of its programs, not as root: the server refuses that.
    fn unprivileged(&self, program: &str) -> Command {
        let path = self.programs.join("bin").join(program);
        let Some((user, group)) = owner() else {
            return Command::new(path);
        };
        let mut command = Command::new("setpriv");
        command
            .arg(format!("--reuid={user}"))
            .arg(format!("--regid={group}"))
            .arg("--clear-groups")
            .arg(path)
            .current_dir("/");
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop("");
        // When it never came up there was no keeper to do it.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Whom the server belongs to, when we are root: nobody (65534 on all Linux systems).
fn owner() -> Option<(u32, u32)> {
    rustix::process::geteuid()
        .is_root()
        .then_some((65534, 65534))
}

pub(crate) fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    let address = listener.local_addr().map_err(|e| e.to_string())?;
    Ok(address.port())
}

#[allow(
    clippy::disallowed_methods,
    reason = "a real server starts in real time"
)]
pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}
