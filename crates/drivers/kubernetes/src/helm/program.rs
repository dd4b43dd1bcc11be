//! The `helm` that people have.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// The oldest that will do: `uninstall --cascade` came with it.
const OLDEST: (u32, u32) = (3, 12);

/// A program that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    path: PathBuf,
    version: (u32, u32),
}

/// Why there is none. Messages read well after "failed to".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It is not there, or cannot be run.
    #[error("run helm: {0}")]
    Absent(String),
    /// It is another one.
    #[error("use helm {0}: versions from 3.12 on will do, and 4")]
    Version(String),
}

impl Program {
    /// The one on the `PATH`, or the one that is named; asked for its version.
    ///
    /// # Errors
    /// There is none, or it is too old.
    pub async fn find(named: Option<&Path>) -> Result<Self, Unusable> {
        let path = named.unwrap_or(Path::new("helm")).to_owned();
        let mut command = Command::new(&path);
        command
            .args(["version", "--template", "{{.Version}}"])
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = command.output().await;
        let output = output.map_err(|error| Unusable::Absent(error.to_string()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(Unusable::Absent(said));
        }
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        match version(&said) {
            Some(version) if version >= OLDEST => Ok(Self { path, version }),
            _ => Err(Unusable::Version(said)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it applies on the server, and says whether to overwrite others.
    pub(crate) fn is_four(&self) -> bool {
        self.version.0 >= 4
    }
}

/// `v3.22.0+g1234` or `v4.3`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.strip_prefix('v')?.split(['.', '+', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions() {
        assert_eq!(version("v3.22.0+g1234"), Some((3, 22)));
        assert_eq!(version("v4.3"), Some((4, 3)));
        assert_eq!(version("3.22"), None);
        assert_eq!(version("v2"), None);
    }
}
