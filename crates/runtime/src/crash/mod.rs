//! Crash points: places where a test makes this process stand still, to kill all of Belay with SIGKILL while nothing
//! goes on behind its back.
//!
//! Every append to a journal and every driver call pass here, by decorators around the ports, so that nothing in the
//! engine or in a driver knows of it. `BELAY_CRASH_POINTS` names a file to which each point is written as it is
//! passed, one line each: `apply.inside 3 the route is set`. The number counts the points of that name over all
//! processes that write to the file. `BELAY_CRASH_AT=apply.inside:3` stops there: the line `stopped` is written, then
//! the process stops itself and never passes. `BELAY_CRASH_AT=apply.inside` stops at each point of that name in the same way,
//! without that line, and goes on from it when somebody continues the process.
//!
//! *Inside* a driver's call is wherever it asks a port or tells its progress; in between it changes nothing else.
//!
//! Only in debug builds: nobody shall be able to stop a release through its environment. A cargo feature would not do,
//! as the binary that tests run (`CARGO_BIN_EXE_belay`) has the features that users get.

mod driver;
mod store;

pub(crate) use driver::{artifacts, driver, router};
pub(crate) use store::store;

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Signal, getpid, kill_process};
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::OnceLock;

/// What the environment asks for.
pub(crate) struct Points {
    file: PathBuf,
    at: Option<String>,
}

/// None: nobody tests.
fn points() -> Option<&'static Points> {
    static POINTS: OnceLock<Option<Points>> = OnceLock::new();
    let read = || {
        let file = std::env::var_os("BELAY_CRASH_POINTS")?;
        Some(Points {
            file: file.into(),
            at: std::env::var("BELAY_CRASH_AT").ok(),
        })
    };
    POINTS.get_or_init(read).as_ref()
}

impl Points {
    /// Passes a point, or stops at it: for ever, or until somebody continues the process. `about` is for people.
    fn pass(&self, name: &str, about: &str) {
        if let Err(error) = self.written(name, about) {
            // A point that is not counted makes every later one another: better no run than a wrong one.
            panic!("write the crash points to {}: {error}", self.file.display());
        }
    }

    fn written(&self, name: &str, about: &str) -> std::io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .append(true)
            .create(true)
            .open(&self.file)?;
        // Several processes count together.
        flock(&file, FlockOperation::LockExclusive)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let same = |line: &&str| line.split(' ').next() == Some(name);
        let number = text.lines().filter(same).count() + 1;
        writeln!(file, "{name} {number} {about}")?;
        if self.at.as_deref() == Some(format!("{name}:{number}").as_str()) {
            writeln!(file, "stopped")?;
            stop();
        }
        // Others may count meanwhile.
        drop(file);
        if self.at.as_deref() == Some(name) {
            kill_process(getpid(), Signal::STOP)?;
        }
        Ok(())
    }
}

/// All threads stand still; whoever continues them finds this one waiting.
fn stop() -> ! {
    let _ = kill_process(getpid(), Signal::STOP);
    loop {
        std::thread::park();
    }
}
