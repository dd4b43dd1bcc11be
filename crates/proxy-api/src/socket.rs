//! A Unix socket's path may have 107 bytes (`sun_path` of unix(7)); a data directory may be
//! deeper. Both sides then go through `/proc/self/fd`, which is always short.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

const MOST_BYTES: usize = 107;

/// A path that fits in `sun_path`, valid for as long as this value lives.
#[derive(Debug)]
pub struct SocketPath {
    path: PathBuf,
    // Holds the descriptor that the path goes through.
    _directory: Option<File>,
}

impl SocketPath {
    /// # Errors
    /// When the path is too long and its directory cannot be opened.
    pub fn new(path: &Path) -> io::Result<Self> {
        use std::os::fd::AsRawFd;
        use std::os::unix::ffi::OsStrExt;
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not the path of a socket",
            ));
        };
        if path.as_os_str().as_bytes().len() <= MOST_BYTES {
            return Ok(Self {
                path: path.to_owned(),
                _directory: None,
            });
        }
        let directory = File::open(parent)?;
        let path = Path::new("/proc/self/fd")
            .join(directory.as_raw_fd().to_string())
            .join(name);
        Ok(Self {
            path,
            _directory: Some(directory),
        })
    }

    #[must_use]
    pub fn as_path(&self) -> &Path {
        &self.path
    }
}
