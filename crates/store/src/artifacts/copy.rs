//! Copies a tree, makes it durable and read-only, and removes trees that are.

use super::error::{ArtifactError, at};
use super::tree::{Kind, Tree};
use std::fs::{File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// Up to this many files are synced one by one; beyond, the whole file system is, once.
const SYNCED_ALONE: usize = 64;

/// Copies `from` to `to`, which does not exist yet. `std::fs::copy` shares blocks where the file system can.
pub(super) fn copy(from: &Tree, to: &Path) -> Result<(), ArtifactError> {
    std::fs::create_dir(to).map_err(at(to))?;
    for entry in &from.entries {
        let target = to.join(&entry.path);
        match &entry.kind {
            Kind::Directory => std::fs::create_dir(&target).map_err(at(&target))?,
            Kind::Link { target: link } => symlink(link, &target).map_err(at(&target))?,
            Kind::File { executable } => {
                std::fs::copy(from.on_disk(entry), &target).map_err(at(&target))?;
                let mode = if *executable { 0o555 } else { 0o444 };
                set_mode(&target, mode)?;
            }
        }
    }
    Ok(())
}

/// Takes the right to write from all directories, so that a service does not alter its release by accident. Not
/// before everything is in them.
pub(super) fn protect(tree: &Tree) -> Result<(), ArtifactError> {
    for entry in tree
        .entries
        .iter()
        .filter(|entry| entry.kind == Kind::Directory)
    {
        set_mode(&tree.on_disk(entry), 0o555)?;
    }
    set_mode(&tree.root, 0o555)
}

/// Makes a tree durable.
pub(super) fn sync(tree: &Tree) -> Result<(), ArtifactError> {
    let linked = |kind: &Kind| matches!(kind, Kind::Link { .. });
    let real: Vec<_> = tree
        .entries
        .iter()
        .filter(|entry| !linked(&entry.kind))
        .collect();
    if real.len() > SYNCED_ALONE {
        let root = File::open(&tree.root).map_err(at(&tree.root))?;
        return rustix::fs::syncfs(&root).map_err(|e| at(&tree.root)(e.into()));
    }
    for entry in real {
        sync_one(&tree.on_disk(entry))?;
    }
    sync_one(&tree.root)
}

/// Makes one file or directory durable.
pub(super) fn sync_one(path: &Path) -> Result<(), ArtifactError> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(at(path))
}

/// Removes a tree that may be read-only.
pub(super) fn remove(path: &Path) -> Result<(), ArtifactError> {
    unprotect(path)?;
    std::fs::remove_dir_all(path).map_err(at(path))
}

fn unprotect(directory: &Path) -> Result<(), ArtifactError> {
    set_mode(directory, 0o755)?;
    for child in std::fs::read_dir(directory).map_err(at(directory))? {
        let child = child.map_err(at(directory))?;
        if child.file_type().is_ok_and(|kind| kind.is_dir()) {
            unprotect(&child.path())?;
        }
    }
    Ok(())
}

pub(super) fn set_mode(path: &Path, mode: u32) -> Result<(), ArtifactError> {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(at(path))
}
