//! On a terminal: the same words, and no surprise from a library that looks whether there is one.

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

/// Runs on a terminal of its own; answers the exit code and what the terminal shows.
fn belay(args: &[&str]) -> (Option<i32>, String) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&master).expect("granted");
    unlockpt(&master).expect("unlocked");
    let name = ptsname(&master, Vec::new()).expect("a name");
    let name = std::ffi::OsStr::from_bytes(name.as_bytes());
    let slave = File::options()
        .read(true)
        .write(true)
        .open(name)
        .expect("its other side");
    let dir = tempfile::tempdir().expect("a directory");
    let other = || Stdio::from(slave.try_clone().expect("a copy"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_belay"));
    command.args(args).current_dir(dir.path()).env_clear();
    command.stdin(other()).stdout(other()).stderr(other());
    let mut child = command.spawn().expect("belay runs");
    drop((command, slave));
    let mut shown = Vec::new();
    // Ends with an error when the last holder of the other side is gone.
    let _ = File::from(master).read_to_end(&mut shown);
    let status = child.wait().expect("it ends");
    (status.code(), String::from_utf8_lossy(&shown).into_owned())
}

#[test]
fn an_error_reads_the_same() {
    let (code, shown) = belay(&["status"]);
    assert_eq!(code, Some(2), "{shown}");
    assert!(
        shown.contains("error[E0302]: there is no store at"),
        "{shown}"
    );
}

#[test]
fn help_comes_whole() {
    let (code, shown) = belay(&["rollback", "--help"]);
    assert_eq!(code, Some(0), "{shown}");
    assert!(
        shown.contains("belay rollback -e production --plan"),
        "{shown}"
    );
}
