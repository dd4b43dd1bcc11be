//! This machine, as targets name it: a target of a machine is touched by that machine's workers only.

use std::io;
use std::path::Path;

/// The machine that `dir` (`.belay/`) is on: `given` (`BELAY_HOST`), else what the file `host` in it says. Where several
/// machines share a store the file is made: a name alone is often not unique, and two directories of one machine
/// have instances and a proxy each. It stays when the machine gets another name.
pub(crate) fn id(dir: &Path, given: Option<String>, is_shared: bool) -> io::Result<String> {
    if let Some(given) = given {
        return Ok(given);
    }
    let file = dir.join("host");
    match std::fs::read_to_string(&file) {
        Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if !is_shared {
        return Ok(name());
    }
    keep(dir, &format!("{}:{}", name(), dir.display()))
}

/// Writes down how this machine is called from now on, unless another process was faster; answers what is there then.
pub(crate) fn keep(dir: &Path, id: &str) -> io::Result<String> {
    let draft = tempfile::Builder::new().prefix(".host").tempfile_in(dir)?;
    std::fs::write(draft.path(), format!("{id}\n"))?;
    draft.as_file().sync_all()?;
    match draft.persist_noclobber(dir.join("host")) {
        Ok(_) => Ok(id.to_owned()),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            Ok(std::fs::read_to_string(dir.join("host"))?.trim().to_owned())
        }
        Err(error) => Err(error.error),
    }
}

/// Its name, as the kernel has it.
pub(crate) fn name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost" } else { name }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_keeps_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let id =
            |given: Option<&str>, shared| id(dir.path(), given.map(str::to_owned), shared).unwrap();
        assert_eq!(id(None, false), name());
        assert!(!dir.path().join("host").exists(), "one machine needs none");
        let made = id(None, true);
        assert_eq!(made, format!("{}:{}", name(), dir.path().display()));
        std::fs::write(dir.path().join("host"), "before:/elsewhere\n").unwrap();
        assert_eq!(id(None, true), "before:/elsewhere", "moved, or renamed");
        assert_eq!(keep(dir.path(), "another").unwrap(), "before:/elsewhere");
        assert_eq!(id(Some("given"), true), "given");
    }
}
