//! Finding a command that is alive already. Must come before any start: two copies would fight for one port.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::sleep;

use super::child::{Child, MARK_DIR, MARK_ID};
use super::directory::Directory;
use super::identity::Stat;
use super::{Identity, Spec, Status};

/// Five seconds, in clock ticks of 10 ms.
const YOUNG_TICKS: u64 = 500;

/// The live command of this directory: the one that was written down, else the one that was started just before a kill.
///
/// Between fork and exec a command has no marks yet, but holds the lock of the supervisor that forked it, so whoever has the lock
/// comes later. While it is being executed its environment is blank for a moment: that is waited out.
pub(crate) async fn find(
    directory: &Directory,
    spec: &Spec,
    last: Option<&Status>,
) -> Option<Child> {
    if let Some(child) = last
        .and_then(|status| status.child.clone())
        .and_then(Child::adopt)
    {
        return Some(child);
    }
    for _ in 0..50 {
        match look(directory, spec) {
            Seen::Marked(identity) => return Child::adopt(identity),
            Seen::Nothing => return None,
            Seen::Blank => sleep(Duration::from_millis(2)).await,
        }
    }
    None
}

/// The process that bears the marks of this directory and leads its group. There is one at most, as the lock is held; if
/// something it started leads a group of its own, the eldest is the command.
///
/// A program that overwrites its environment to show a title is not found by this; it needs longer to get there than its
/// supervisor needs to write it down.
pub(crate) fn marked(directory: &Directory, spec: &Spec) -> Option<Identity> {
    match look(directory, spec) {
        Seen::Marked(identity) => Some(identity),
        Seen::Nothing | Seen::Blank => None,
    }
}

enum Seen {
    Marked(Identity),
    /// None, but a process that has only just started showed no environment: it may be about to.
    Blank,
    Nothing,
}

/// Each environment is read once: a second read to tell why the first one did not match may see another one.
fn look(directory: &Directory, spec: &Spec) -> Seen {
    let marks = [
        format!("{MARK_ID}={}", spec.id).into_bytes(),
        [
            format!("{MARK_DIR}=").as_bytes(),
            directory.path().as_os_str().as_encoded_bytes(),
        ]
        .concat(),
    ];
    let me = rustix::process::geteuid().as_raw();
    let young = young();
    let mut eldest: Option<Identity> = None;
    let mut is_any_blank = false;
    for stat in Stat::all()
        .into_iter()
        .filter(|stat| stat.group == stat.pid && stat.is_alive())
    {
        if owner(stat.pid) != Some(me) {
            continue;
        }
        let identity = stat.identity();
        match environment(stat.pid) {
            Some(all) if all.is_empty() => is_any_blank |= identity.start_ticks >= young,
            Some(all)
                if has(&all, &marks)
                    && eldest
                        .as_ref()
                        .is_none_or(|it| identity.start_ticks < it.start_ticks) =>
            {
                eldest = Some(identity);
            }
            _ => {}
        }
    }
    match eldest {
        Some(identity) => Seen::Marked(identity),
        None if is_any_blank => Seen::Blank,
        None => Seen::Nothing,
    }
}

/// A process that began before this showed its environment long ago, if it has one.
fn young() -> u64 {
    Stat::of(std::process::id()).map_or(0, |me| {
        me.identity().start_ticks.saturating_sub(YOUNG_TICKS)
    })
}

/// The directories that processes of ours bear as a mark; none: one that has only just started showed no environment, and
/// may be about to. One look at all processes, where `find` takes one for each directory.
pub(crate) fn directories() -> Option<BTreeSet<PathBuf>> {
    let me = rustix::process::geteuid().as_raw();
    let young = young();
    let prefix = format!("{MARK_DIR}=").into_bytes();
    let mut found = BTreeSet::new();
    let leaders = Stat::all()
        .into_iter()
        .filter(|stat| stat.group == stat.pid && stat.is_alive());
    for stat in leaders.filter(|stat| owner(stat.pid) == Some(me)) {
        match environment(stat.pid) {
            Some(all) if all.is_empty() && stat.identity().start_ticks >= young => return None,
            Some(all) => {
                let marks = all.split(|byte| *byte == 0);
                let marks = marks.filter_map(|entry| entry.strip_prefix(prefix.as_slice()));
                found.extend(marks.map(|path| PathBuf::from(OsStr::from_bytes(path))));
            }
            None => {}
        }
    }
    Some(found)
}

fn owner(pid: u32) -> Option<u32> {
    Some(std::fs::metadata(format!("/proc/{pid}")).ok()?.uid())
}

pub(crate) fn bears(pid: u32, marks: &[Vec<u8>]) -> bool {
    environment(pid).is_some_and(|all| has(&all, marks))
}

fn environment(pid: u32) -> Option<Vec<u8>> {
    std::fs::read(format!("/proc/{pid}/environ")).ok()
}

fn has(environment: &[u8], marks: &[Vec<u8>]) -> bool {
    marks.iter().all(|mark| {
        environment
            .split(|byte| *byte == 0)
            .any(|entry| entry == mark.as_slice())
    })
}
