//! The supervisor itself: start or adopt, watch, record the end, wait, start again; until it is asked to stop.
//!
//! Must not hold anything that only its memory knows and the next supervisor would need: whatever matters is in the directory
//! before the next thing is done.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::backoff::Backoff;
use super::child::Child;
use super::claim::Claim;
use super::directory::{Directory, Lock};
use super::status::now_ms;
use super::{
    Desired, Ended, Identity, KeyFile, Phase, Readiness, Sealer, Spec, Status, adopt, listener,
    output, probe, protocol, serve,
};
use crate::Error;
use crate::error::chain;

/// The own log is small: a line per start and end.
pub(crate) const OWN_LOG_BYTES: u64 = 1 << 20;
/// A ready command may miss one probe.
const MISSES: u32 = 2;

/// [`run`] for a `main`: the error goes to standard error, which is `supervisor.log`.
pub fn main(dir: &Path) -> ExitCode {
    match run(dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log(&format!("failed to {}", chain(&error)));
            ExitCode::FAILURE
        }
    }
}

/// The body of `belay supervise DIR`: returns when the command has been stopped, or at once if another supervisor is at work.
pub fn run(dir: &Path) -> Result<(), Error> {
    // Away from the terminal and the session of whoever started it. Fails if it is a leader already: then it is away.
    let _ = rustix::process::setsid();
    let path = std::fs::canonicalize(dir).map_err(Error::io(format!("open {}", dir.display())))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime
        .map_err(Error::io("build a runtime"))?
        .block_on(supervise(Directory::new(path)))
}

async fn supervise(directory: Directory) -> Result<(), Error> {
    let spec = directory.spec()?;
    let Some(_lock) = take_lock(&directory).await? else {
        return Ok(());
    };
    let socket = directory.listen()?;
    let last = directory.status()?;
    let mut status = last
        .clone()
        .unwrap_or_else(|| Status::new(&spec.id, spec.port));
    status.desired = directory.desired()?;
    if status.desired == Desired::Running
        && matches!(
            status.phase,
            Phase::Stopping | Phase::Stopped | Phase::Failed
        )
    {
        // It was started again on purpose: what failed before says nothing about this time.
        status.exits_unready = 0;
        status.enter(Phase::Starting, None);
    }
    status.supervisor = Identity::of(std::process::id());

    let (board, _) = watch::channel(status);
    let (stop, stop_asked) = watch::channel(None);
    let (over, is_over) = watch::channel(false);
    let desk = serve::Desk {
        directory: directory.clone(),
        spec: spec.clone(),
        board: board.clone(),
        stop,
    };
    let server = tokio::spawn(serve::serve(socket, desk, is_over));
    let rotation = tokio::spawn(rotate(directory.clone(), spec.clone()));
    // Kept until this process ends, also while the command is down.
    let _claim = spec.port.map(|port| tokio::spawn(Claim::wait(port)));

    let mut lifecycle = Lifecycle {
        directory,
        spec,
        board,
        stop_asked,
        backoff: Backoff::default(),
    };
    let lived = lifecycle.live(last).await;
    rotation.abort();
    // Who waits for the end is told, then there is nobody left to talk to.
    let _ = over.send(true);
    let _ = server.await;
    lived
}

