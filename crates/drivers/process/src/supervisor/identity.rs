//! Who a process is. A pid alone may belong to a stranger by the time it is read: with the start time and the boot it is unique.
//! Nothing in here signals a process that it has not recognised through an open pidfd.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;

use rustix::process::{Pid, PidfdFlags, Signal};
use serde::{Deserialize, Serialize};

/// One process, for as long as this machine runs and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub pid: u32,
    /// Field 22 of `/proc/PID/stat`: clock ticks from boot to its start.
    pub start_ticks: u64,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
}

impl Identity {
    /// The process that has this pid now; `None` if there is none or it is only waiting to be reaped.
    pub fn of(pid: u32) -> Option<Self> {
        Stat::of(pid)
            .filter(Stat::is_alive)
            .map(|stat| stat.identity())
    }

    pub fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// A file descriptor of this very process: opened first, recognised afterwards, so that it cannot be a later one.
    pub(crate) fn open(&self) -> Option<OwnedFd> {
        let fd = open(self.pid).ok()?;
        self.is_alive().then_some(fd)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(fd) = self.open() {
            // It may end between the two: then there is nothing left to signal.
            let _ = rustix::process::pidfd_send_signal(fd.as_fd(), signal);
        }
    }

    /// The live processes of the group that this process leads, or led: the kernel does not use a pid again while a group is
    /// named by it, so if the pid has a new owner then the group is gone.
    pub(crate) fn group(&self) -> Vec<Stat> {
        if self.boot_id != boot_id()
            || Stat::of(self.pid).is_some_and(|leader| leader.start_ticks != self.start_ticks)
        {
            return Vec::new();
        }
        Stat::all()
            .into_iter()
            .filter(|stat| stat.group == self.pid && stat.is_alive())
            .collect()
    }
}

/// A pidfd; the caller makes sure that it is of whom it thinks.
pub(crate) fn open(pid: u32) -> std::io::Result<OwnedFd> {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or(std::io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::pidfd_open(pid, PidfdFlags::empty())?)
}

/// What `/proc/PID/stat` says, as far as we need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) pid: u32,
    pub(crate) name: String,
    state: char,
    pub(crate) group: u32,
    threads: u32,
    start_ticks: u64,
}

impl Stat {
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let raw = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        Self::parse(&String::from_utf8_lossy(&raw))
    }

    pub(crate) fn all() -> Vec<Self> {
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter_map(Self::of)
            .collect()
    }

    pub(crate) fn is_alive(&self) -> bool {
        // The main thread may have ended before others: they are the process then, and still hold its files.
        !matches!(self.state, 'Z' | 'X' | 'x') || self.threads > 1
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity {
            pid: self.pid,
            start_ticks: self.start_ticks,
            boot_id: boot_id().to_owned(),
        }
    }

    /// proc_pid_stat(5). The name stands in brackets and may hold anything, brackets and spaces too: its end is the last one.
    fn parse(line: &str) -> Option<Self> {
        let (open, close) = (line.find('(')?, line.rfind(')')?);
        let fields: Vec<&str> = line.get(close + 1..)?.split_whitespace().collect();
        Some(Self {
            pid: line[..open].trim().parse().ok()?,
            name: line.get(open + 1..close)?.to_owned(),
            state: fields.first()?.chars().next()?,
            group: fields.get(2)?.parse().ok()?,
            threads: fields.get(17)?.parse().ok()?,
            start_ticks: fields.get(19)?.parse().ok()?,
        })
    }
}

fn boot_id() -> &'static str {
    static BOOT_ID: OnceLock<String> = OnceLock::new();
    BOOT_ID.get_or_init(|| {
        std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map(|id| id.trim().to_owned())
            .unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_brackets_and_spaces() {
        let line = "42 (a) b (c)) S 1 40 40 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 777 8 9";
        let stat = Stat::parse(line).unwrap();
        assert_eq!(
            (stat.pid, stat.name.as_str(), stat.group, stat.start_ticks),
            (42, "a) b (c)", 40, 777)
        );
    }

    #[test]
    fn a_pid_alone_is_nobody() {
        let me = Identity::of(std::process::id()).unwrap();
        assert!(me.is_alive());
        assert!(
            !Identity {
                start_ticks: me.start_ticks + 1,
                ..me.clone()
            }
            .is_alive()
        );
        assert!(
            !Identity {
                boot_id: "another".to_owned(),
                ..me.clone()
            }
            .is_alive()
        );
        assert!(
            Identity {
                start_ticks: me.start_ticks + 1,
                ..me
            }
            .open()
            .is_none()
        );
    }
}
