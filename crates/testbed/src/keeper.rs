//! Several servers that go with the process that started them, however it ends.
//!
//! They are children of a small shell that reads a pipe whose other end only we hold: each line starts a server or forgets one
//! that was killed, and the end of the pipe kills all of them and removes their directory.

use crate::postgres::pause;
use rustix::process::{Pid, Signal, kill_process};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// `$1`: the directory of it all. What they keep is not needed any more, so nobody is asked to end.
const SHELL: &str = r#"
dir=$1
pids=
while read -r line; do
  case $line in
  "forget "*) # Its number may be another's by the end.
    others=
    for pid in $pids; do [ "$pid" = "${line#forget }" ] || others="$others $pid"; done
    pids=$others ;;
  *)
    eval "exec $line &"
    pids="$pids $!" ;;
  esac
done
[ -z "$pids" ] || kill -KILL $pids 2>/dev/null
wait
rm -rf "$dir"
"#;

#[derive(Debug)]
pub(crate) struct Keeper(Child);

impl Keeper {
    /// A keeper without servers; from now on `dir` is removed with it.
    pub(crate) fn of(dir: &Path) -> Result<Self, String> {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", SHELL, "keeper"])
            .arg(dir)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // What interrupts the tests at a terminal is not for it: it sees their end.
            .process_group(0);
        shell
            .spawn()
            .map(Self)
            .map_err(|error| format!("sh: {error}"))
    }

    /// Starts a server; what it says goes to the end of `log`, and its number beside it.
    pub(crate) fn start(&mut self, server: &Command, log: &Path) -> Result<(), String> {
        let number = number_file(log);
        let number = number.to_string_lossy();
        // The number is that of the server, as the shell becomes it.
        let shell = ["sh", "-c", r#"echo $$ >"$0"; exec "$@""#, &number].map(Into::into);
        let program = [server.get_program().to_string_lossy()].into_iter();
        let arguments = server.get_args().map(|word| word.to_string_lossy());
        let words: Vec<_> = shell.into_iter().chain(program).chain(arguments).collect();
        let log = log.to_string_lossy();
        let line = format!(
            "{} </dev/null >>{} 2>&1\n",
            shell_words::join(&words),
            shell_words::quote(&log)
        );
        self.say(&line)
    }

    /// SIGKILLs a server, by the log that it was started with. What it held is free when this returns.
    pub(crate) fn kill(&mut self, log: &Path) -> Result<(), String> {
        let pid = signal(log, Signal::KILL)?;
        while is_alive(pid) {
            pause();
        }
        // It is there until it is let go of by the shell, so that its number is nobody else's here.
        self.say(&format!("forget {}\n", pid.as_raw_nonzero()))
    }

    fn say(&mut self, line: &str) -> Result<(), String> {
        let pipe = self.0.stdin.as_mut().ok_or("the keeper is gone")?;
        let sent = pipe.write_all(line.as_bytes());
        sent.map_err(|error| format!("the keeper is gone: {error}"))
    }
}

/// Sends a signal to a server, by the log that it was started with.
pub(crate) fn signal(log: &Path, signal: Signal) -> Result<Pid, String> {
    let text = std::fs::read_to_string(number_file(log)).map_err(|error| error.to_string())?;
    let number = text.trim().parse().ok().and_then(Pid::from_raw);
    let pid = number.ok_or_else(|| format!("{} has no number", log.display()))?;
    kill_process(pid, signal).map_err(|error| format!("{}: {error}", log.display()))?;
    Ok(pid)
}

/// Whether it is more than a number that somebody has yet to ask for.
fn is_alive(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    let state = stat.as_deref().ok().and_then(|it| it.rsplit(')').next());
    state.is_some_and(|it| !it.trim_start().starts_with('Z'))
}

/// Where the number of a process is written.
fn number_file(log: &Path) -> PathBuf {
    log.with_extension("pid")
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
