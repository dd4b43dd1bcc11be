//! Starting a supervisor, and seeing that it is there.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::directory::Directory;
use super::lifecycle::OWN_LOG_BYTES;
use super::{Desired, adopt, child, output, protocol};
use crate::Error;

/// A supervisor needs milliseconds; a machine that is busy enough needs more.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What `ensure` found, and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ensured {
    /// A supervisor is alive.
    Supervised,
    /// There was none: one was started. It adopts the command or starts it.
    Started,
    /// Its stop had been interrupted: a supervisor was started to finish it.
    Finishing,
    /// It is to be stopped, and is.
    Stopped,
}

pub(crate) async fn ensure(directory: &Directory, exe: &Path) -> Result<Ensured, Error> {
    let spec = directory.spec()?;
    let deadline = Instant::now() + PATIENCE;
    while directory.is_locked()? {
        if protocol::answers(directory).await {
            return Ok(Ensured::Supervised);
        }
        if Instant::now() >= deadline {
            let why = "something holds its lock but does not answer".to_owned();
            return Err(Error::Start {
                dir: directory.path().to_owned(),
                why,
            });
        }
        sleep(LOOK_AGAIN).await;
    }
    if directory.desired()? == Desired::Running {
        return launch(directory, exe).await.map(|()| Ensured::Started);
    }
    // A malformed status is no reason to leave it running: the marks are looked for, too.
    if adopt::find(directory, &spec, directory.status().ok().flatten().as_ref())
        .await
        .is_none()
    {
        return Ok(Ensured::Stopped);
    }
    launch(directory, exe).await.map(|()| Ensured::Finishing)
}

/// Returns when a supervisor answers, ours or one that was faster.
pub(crate) async fn launch(directory: &Directory, exe: &Path) -> Result<(), Error> {
    let fail = |why: String| Error::Start {
        dir: directory.path().to_owned(),
        why,
    };
    let mut exit = spawn(directory, exe)?;
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if protocol::answers(directory).await {
            return Ok(());
        }
        match exit.try_recv() {
            Ok(Ok(status)) if status.success() => {
                // It had nothing to do, or has done it already, or another one does it.
                if directory.desired()? == Desired::Stopped {
                    return Ok(());
                }
                if !directory.is_locked()? {
                    return Err(fail("it ended at once".to_owned()));
                }
            }
            Ok(Ok(status)) => {
                let said = output::last_lines(&directory.own_log(), 1)
                    .pop()
                    .unwrap_or_default();
                return Err(fail(format!("it ended with {status}: {said}")));
            }
            _ => {}
        }
        sleep(LOOK_AGAIN).await;
    }
    Err(fail(format!(
        "it did not answer within {} s",
        PATIENCE.as_secs()
    )))
}

fn spawn(
    directory: &Directory,
    exe: &Path,
) -> Result<oneshot::Receiver<std::io::Result<ExitStatus>>, Error> {
    let what = || {
        format!(
            "run {} supervise {}",
            exe.display(),
            directory.path().display()
        )
    };
    // It is renamed away and made anew, as nobody writes to it now.
    let log = output::rotate(&directory.own_log(), OWN_LOG_BYTES, 1).and_then(|_| {
        fs::OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(directory.own_log())
    });
    let exe = std::path::absolute(exe).map_err(Error::io(what()))?;
    let mut command = Command::new(exe);
    command
        .arg("supervise")
        .arg(directory.path())
        .current_dir("/");
    // Nothing of ours is inherited, in particular no secret and no mark of a command that Belay itself may run in.
    command.env_clear().envs(child::inherited());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log.map_err(Error::io(what()))?);
    let mut process = command.spawn().map_err(Error::io(what()))?;
    let (tx, exit) = oneshot::channel();
    // Reaps it if it ends before we do: a zombie would look like someone. If we end first, init does.
    let reaper = std::thread::Builder::new()
        .name("supervisor-reaper".to_owned())
        .stack_size(64 << 10);
    reaper
        .spawn(move || tx.send(process.wait()))
        .map_err(Error::io(what()))?;
    Ok(exit)
}
