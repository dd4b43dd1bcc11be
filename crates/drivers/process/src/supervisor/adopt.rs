//! Finding a command that is alive already. Must come before any start: two copies would fight for one port.

use std::os::unix::fs::MetadataExt;
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
        if let Some(identity) = marked(directory, spec) {
            return Child::adopt(identity);
        }
        if !is_any_blank() {
            break;
        }
        sleep(Duration::from_millis(2)).await;
    }
    None
}

/// Whether some process that has only just started shows no environment.
fn is_any_blank() -> bool {
    let newest = Stat::of(std::process::id()).map_or(0, |me| me.identity().start_ticks);
    let is_young = |stat: &Stat| stat.identity().start_ticks + YOUNG_TICKS >= newest;
    let is_blank = |pid| {
        std::fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|environment| environment.is_empty())
    };
    let me = rustix::process::geteuid().as_raw();
    let leaders = Stat::all()
        .into_iter()
        .filter(|stat| stat.group == stat.pid && stat.is_alive() && is_young(stat));
    leaders
        .into_iter()
        .any(|stat| owner(stat.pid) == Some(me) && is_blank(stat.pid))
}

/// The process that bears the marks of this directory and leads its group. There is one at most, as the lock is held; if
/// something it started leads a group of its own, the eldest is the command.
///
/// A program that overwrites its environment to show a title is not found by this; it needs longer to get there than its
/// supervisor needs to write it down.
pub(crate) fn marked(directory: &Directory, spec: &Spec) -> Option<Identity> {
    let marks = [
        format!("{MARK_ID}={}", spec.id).into_bytes(),
        [
            format!("{MARK_DIR}=").as_bytes(),
            directory.path().as_os_str().as_encoded_bytes(),
        ]
        .concat(),
    ];
    let me = rustix::process::geteuid().as_raw();
    let leaders = Stat::all()
        .into_iter()
        .filter(|stat| stat.group == stat.pid && stat.is_alive());
    leaders
        .filter(|stat| owner(stat.pid) == Some(me) && bears(stat.pid, &marks))
        .map(|stat| stat.identity())
        .min_by_key(|id| id.start_ticks)
}

fn owner(pid: u32) -> Option<u32> {
    Some(std::fs::metadata(format!("/proc/{pid}")).ok()?.uid())
}

pub(crate) fn bears(pid: u32, marks: &[Vec<u8>]) -> bool {
    let Ok(environment) = std::fs::read(format!("/proc/{pid}/environ")) else {
        return false;
    };
    marks.iter().all(|mark| {
        environment
            .split(|byte| *byte == 0)
            .any(|entry| entry == mark.as_slice())
    })
}
