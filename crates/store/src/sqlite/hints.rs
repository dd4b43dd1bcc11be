//! Hints between processes: each one that waits for changes binds a datagram socket in `.belay/hints/`, and who
//! commits sends one byte to each of them. A hint may be lost or come for nothing; polling covers the rest.
//!
//! Paths of sockets are limited to 108 bytes, and a project may lie deep: everything goes through
//! `/proc/self/fd/N/NAME` of the opened directory.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The directory of hints, and our place in it.
pub(super) struct Hints {
    path: PathBuf,
    /// None where it cannot be made: on a full or read-only disk polling has to do.
    open: Option<(OwnedFd, UnixDatagram)>,
    own: Mutex<Option<String>>,
}

impl Hints {
    /// Opens `.belay/hints`, making it when it is not there.
    pub(super) fn open(dir: &Path) -> Self {
        let path = dir.join("hints");
        let open = Self::try_open(&path)
            .inspect_err(|error| tracing::debug!(%error, "no hints here; polling alone"))
            .ok();
        Self {
            path,
            open,
            own: Mutex::new(None),
        }
    }

    fn try_open(path: &Path) -> io::Result<(OwnedFd, UnixDatagram)> {
        std::fs::create_dir_all(path)?;
        let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, rustix::fs::Mode::empty())?;
        let sender = UnixDatagram::unbound()?;
        sender.set_nonblocking(true)?;
        Ok((directory, sender))
    }

    /// Binds our socket.
    pub(super) fn bind(&self) -> io::Result<tokio::net::UnixDatagram> {
        let (directory, _) = self.open.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let name = format!("{}-{:08x}.sock", std::process::id(), rand::random::<u32>());
        let socket = UnixDatagram::bind(short(directory, &name))?;
        socket.set_nonblocking(true)?;
        *self.own.lock().unwrap_or_else(|e| e.into_inner()) = Some(name);
        tokio::net::UnixDatagram::from_std(socket)
    }

    /// Tells all others. Errors are nobody's business: the others poll, too.
    pub(super) fn send(&self) {
        let (Some((directory, sender)), Ok(entries)) = (&self.open, std::fs::read_dir(&self.path))
        else {
            return;
        };
        let own = self.own.lock().unwrap_or_else(|e| e.into_inner()).clone();
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if own.as_deref() == Some(name) {
                continue;
            }
            // A full queue (EAGAIN) means that a hint waits there already.
            let sent = sender.send_to(&[1], short(directory, name));
            if sent.is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

fn short(directory: &OwnedFd, name: &str) -> String {
    format!("/proc/self/fd/{}/{name}", directory.as_raw_fd())
}

impl Drop for Hints {
    fn drop(&mut self) {
        let own = self.own.get_mut().unwrap_or_else(|e| e.into_inner()).take();
        if let Some(name) = own {
            let _ = std::fs::remove_file(self.path.join(name));
        }
    }
}
