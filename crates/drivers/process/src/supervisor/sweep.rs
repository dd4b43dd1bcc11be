//! After a crash, of processes or of the machine: everything that shall run gets its supervisor back.

use std::path::{Path, PathBuf};

use super::Supervised;
use super::directory::Directory;
use super::launch::{self, Ensured};
use crate::Error;

/// One directory, and what became of it.
#[derive(Debug)]
pub struct Swept {
    pub dir: PathBuf,
    /// From its specification; `None` if that could not be read.
    pub id: Option<String>,
    pub found: Found,
}

#[derive(Debug)]
pub enum Found {
    Ensured(Ensured),
    /// Could not be read or started; the others were looked at all the same.
    Failed(Error),
}

/// Looks at every `root/*/spec.json`, in the order of their names. A root that is not there holds nothing.
pub async fn sweep(root: &Path, exe: &Path) -> Result<Vec<Swept>, Error> {
    let dirs = list(root)?;
    let mut swept = Vec::with_capacity(dirs.len());
    for dir in dirs {
        let directory = Directory::new(&dir);
        let id = directory.spec().ok().map(|spec| spec.id);
        let found = launch::ensure(&directory, exe)
            .await
            .map_or_else(Found::Failed, Found::Ensured);
        swept.push(Swept { dir, id, found });
    }
    Ok(swept)
}

/// What shall run and has no supervisor: what a sweep would give one. Starts nothing.
pub fn orphans(root: &Path) -> impl Iterator<Item = Supervised> {
    let dirs = list(root).unwrap_or_default();
    let all = dirs.into_iter().map(Supervised::at);
    all.filter(Supervised::is_orphaned)
}

fn list(root: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = || -> std::io::Result<Vec<PathBuf>> {
        let entries = std::fs::read_dir(std::fs::canonicalize(root)?)?;
        entries.map(|entry| Ok(entry?.path())).collect()
    };
    let mut dirs = match entries() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        dirs => dirs.map_err(Error::io(format!("list {}", root.display())))?,
    };
    dirs.retain(|dir| dir.join("spec.json").exists());
    dirs.sort();
    Ok(dirs)
}
