//! The directory of one supervised command: its files, its lock, its socket. No decisions.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{FlockOperation, flock};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::{UnixListener, UnixStream};

use super::{Desired, Spec, Status};
use crate::Error;

#[derive(Debug, Clone)]
pub(crate) struct Directory {
    path: PathBuf,
}

/// The exclusive right to run the command of a directory, held until dropped or the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Writes that this process began.
static WRITERS: AtomicU64 = AtomicU64::new(0);

impl Directory {
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(crate) fn output(&self) -> PathBuf {
        self.file("output.log")
    }

    pub(crate) fn own_log(&self) -> PathBuf {
        self.file("supervisor.log")
    }

    pub(crate) fn make(&self) -> Result<(), Error> {
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.path);
        made.map_err(Error::io(format!(
            "make the directory {}",
            self.path.display()
        )))
    }

    pub(crate) fn spec(&self) -> Result<Spec, Error> {
        let spec: Spec = self.read("spec.json")?.ok_or_else(|| Error::Missing {
            dir: self.path.clone(),
        })?;
        self.known(spec.format, Spec::FORMAT, "spec.json")?;
        Ok(spec)
    }

    /// `None` if there is none, or if it is not one: it is not synced to the disk, so a power cut may leave it torn, and then no
    /// process that it named is alive.
    pub(crate) fn status(&self) -> Result<Option<Status>, Error> {
        let status = match self.read::<Status>("status.json") {
            Err(Error::Malformed { .. }) => None,
            status => status?,
        };
        if let Some(status) = &status {
            self.known(status.format, Status::FORMAT, "status.json")?;
        }
        Ok(status)
    }

    /// `running` if nothing was written: a directory is created to run something.
    pub(crate) fn desired(&self) -> Result<Desired, Error> {
        Ok(self.read("desired")?.unwrap_or(Desired::Running))
    }

    /// Durable before it returns: what is done next relies on it.
    pub(crate) fn desire(&self, desired: Desired) -> Result<(), Error> {
        self.write_json("desired", &desired, true)
    }

    /// Not synced to the disk: it has to survive the death of processes, which a rename does, but not that of the machine, after
    /// which no process that it names is alive. So a crash loop does not become a stream of disk flushes.
    pub(crate) fn write_status(&self, status: &Status) -> Result<(), Error> {
        self.write_json("status.json", status, false)
    }

    pub(crate) fn write_json<T: Serialize>(
        &self,
        name: &str,
        value: &T,
        durable: bool,
    ) -> Result<(), Error> {
        let path = self.file(name);
        let bytes =
            serde_json::to_vec_pretty(value).map_err(|source| Error::Malformed { path, source })?;
        self.write(name, &bytes, durable)
    }

    /// All or nothing: a new file takes the name of the old one.
    pub(crate) fn write(&self, name: &str, bytes: &[u8], durable: bool) -> Result<(), Error> {
        // One name for each writer: two of them must not take each other's file away.
        let writer = WRITERS.fetch_add(1, Ordering::Relaxed);
        let (path, new) = (
            self.file(name),
            self.file(&format!(".{name}.{}.{writer}", std::process::id())),
        );
        let write = || -> io::Result<()> {
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&new)?;
            file.write_all(bytes)?;
            if durable {
                file.sync_all()?;
            }
            fs::rename(&new, &path)?;
            if durable {
                File::open(&self.path)?.sync_all()?;
            }
            Ok(())
        };
        write().map_err(|error| {
            let _ = fs::remove_file(&new);
            Error::io(format!("write {}", path.display()))(error)
        })
    }

    /// `None` if there is no such file.
    pub(crate) fn bytes(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let path = self.file(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io(format!("read {}", path.display()))(e)),
        }
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let Some(bytes) = self.bytes(name)? else {
            return Ok(None);
        };
        let value = serde_json::from_slice(&bytes).map_err(|source| Error::Malformed {
            path: self.file(name),
            source,
        })?;
        Ok(Some(value))
    }

    fn known(&self, format: u16, known: u16, name: &str) -> Result<(), Error> {
        if format > known {
            return Err(Error::Format {
                path: self.file(name),
                format,
                known,
            });
        }
        Ok(())
    }

    /// `None` if someone else holds it.
    pub(crate) fn lock(&self) -> Result<Option<Lock>, Error> {
        self.flock(FlockOperation::NonBlockingLockExclusive)
    }

    /// Whether a supervisor holds the lock. Looks with a shared lock, so that those who look do not see each other; a supervisor
    /// that starts at this very moment tries again.
    pub(crate) fn is_locked(&self) -> Result<bool, Error> {
        Ok(self.flock(FlockOperation::NonBlockingLockShared)?.is_none())
    }

    fn flock(&self, operation: FlockOperation) -> Result<Option<Lock>, Error> {
        let path = self.file("supervisor.lock");
        let what = || format!("lock {}", path.display());
        let options = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path);
        let file = options.map_err(Error::io(what()))?;
        match flock(&file, operation) {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(e) if e == rustix::io::Errno::WOULDBLOCK => Ok(None),
            Err(e) => Err(Error::io(what())(e.into())),
        }
    }

    /// For the holder of the lock: whatever socket lies there is of a supervisor that is gone.
    pub(crate) fn listen(&self) -> Result<UnixListener, Error> {
        let socket = self.file("s.sock");
        let listen = || -> io::Result<UnixListener> {
            match fs::remove_file(&socket) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            let directory = File::open(&self.path)?;
            let listener = UnixListener::bind(short(&directory))?;
            fs::set_permissions(&socket, fs::Permissions::from_mode(0o600))?;
            Ok(listener)
        };
        listen().map_err(Error::io(format!("listen on {}", socket.display())))
    }

    pub(crate) async fn connect(&self) -> io::Result<UnixStream> {
        let directory = File::open(&self.path)?;
        UnixStream::connect(short(&directory)).await
    }
}

/// A socket's path has 108 bytes at most (unix(7)), a directory's may have more: so it goes through the open directory.
fn short(directory: &File) -> PathBuf {
    format!("/proc/self/fd/{}/s.sock", directory.as_raw_fd()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_who_write_at_once_all_succeed() {
        let root = tempfile::tempdir().expect("a directory");
        let directory = Directory::new(root.path());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        directory.write("desired", b"x", false).expect("written");
                    }
                });
            }
        });
        let left: Vec<_> = fs::read_dir(root.path()).expect("read").flatten().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }
}
