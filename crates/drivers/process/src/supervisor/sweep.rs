//! After a crash, of processes or of the machine: everything that shall run gets its supervisor back.

use std::path::{Path, PathBuf};

use tokio::task::JoinSet;

use super::Desired;
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
    // All at once: after a kill of everything the service waits for each of them.
    let mut looks = JoinSet::new();
    for dir in directories(root)? {
        let exe = exe.to_owned();
        looks.spawn(async move {
            let directory = Directory::new(&dir);
            let id = directory.spec().ok().map(|spec| spec.id);
            let found = launch::ensure(&directory, &exe)
                .await
                .map_or_else(Found::Failed, Found::Ensured);
            Swept { dir, id, found }
        });
    }
    let mut swept = looks.join_all().await;
    swept.sort_by(|a, b| a.dir.cmp(&b.dir));
    Ok(swept)
}

/// Whether something that shall run has no supervisor. Only looks; what cannot be read does not count.
pub fn is_unattended(root: &Path) -> bool {
    let dirs = directories(root).unwrap_or_default();
    dirs.iter().any(|dir| lacks_supervisor(dir))
}

/// The same of one directory.
pub fn lacks_supervisor(dir: &Path) -> bool {
    let directory = Directory::new(dir);
    let shall_run = || {
        directory
            .desired()
            .is_ok_and(|desired| desired == Desired::Running)
    };
    directory.spec().is_ok() && shall_run() && directory.is_locked().is_ok_and(|locked| !locked)
}

fn directories(root: &Path) -> Result<Vec<PathBuf>, Error> {
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
    Ok(dirs)
}
