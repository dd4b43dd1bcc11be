//! After a crash, of processes or of the machine: everything that shall run gets its supervisor back.

use std::path::{Path, PathBuf};

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
    let list = || -> std::io::Result<Vec<PathBuf>> {
        let entries = std::fs::read_dir(std::fs::canonicalize(root)?)?;
        entries.map(|entry| Ok(entry?.path())).collect()
    };
    let mut dirs = match list() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        dirs => dirs.map_err(Error::io(format!("list {}", root.display())))?,
    };
    dirs.retain(|dir| dir.join("spec.json").exists());
    dirs.sort();
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
