//! A disk that can be full or read-only. Root ignores mode bits, so it is a real one: a small tmpfs.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Mounted until dropped.
pub(crate) struct Disk {
    at: PathBuf,
}

impl Disk {
    pub(crate) fn mount(at: PathBuf, size: &str) -> Self {
        std::fs::create_dir_all(&at).expect("a directory");
        let options = format!("size={size},mode=0700");
        mount(&["-t", "tmpfs", "-o", &options, "tmpfs"], &at);
        Self { at }
    }

    /// Read-only until the answer is dropped, for whoever opens a file from now on; files that are open stay as they
    /// are. (The kernel refuses a remount while a file is open for writing.)
    pub(crate) fn read_only(&self) -> ReadOnly {
        mount(&["--bind", &self.at.to_string_lossy()], &self.at);
        mount(&["-o", "remount,bind,ro"], &self.at);
        ReadOnly {
            at: self.at.clone(),
        }
    }

    /// Leaves no byte free.
    pub(crate) fn fill(&self) -> Filled {
        let path = self.at.join("ballast");
        let _ = Command::new("dd")
            .args(["if=/dev/zero", "bs=4k"])
            .arg(format!("of={}", path.display()))
            .stderr(std::process::Stdio::null())
            .status();
        Filled { path }
    }
}

fn mount(arguments: &[&str], at: &Path) {
    let done = Command::new("mount").args(arguments).arg(at).output();
    let done = done.expect("mount runs");
    let why = String::from_utf8_lossy(&done.stderr);
    assert!(
        done.status.success(),
        "this test mounts a small tmpfs, for which it has to be root: {why}"
    );
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: whoever has files open on it is stopped after this.
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}

/// A disk that is read-only.
pub(crate) struct ReadOnly {
    at: PathBuf,
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}

/// A disk without room.
pub(crate) struct Filled {
    path: PathBuf,
}

impl Filled {
    pub(crate) fn free(self) {
        std::fs::remove_file(self.path).expect("removed");
    }
}
