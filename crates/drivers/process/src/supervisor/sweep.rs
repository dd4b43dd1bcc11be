//! After a crash, of processes or of the machine: everything that shall run gets its supervisor back.

use std::path::{Path, PathBuf};

use tokio::task::JoinSet;

use super::directory::Directory;
use super::launch::{self, Ensured};
use super::{Desired, adopt};
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
    let dirs = directories(root)?;
    // Stopped ones stay for their output, and there may be many: all of them cost one look at the processes. Whoever holds a
    // lock may start something, so the locks are looked at first.
    let (over, mut dirs): (Vec<_>, Vec<_>) = dirs.into_iter().partition(|dir| is_over(dir));
    let mut swept = Vec::with_capacity(over.len() + dirs.len());
    if !over.is_empty() {
        let alive = tokio::task::spawn_blocking(adopt::directories).await;
        let alive = alive.ok().flatten();
        for dir in over {
            if alive.as_ref().is_none_or(|alive| alive.contains(&dir)) {
                dirs.push(dir);
                continue;
            }
            let id = Directory::new(&dir).spec().ok().map(|spec| spec.id);
            let found = Found::Ensured(Ensured::Stopped);
            swept.push(Swept { dir, id, found });
        }
    }
    // All at once: after a kill of everything the service waits for each of them.
    let mut looks = JoinSet::new();
    for dir in dirs {
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
    swept.extend(looks.join_all().await);
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

/// Told to stop, and by all that is written down it has. Anything that cannot be read is looked at closely.
fn is_over(dir: &Path) -> bool {
    let directory = Directory::new(dir);
    let look = || -> Result<bool, Error> {
        directory.spec()?;
        let is_idle = directory.desired()? == Desired::Stopped && !directory.is_locked()?;
        let child = directory.status()?.and_then(|status| status.child);
        Ok(is_idle && !child.is_some_and(|child| child.is_alive()))
    };
    look().unwrap_or(false)
}
