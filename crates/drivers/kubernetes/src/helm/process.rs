//! Helm at work: a process of its own, which goes on when this one ends, and is found again by whoever takes over.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// How often it is looked whether a process is there still, where the kernel does not tell.
const LOOK: Duration = Duration::from_millis(20);
/// How long one that nobody wants any more may go on by itself, and how long it may take to end when it is told to.
const PATIENCE: Duration = Duration::from_secs(5);

/// Which process: its number may be another's by now, its start is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Process {
    /// Machine, and since when it runs.
    pub(crate) host: String,
    pub(crate) pid: u32,
    /// In the kernel's ticks since the machine was started.
    pub(crate) start: u64,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) is_success: bool,
    /// What it wrote about what went wrong.
    pub(crate) said: String,
}

/// How each that was started ends, by target.
type Started = BTreeMap<String, (Process, watch::Receiver<Option<Ended>>)>;

/// Those that this process has started.
#[derive(Default)]
pub(crate) struct Processes(Mutex<Started>);

impl Processes {
    pub(crate) fn add(
        &self,
        target: &str,
        process: Process,
        ended: watch::Receiver<Option<Ended>>,
    ) {
        self.lock().insert(target.to_owned(), (process, ended));
    }

    /// Waits until it has ended; how it did is known of those that this process has started.
    pub(crate) async fn end_of(&self, target: &str, process: &Process) -> Option<Ended> {
        let own = self.lock().get(target).cloned();
        if let Some((_, mut ended)) = own.filter(|(own, _)| own == process) {
            let seen = ended.wait_for(Option::is_some).await;
            return seen.ok().and_then(|it| it.clone());
        }
        process.ended().await;
        None
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Started> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Process {
    /// The one of that number, now.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let (start, _) = stat(pid)?;
        let host = here();
        Some(Self { host, pid, start })
    }

    /// Whether it could be seen from here: on this machine, or on it before it was started anew.
    pub(crate) fn is_of_here(&self) -> bool {
        let name = |host: &str| host.split('/').next().map(str::to_owned);
        name(&self.host) == name(&here())
    }

    /// Whether it runs; false, too, for one that is elsewhere.
    pub(crate) fn is_alive(&self) -> bool {
        let is_it =
            |(start, state): (u64, char)| start == self.start && !matches!(state, 'Z' | 'X');
        self.host == here() && stat(self.pid).is_some_and(is_it)
    }

    /// Waits until it has ended, whoever started it.
    async fn ended(&self) {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        // Opened before it is recognised: what is recognised then is what was opened.
        let pidfd = pid.map(|pid| pidfd_open(pid, PidfdFlags::empty()));
        if !self.is_alive() {
            return;
        }
        if let Some(Ok(pidfd)) = pidfd
            && let Ok(end) = watch_end(pidfd)
        {
            // Without a word it could not be waited for.
            let _ = end.await;
        }
        while self.is_alive() {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits a moment for its end, and then ends it: first so that it can note that it was broken off.
    pub(crate) async fn stop(&self) {
        let mut ended = pin!(self.ended());
        for signal in [Signal::TERM, Signal::KILL] {
            if tokio::time::timeout(PATIENCE, &mut ended).await.is_ok() {
                return;
            }
            if !self.is_alive() {
                break;
            }
            let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
            // One that is gone by now needs no signal.
            let _ = pid.map(|pid| kill_process(pid, signal));
        }
        ended.await;
    }
}

/// A pidfd becomes readable when its process ends. A thread waits for that, as registering a descriptor with tokio takes unsafe
/// code or a deprecated call; there is one for each helm that is waited for.
fn watch_end(pidfd: OwnedFd) -> std::io::Result<oneshot::Receiver<()>> {
    let (tell, end) = oneshot::channel();
    let wait = move || {
        let is_readable = PollFd::new(&pidfd, PollFlags::IN);
        while poll(&mut [is_readable.clone()], None) == Err(rustix::io::Errno::INTR) {}
        // Nobody may want to know any more.
        let _ = tell.send(());
    };
    std::thread::Builder::new()
        .name("end-of-helm".to_owned())
        .stack_size(64 << 10)
        .spawn(wait)?;
    Ok(end)
}

/// A helm on this machine that somebody has at work on a release of that name, in that namespace or in one that it was not
/// told.
pub(crate) fn somebodys(release: &str, namespace: &str) -> Option<Process> {
    let entries = std::fs::read_dir("/proc").ok()?;
    let pids = entries
        .flatten()
        .filter_map(|it| it.file_name().to_str()?.parse().ok());
    let is_it = |pid: &u32| {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<&str> = line.split('\0').collect();
        is_at_work(&words, release, namespace)
    };
    { pids }
        .find(is_it)
        .and_then(Process::of)
        .filter(Process::is_alive)
}

fn is_at_work(words: &[&str], release: &str, namespace: &str) -> bool {
    let Some((program, words)) = words.split_first() else {
        return false;
    };
    let is_helm = Path::new(program)
        .file_name()
        .is_some_and(|it| it == "helm");
    let after = |flag: &str| {
        let at = words.iter().position(|it| *it == flag)?;
        words.get(at + 1).copied()
    };
    let joined = || words.iter().find_map(|it| it.strip_prefix("--namespace="));
    let told = after("--namespace").or_else(|| after("-n")).or_else(joined);
    is_helm && words.contains(&release) && told.is_none_or(|it| it == namespace)
}

/// This machine as long as it runs: numbers of processes mean nothing on another, or after it was started anew.
fn here() -> String {
    let read = |name: &str| {
        let text = std::fs::read_to_string(Path::new("/proc/sys/kernel").join(name));
        text.unwrap_or_default().trim().to_owned()
    };
    format!("{}/{}", read("hostname"), read("random/boot_id"))
}

/// When a process started, and its state (proc(5)).
fn stat(pid: u32) -> Option<(u64, char)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Its name stands in brackets and may have anything in it.
    let (_, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((fields.nth(18)?.parse().ok()?, state))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Poll;

    #[test]
    fn a_helm_is_known_by_what_it_was_told() {
        let check = |line: &str, expect: bool| {
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!(is_at_work(&words, "shop", "prod"), expect, "{line}");
        };
        check("/usr/bin/helm upgrade shop ./chart -n prod", true);
        check("helm --namespace=prod rollback shop 3", true);
        check("helm rollback shop 3", true);
        check("helm upgrade shop ./chart --namespace test", false);
        check("helm upgrade web ./chart -n prod", false);
        check("vi helm shop", false);
    }

    #[tokio::test]
    async fn a_process_is_known_by_its_start() {
        let mut child = tokio::process::Command::new("sleep")
            .arg("600")
            .spawn()
            .unwrap();
        let process = Process::of(child.id().unwrap()).unwrap();
        assert!(process.is_alive() && process.is_of_here());
        let another = Process {
            start: process.start + 1,
            ..process.clone()
        };
        assert!(!another.is_alive());
        let elsewhere = Process {
            host: "elsewhere/1".to_owned(),
            ..process.clone()
        };
        assert!(!elsewhere.is_alive() && !elsewhere.is_of_here());
        child.kill().await.unwrap();
        assert!(!process.is_alive());
    }

    #[tokio::test]
    async fn the_end_of_somebody_elses_process_is_seen() {
        // Its parent is gone, so that it is nobody's here to wait for.
        let output = tokio::process::Command::new("sh")
            .args(["-c", "sleep 600 >/dev/null 2>&1 & echo $!"])
            .output();
        let output = output.await.unwrap();
        let pid: u32 = String::from_utf8(output.stdout)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        let process = Process::of(pid).unwrap();
        let mut ended = pin!(process.ended());
        let is_pending =
            std::future::poll_fn(|cx| Poll::Ready(ended.as_mut().poll(cx).is_pending()));
        assert!(is_pending.await);
        let before = Process {
            start: process.start + 1,
            ..process.clone()
        };
        before.ended().await;
        let raw = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        kill_process(raw, Signal::KILL).unwrap();
        tokio::time::timeout(Duration::from_secs(60), ended)
            .await
            .expect("it is seen");
        assert!(!process.is_alive());
    }
}
