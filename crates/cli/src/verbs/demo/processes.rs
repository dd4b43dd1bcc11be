//! The processes of a stage, found in `/proc` by what they are: Belay's own, and the instances that it started.

use crate::exit::Failure;
use crate::verbs::demo::unheld;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const PATIENCE: Duration = Duration::from_secs(10);
/// How long an instance may take to end before it is killed.
const GRACE: Duration = Duration::from_secs(3);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Whose a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Belay,
    Instance,
}

/// Kills every process of Belay that works on this directory with SIGKILL; answers what they were.
pub(crate) async fn kill_belay(dir: &Path) -> Result<Vec<String>, Failure> {
    let mut killed: Vec<(Pid, String)> = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = find(dir, Kind::Belay);
        if found.is_empty() {
            return Ok(killed.into_iter().map(|(_, role)| role).collect());
        }
        // Frozen first, so that none starts another one in the place of one that was killed; one may have done so
        // before, so it is looked again.
        for (pid, _) in &found {
            let _ = kill_process(*pid, Signal::STOP);
        }
        for (pid, role) in found {
            if kill_process(pid, Signal::KILL).is_ok() && !killed.contains(&(pid, role.clone())) {
                killed.push((pid, role));
            }
        }
        if Instant::now() >= deadline {
            let message = format!("processes of Belay in {} do not end", dir.display());
            return Err(unheld(message));
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// Ends everything that runs for this directory. Belay first: it would start its instances again.
pub(crate) async fn end_all(dir: &Path) -> Result<(), Failure> {
    kill_belay(dir).await?;
    let start = Instant::now();
    loop {
        let found = find(dir, Kind::Instance);
        if found.is_empty() {
            return Ok(());
        }
        let signal = if start.elapsed() < GRACE {
            Signal::TERM
        } else {
            Signal::KILL
        };
        for (pid, _) in found {
            // Gone already: as it should be.
            let _ = kill_process(pid, signal);
        }
        if start.elapsed() > GRACE + PATIENCE {
            let message = format!("instances in {} do not end", dir.display());
            return Err(unheld(message));
        }
        sleep(LOOK_AGAIN).await;
    }
}

fn find(dir: &Path, kind: Kind) -> Vec<(Pid, String)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let found = entries.filter_map(|entry| {
        let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
        if pid == rustix::process::getpid() {
            return None;
        }
        let (is, role) = look(&entry.path(), dir)?;
        (is == kind).then_some((pid, role))
    });
    found.collect()
}

fn look(process: &Path, dir: &Path) -> Option<(Kind, String)> {
    let exe = executable(&fs::read_link(process.join("exe")).ok()?);
    if exe.starts_with(dir) {
        return Some((Kind::Instance, "instance".to_owned()));
    }
    let own = std::env::current_exe().ok()?;
    if exe.file_name() != executable(&own).file_name() {
        return None;
    }
    let line = fs::read(process.join("cmdline")).ok()?;
    let words: Vec<_> = line
        .split(|byte| *byte == 0)
        .map(OsStr::from_bytes)
        .collect();
    let verb = words.get(1)?.to_string_lossy().into_owned();
    let here = || fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(dir));
    let is_ours = words
        .iter()
        .skip(2)
        .any(|word| Path::new(word).starts_with(dir))
        || here();
    let role = match verb.as_str() {
        // Another demonstration, or the one that ends this.
        "demo" => return None,
        "supervise" => "supervisor".to_owned(),
        "proxy" => "proxy".to_owned(),
        "worker" => "worker".to_owned(),
        other => format!("belay {other}"),
    };
    is_ours.then_some((Kind::Belay, role))
}

/// The kernel marks an executable that was replaced or removed.
fn executable(link: &Path) -> PathBuf {
    let bytes = link.as_os_str().as_bytes();
    let bytes = bytes.strip_suffix(b" (deleted)").unwrap_or(bytes);
    PathBuf::from(OsStr::from_bytes(bytes))
}
