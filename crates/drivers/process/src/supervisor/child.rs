//! The running command: started here or adopted. Knows how to tell that it ended and how to end it, not when to.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use super::directory::Directory;
use super::{Ended, Identity, Spec, identity};

/// Marks the processes of a command, so that one whose start was not written down can be found.
pub(crate) const MARK_ID: &str = "BELAY_INSTANCE";
/// Tells apart commands of the same id in different stores of one machine.
pub(crate) const MARK_DIR: &str = "BELAY_INSTANCE_DIR";
/// All that a command gets from the environment of whoever started Belay: what programs need to work at all.
pub(crate) const INHERITED: [&str; 6] = ["PATH", "HOME", "USER", "LANG", "TMPDIR", "TZ"];

const LOOK_AGAIN: Duration = Duration::from_millis(20);

pub(crate) struct Child {
    pub(crate) identity: Identity,
    has_ended: watch::Receiver<bool>,
    /// `None` if it was adopted: then the kernel tells its end to someone else.
    handle: Option<std::process::Child>,
}

impl Child {
    /// Starts it; the error is a sentence for people.
    pub(crate) fn start(
        directory: &Directory,
        spec: &Spec,
        secrets: &BTreeMap<String, String>,
    ) -> Result<Self, String> {
        if !spec.cwd.is_dir() {
            return Err(format!(
                "its working directory {} does not exist",
                spec.cwd.display()
            ));
        }
        let mut handle = command(directory, spec, secrets)
            .map_err(|e| format!("open {}: {e}", directory.output().display()))?
            .spawn()
            .map_err(|e| {
                format!(
                    "`{}`: {e}{}",
                    spec.command.join(" "),
                    hint(&e, &spec.command[0])
                )
            })?;
        // Not reaped yet, so its pid cannot have a new owner, and its start time can be read even if it has ended already.
        let identity = identity::Stat::of(handle.id()).map(|stat| stat.identity());
        let watched =
            identity.and_then(|it| Some((it, watch_end(identity::open(handle.id()).ok()?).ok()?)));
        let Some((identity, has_ended)) = watched else {
            let _ = handle.kill();
            let _ = handle.wait();
            return Err("it cannot be watched: /proc or pidfd_open(2) does not work".to_owned());
        };
        Ok(Self {
            identity,
            has_ended,
            handle: Some(handle),
        })
    }

    /// One that an earlier supervisor started; `None` if it is gone.
    pub(crate) fn adopt(identity: Identity) -> Option<Self> {
        let has_ended = watch_end(identity.open()?).ok()?;
        Some(Self {
            identity,
            has_ended,
            handle: None,
        })
    }

    /// Returns when it has ended; it is not reaped yet. Cancel safe.
    pub(crate) async fn ended(&self) {
        if self
            .has_ended
            .clone()
            .wait_for(|ended| *ended)
            .await
            .is_err()
        {
            // Its watcher is gone, which it never should be: look by hand.
            while self.identity.is_alive() {
                sleep(LOOK_AGAIN).await;
            }
        }
    }

    /// After [`Child::ended`]: ends what is left of its group (a copy started next would find the port taken) and reaps it.
    pub(crate) async fn reap(mut self) -> Ended {
        // Twice: what forks while it is being killed has left another one.
        while !self.identity.group().is_empty() {
            self.kill();
            sleep(LOOK_AGAIN).await;
        }
        let Some(handle) = &mut self.handle else {
            return Ended::Unknown;
        };
        match handle.wait() {
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) => Ended::Code(code),
                (None, Some(signal)) => Ended::Signal(signal),
                (None, None) => Ended::Unknown,
            },
            Err(_) => Ended::Unknown,
        }
    }

    /// SIGTERM to the group, SIGKILL to what is left of it after the timeout; returns when all of it is gone.
    pub(crate) async fn terminate(self, timeout: Duration) -> Ended {
        let deadline = Instant::now() + timeout;
        self.signal(Signal::TERM);
        if timeout_at(deadline, self.ended()).await.is_err() {
            self.kill();
            self.ended().await;
        }
        // The leader may be a shell that ends at once while what it started still finishes its requests.
        while Instant::now() < deadline && !self.identity.group().is_empty() {
            sleep(LOOK_AGAIN).await;
        }
        self.reap().await
    }

    fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        match (
            &self.handle,
            i32::try_from(self.identity.pid)
                .ok()
                .and_then(Pid::from_raw),
        ) {
            // Ours and not reaped: the group's number is still its own. One call reaches all of it, forks included.
            (Some(_), Some(group)) => {
                let _ = kill_process_group(group, signal);
            }
            // Adopted: it may have ended and its pid been used again by now, so each member is recognised first.
            _ => self
                .identity
                .group()
                .iter()
                .for_each(|member| member.identity().signal(signal)),
        }
    }
}

/// A pidfd becomes readable when its process ends. A thread waits for that, as registering a descriptor with tokio takes unsafe
/// code or a deprecated call; a supervisor has one of them at a time.
fn watch_end(pidfd: OwnedFd) -> io::Result<watch::Receiver<bool>> {
    let (tx, rx) = watch::channel(false);
    let wait = move || {
        let end = PollFd::new(&pidfd, PollFlags::IN);
        let ended = loop {
            match poll(&mut [end.clone()], None) {
                Err(rustix::io::Errno::INTR) => {}
                other => break other.is_ok(),
            }
        };
        // Dropped without a word if it could not be waited for: `ended` looks by hand then.
        if ended {
            let _ = tx.send(true);
        }
    };
    std::thread::Builder::new()
        .name("end-of-command".to_owned())
        .stack_size(64 << 10)
        .spawn(wait)?;
    Ok(rx)
}

fn command(
    directory: &Directory,
    spec: &Spec,
    secrets: &BTreeMap<String, String>,
) -> io::Result<Command> {
    let output = fs::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(directory.output())?;
    let mut command = Command::new(&spec.command[0]);
    command
        .args(&spec.command[1..])
        .current_dir(&spec.cwd)
        .env_clear();
    command.envs(inherited()).envs(&spec.env).envs(secrets);
    if let Some(port) = spec.port {
        command.env("PORT", port.to_string());
    }
    command
        .env(MARK_ID, &spec.id)
        .env(MARK_DIR, directory.path());
    command
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .process_group(0);
    Ok(command)
}

pub(crate) fn inherited() -> impl Iterator<Item = (&'static str, std::ffi::OsString)> {
    INHERITED
        .into_iter()
        .filter_map(|name| Some((name, std::env::var_os(name)?)))
}

fn hint(error: &io::Error, program: &str) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound if program.contains('/') => {
            " (is it there, and the interpreter that its first line names?)"
        }
        io::ErrorKind::NotFound => " (it is not in PATH)",
        io::ErrorKind::PermissionDenied => " (is it executable?)",
        _ => "",
    }
}