/// Another one may be looking whether the lock is held, or be about to end: so not at the first refusal.
async fn take_lock(directory: &Directory) -> Result<Option<Lock>, Error> {
    for _ in 0..100 {
        if let Some(lock) = directory.lock()? {
            return Ok(Some(lock));
        }
        if protocol::answers(directory).await {
            return Ok(None);
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(None)
}

struct Lifecycle {
    directory: Directory,
    spec: Spec,
    board: watch::Sender<Status>,
    stop_asked: watch::Receiver<Option<Duration>>,
    backoff: Backoff,
}

/// Why watching a command came to its end.
enum Seen {
    Ended,
    StopAsked(Duration),
}

impl Lifecycle {
    async fn live(&mut self, last: Option<Status>) -> Result<(), Error> {
        let mut found = adopt::find(&self.directory, &self.spec, last.as_ref()).await;
        let was_running = last.is_some_and(|status| status.child.is_some());
        if let Some(child) = &found {
            self.adopted(child)?;
        } else if was_running && !self.ended(Ended::Unknown).await? {
            return Ok(());
        }
        if self.board.borrow().desired == Desired::Stopped {
            return self
                .stop(found, Duration::from_millis(self.spec.stop_timeout_ms))
                .await;
        }
        loop {
            let started = found
                .take()
                .map_or_else(|| self.start(), |child| Ok(Some(child)))?;
            let how = match started {
                None => None,
                Some(child) => match self.watch(&child).await {
                    Seen::Ended => Some(child.reap().await),
                    Seen::StopAsked(timeout) => return self.stop(Some(child), timeout).await,
                },
            };
            let goes_on = match how {
                Some(how) => self.ended(how).await?,
                None => self.pause().await?,
            };
            if !goes_on {
                return Ok(());
            }
        }
    }

    fn adopted(&self, child: &Child) -> Result<(), Error> {
        log(&format!(
            "adopted the command, process {}",
            child.identity.pid
        ));
        self.write(|status| {
            let known = status.child.as_ref() == Some(&child.identity);
            if !known || !matches!(status.phase, Phase::Ready | Phase::Unready) {
                status.enter(Phase::Starting, None);
            }
            if !known {
                status.started_at_ms = Some(now_ms());
            }
            status.child = Some(child.identity.clone());
            status.adopted = true;
        })
    }

    /// `None` if it could not be started, which is recorded.
    fn start(&self) -> Result<Option<Child>, Error> {
        let is_again = !self.board.borrow().exits.is_empty();
        let child = self
            .secrets()
            .map_err(|error| format!("failed to {}", chain(&error)));
        match child.and_then(|secrets| Child::start(&self.directory, &self.spec, &secrets)) {
            Ok(child) => {
                self.write(|status| {
                    status.enter(Phase::Starting, None);
                    status.restarts += u64::from(is_again);
                    status.child = Some(child.identity.clone());
                    status.started_at_ms = Some(now_ms());
                    status.last_answer = None;
                })?;
                log(&format!(
                    "started the command, process {}",
                    child.identity.pid
                ));
                Ok(Some(child))
            }
            Err(why) => {
                log(&format!("the command could not be started: {why}"));
                self.write(|status| {
                    status.enter(
                        Phase::Backoff,
                        Some(format!("the command could not be started: {why}")),
                    );
                    status.ended(Ended::NotStarted(why), false);
                })?;
                Ok(None)
            }
        }
    }

    /// Read anew for each start: the key may have come back, and clear values are not kept longer than needed.
    fn secrets(&self) -> Result<BTreeMap<String, String>, Error> {
        let Some(sealed) = self.directory.bytes("secrets.sealed")? else {
            return Ok(BTreeMap::new());
        };
        let key_file = self.spec.key_file.as_ref().ok_or(Error::Unseal)?;
        let clear = KeyFile::open(key_file)?.unseal(&sealed)?;
        // The source of such an error would quote the value.
        serde_json::from_slice(&clear).map_err(|_| Error::Unseal)
    }

    async fn watch(&self, child: &Child) -> Seen {
        let mut stop_asked = self.stop_asked.clone();
        tokio::select! {
            biased;
            timeout = asked(&mut stop_asked) => Seen::StopAsked(timeout),
            () = child.ended() => Seen::Ended,
            () = self.probe(child) => Seen::Ended,
        }
    }

    /// Asks for as long as it is polled.
    async fn probe(&self, child: &Child) {
        let timing = &self.spec.timing;
        let (mut wait, mut misses) = (timing.probe_first_ms, 0);
        loop {
            let answer = probe::ask(&self.spec).await;
            let was = self.board.borrow().phase;
            let answer = answer.and_then(|words| {
                if was == Phase::Ready {
                    Ok(words)
                } else {
                    self.own(child, words)
                }
            });
            if !child.identity.is_alive() {
                // Whoever gave that answer, it was not the command.
                return child.ended().await;
            }
            misses = if answer.is_ok() { 0 } else { misses + 1 };
            let now = match (&answer, was) {
                (Ok(_), _) => Phase::Ready,
                (Err(_), Phase::Ready) if misses >= MISSES => Phase::Unready,
                (Err(_), was) => was,
            };
            self.answered(answer, now);
            if self.spec.ready == Readiness::Started {
                return child.ended().await;
            }
            wait = match now {
                Phase::Ready if misses == 0 => timing.probe_ready_ms,
                _ if now != was || misses == 1 => timing.probe_first_ms,
                _ => wait.saturating_mul(2).min(timing.probe_max_ms),
            };
            sleep(Duration::from_millis(wait)).await;
        }
    }

    /// Takes an answer for what it is only if it can be the command's own.
    fn own(&self, child: &Child, words: String) -> Result<String, String> {
        let port = self
            .spec
            .port
            .filter(|_| self.spec.ready != Readiness::Started && !self.spec.any_listener);
        match port.and_then(|port| Some((port, listener::stranger(port, &child.identity)?))) {
            None => Ok(words),
            Some((port, stranger)) => Err(format!(
                "port {port} is answered by process {} ({}), not by this command",
                stranger.pid, stranger.name
            )),
        }
    }

    fn answered(&self, answer: Result<String, String>, now: Phase) {
        let words = answer.unwrap_or_else(|words| words);
        let was = self.board.borrow().phase;
        self.board.send_if_modified(|status| {
            let is_new = status.last_answer.as_ref() != Some(&words) || was != now;
            status.last_answer = Some(words.clone());
            status.enter(now, (now == Phase::Unready).then(|| words.clone()));
            if now == Phase::Ready {
                status.exits_unready = 0;
            }
            is_new
        });
        // Only a change of phase is worth a file: an answer in between is for those who ask.
        if was != now
            && let Err(error) = self.directory.write_status(&self.board.borrow())
        {
            log(&format!("failed to {}", chain(&error)));
        }
    }

    /// Records how it ended by itself and waits before the next start. `false`: there is none.
    async fn ended(&mut self, how: Ended) -> Result<bool, Error> {
        log(&format!("the command {how}"));
        if self.spec.restart {
            self.write(|status| {
                status.ended(how.clone(), false);
                status.enter(Phase::Backoff, Some(format!("the command {how}")));
            })?;
            return self.pause().await;
        }
        // Before the status says so: or else a sweep in between would run it again.
        self.directory.desire(Desired::Stopped)?;
        let phase = if how == Ended::Code(0) {
            Phase::Stopped
        } else {
            Phase::Failed
        };
        self.write(|status| {
            status.ended(how.clone(), false);
            status.desired = Desired::Stopped;
            status.enter(phase, Some(format!("the command {how}")));
        })?;
        Ok(false)
    }

    async fn pause(&mut self) -> Result<bool, Error> {
        if !self.spec.restart {
            self.directory.desire(Desired::Stopped)?;
            self.write(|status| {
                status.desired = Desired::Stopped;
                status.enter(Phase::Failed, status.message.clone());
            })?;
            return Ok(false);
        }
        if self.board.borrow().desired == Desired::Stopped {
            return Ok(true);
        }
        let ran_ms = self
            .board
            .borrow()
            .exits
            .last()
            .map_or(0, |exit| exit.ran_ms);
        let wait = Duration::from_millis(self.backoff.after(ran_ms, &self.spec.timing));
        tokio::select! {
            biased;
            timeout = asked(&mut self.stop_asked) => self.stop(None, timeout).await.map(|()| false),
            () = sleep(wait) => Ok(true),
        }
    }

    async fn stop(&self, child: Option<Child>, timeout: Duration) -> Result<(), Error> {
        let how = finish(child, timeout, |change| self.write(change)).await?;
        log(&how.map_or("stopped".to_owned(), |how| {
            format!("stopped the command, which {how}")
        }));
        Ok(())
    }

    fn write(&self, change: impl FnOnce(&mut Status)) -> Result<(), Error> {
        self.board.send_modify(change);
        self.directory.write_status(&self.board.borrow())
    }
}

/// Ends the command, if there is one, and says how it ended; for the holder of the lock, after `desired` says `stopped`.
pub(crate) async fn finish(
    child: Option<Child>,
    timeout: Duration,
    mut write: impl FnMut(&mut dyn FnMut(&mut Status)) -> Result<(), Error>,
) -> Result<Option<Ended>, Error> {
    let mut ended = None;
    if let Some(child) = child {
        write(&mut |status| {
            status.desired = Desired::Stopped;
            status.enter(Phase::Stopping, None);
        })?;
        let how = child.terminate(timeout).await;
        write(&mut |status| {
            status.ended(how.clone(), true);
        })?;
        ended = Some(how);
    }
    write(&mut |status| {
        status.desired = Desired::Stopped;
        status.enter(Phase::Stopped, None);
    })?;
    Ok(ended)
}

async fn asked(stop: &mut watch::Receiver<Option<Duration>>) -> Duration {
    match stop.wait_for(Option::is_some).await.map(|timeout| *timeout) {
        Ok(Some(timeout)) => timeout,
        // Nobody is left who could ask.
        _ => std::future::pending().await,
    }
}

async fn rotate(directory: Directory, spec: Spec) {
    loop {
        let output = output::rotate(&directory.output(), spec.log_max_bytes, spec.log_keep);
        let own = output::rotate(&directory.own_log(), OWN_LOG_BYTES, 1);
        if let Err(error) = output.and(own) {
            log(&format!("failed to rotate the output: {error}"));
        }
        sleep(Duration::from_millis(spec.timing.log_check_ms)).await;
    }
}

/// To standard error, which is `supervisor.log`; if that is full or gone there is nobody to tell.
fn log(line: &str) {
    let _ = writeln!(std::io::stderr(), "{} {line}", now_ms());
}
