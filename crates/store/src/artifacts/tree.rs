//! Walks a tree: what is there, in one order, within bounds, and nothing that leads out of it. Follows no link.

use super::error::{ArtifactError, at};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// What something in a tree is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File { executable: bool },
    Link { target: PathBuf },
}

/// Something in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// As seen from the root.
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
    pub(super) stamp: Stamp,
}

/// Changes whenever a file was written, as far as the file system can tell: size, inode, mtime and ctime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) size: u64,
    inode: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// How large a tree may be.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) files: usize,
    pub(super) bytes: u64,
}

/// A tree on disk: a root, and what is below it, sorted by the bytes of the path.
pub(super) struct Tree {
    pub(super) root: PathBuf,
    pub(super) entries: Vec<Entry>,
}

impl Tree {
    /// What is at `source`: a directory's content, or one file as a directory with that file in it. Leaves out
    /// `except`: Belay's own directory is not a part of anything.
    pub(super) fn of_source(
        source: &Path,
        except: &Path,
        bounds: Bounds,
    ) -> Result<Self, ArtifactError> {
        let real = source
            .canonicalize()
            .map_err(|_| ArtifactError::NoSource(source.to_owned()))?;
        if real.is_dir() {
            return Self::below(&real, Some(except), bounds);
        }
        let (Some(root), Some(name)) = (real.parent(), real.file_name()) else {
            return Err(ArtifactError::NoSource(source.to_owned()));
        };
        let mut walk = Walk::new(root, None, bounds);
        walk.add(Path::new(name))?;
        Ok(walk.finish())
    }

    /// Everything below a directory.
    pub(super) fn below(
        root: &Path,
        except: Option<&Path>,
        bounds: Bounds,
    ) -> Result<Self, ArtifactError> {
        let mut walk = Walk::new(root, except, bounds);
        walk.directory(Path::new(""))?;
        Ok(walk.finish())
    }

    pub(super) fn on_disk(&self, entry: &Entry) -> PathBuf {
        self.root.join(&entry.path)
    }
}

struct Walk<'a> {
    root: &'a Path,
    except: Option<&'a Path>,
    bounds: Bounds,
    bytes: u64,
    entries: Vec<Entry>,
}

impl<'a> Walk<'a> {
    fn new(root: &'a Path, except: Option<&'a Path>, bounds: Bounds) -> Self {
        Self {
            root,
            except,
            bounds,
            bytes: 0,
            entries: Vec::new(),
        }
    }

    fn finish(mut self) -> Tree {
        self.entries
            .sort_by(|a, b| bytes_of(&a.path).cmp(bytes_of(&b.path)));
        Tree {
            root: self.root.to_owned(),
            entries: self.entries,
        }
    }

    fn directory(&mut self, path: &Path) -> Result<(), ArtifactError> {
        let on_disk = self.root.join(path);
        for child in std::fs::read_dir(&on_disk).map_err(at(&on_disk))? {
            let name = child.map_err(at(&on_disk))?.file_name();
            self.add(&path.join(name))?;
        }
        Ok(())
    }

    fn add(&mut self, path: &Path) -> Result<(), ArtifactError> {
        let on_disk = self.root.join(path);
        if self.except == Some(on_disk.as_path()) {
            return Ok(());
        }
        let metadata = on_disk.symlink_metadata().map_err(at(&on_disk))?;
        let kind = if metadata.is_dir() {
            Kind::Directory
        } else if metadata.is_file() {
            Kind::File {
                executable: metadata.mode() & 0o111 != 0,
            }
        } else if metadata.is_symlink() {
            let target = std::fs::read_link(&on_disk).map_err(at(&on_disk))?;
            refuse_escape(path, &target)?;
            Kind::Link { target }
        } else {
            return Err(ArtifactError::Special(on_disk));
        };
        if matches!(kind, Kind::File { .. }) {
            self.bytes = self.bytes.saturating_add(metadata.len());
        }
        let is_directory = kind == Kind::Directory;
        self.entries.push(Entry {
            path: path.to_owned(),
            kind,
            stamp: Stamp {
                size: metadata.len(),
                inode: metadata.ino(),
                modified: (metadata.mtime(), metadata.mtime_nsec()),
                changed: (metadata.ctime(), metadata.ctime_nsec()),
            },
        });
        self.refuse_too_large()?;
        if is_directory {
            self.directory(path)?;
        }
        Ok(())
    }

    fn refuse_too_large(&self) -> Result<(), ArtifactError> {
        let (root, bounds) = (self.root.display(), self.bounds);
        if self.entries.len() > bounds.files {
            let most = bounds.files;
            return Err(ArtifactError::TooLarge(format!(
                "{root} has more than {most} files"
            )));
        }
        if self.bytes > bounds.bytes {
            let most = bounds.bytes;
            return Err(ArtifactError::TooLarge(format!(
                "{root} has more than {most} bytes"
            )));
        }
        Ok(())
    }
}

/// A link may climb only at its beginning, and not above the root. Then each step of it stays inside, whatever other
/// links of the tree it goes through, since the same holds for them.
fn refuse_escape(path: &Path, target: &Path) -> Result<(), ArtifactError> {
    let mut depth = path.components().count().saturating_sub(1);
    let mut climbing = true;
    for component in target.components() {
        let stays = match component {
            Component::CurDir => true,
            Component::Normal(_) => {
                climbing = false;
                true
            }
            Component::ParentDir if climbing && depth > 0 => {
                depth -= 1;
                true
            }
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => false,
        };
        if !stays {
            return Err(ArtifactError::Outside {
                path: path.to_owned(),
                target: target.to_owned(),
            });
        }
    }
    Ok(())
}

pub(super) fn bytes_of(path: &Path) -> &[u8] {
    AsRef::<OsStr>::as_ref(path).as_bytes()
}
