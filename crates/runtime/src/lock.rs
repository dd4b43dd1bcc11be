//! The lock that the one worker of a store holds. The kernel frees it with the process, however that ended.

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::sleep;

/// Whoever only looks whether the lock is held has it for moments, so one refusal says nothing yet.
const TRIES: u32 = 20;
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// See the module.
pub(crate) struct WorkerLock {
    path: PathBuf,
}

impl WorkerLock {
    pub(crate) fn at(dir: &Path) -> Self {
        Self {
            path: dir.join("worker.lock"),
        }
    }

    /// Whether a worker is at work. A shared lock is asked for: those who only look do not get in each other's way.
    pub(crate) fn is_held(&self) -> std::io::Result<bool> {
        match flock(self.open()?, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(Errno::WOULDBLOCK) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes it until the answer is dropped; none: another worker has it.
    pub(crate) async fn take(&self) -> std::io::Result<Option<File>> {
        let file = self.open()?;
        for _ in 0..TRIES {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Some(file)),
                Err(Errno::WOULDBLOCK) => sleep(LOOK_AGAIN).await,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    fn open(&self) -> std::io::Result<File> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        options.open(&self.path)
    }
}
