//! Several servers that go with the process that started them, however it ends.
//!
//! They are children of a small shell that reads a pipe whose other end only we hold: each line starts a server, and the
//! end of the pipe kills all of them and removes their directory.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// `$1`: the directory of it all. What they keep is not needed any more, so nobody is asked to end.
const SHELL: &str = r#"
dir=$1
pids=
while read -r line; do
  eval "exec $line &"
  pids="$pids $!"
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

    /// Starts a server; what it says goes to `log`.
    pub(crate) fn start(&mut self, server: &Command, log: &Path) -> Result<(), String> {
        let program = [server.get_program()].into_iter();
        let words = program.chain(server.get_args());
        let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
        let log = log.to_string_lossy();
        let line = format!(
            "{} </dev/null >{} 2>&1\n",
            shell_words::join(&words),
            shell_words::quote(&log)
        );
        let pipe = self.0.stdin.as_mut().ok_or("the keeper is gone")?;
        let sent = pipe.write_all(line.as_bytes());
        sent.map_err(|error| format!("the keeper is gone: {error}"))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
