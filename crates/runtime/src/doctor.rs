//! Whether what Belay depends on is as it should be.

use crate::Belay;
use std::os::unix::fs::PermissionsExt;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What, in a word or two.
    pub about: &'static str,
    /// Whether it is as it should be.
    pub ok: bool,
    /// How it is, and what to do about it.
    pub text: String,
}

/// With less than that free, deployments are refused soon.
const ROOM: u64 = 64 << 20;

impl Belay {
    /// Looks at the store, its server, its key and its directory. Changes nothing.
    pub async fn doctor(&self) -> Vec<Finding> {
        let mut found = vec![self.room(), self.directory(), self.key().await];
        match self.database().health().await {
            Ok(health) => found.extend(health.into_iter().map(|one| Finding {
                about: one.about,
                ok: one.ok,
                text: one.text,
            })),
            Err(error) => found.push(Finding {
                about: "store",
                ok: false,
                text: error.to_string(),
            }),
        }
        found
    }

    fn room(&self) -> Finding {
        let disk = rustix::fs::statvfs(self.dir());
        let free = disk.map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        let (ok, text) = match free {
            Ok(free) if free >= ROOM => (true, format!("{} MiB are free", free >> 20)),
            Ok(free) => (
                false,
                format!(
                    "only {} MiB are free: make room before you deploy",
                    free >> 20
                ),
            ),
            Err(error) => (false, format!("it cannot be asked: {error}")),
        };
        let about = "disk";
        Finding { about, ok, text }
    }

    fn directory(&self) -> Finding {
        let dir = self.dir().display();
        let mode = std::fs::metadata(self.dir()).map(|data| data.permissions().mode() & 0o777);
        let (ok, text) = match mode {
            Ok(mode) if mode & 0o077 == 0 => (true, format!("{dir} is its owner's alone")),
            Ok(mode) => (
                false,
                format!("others may look into {dir} (mode {mode:o}): `chmod 700 {dir}`"),
            ),
            Err(error) => (false, format!("{dir}: {error}")),
        };
        let about = "directory";
        Finding { about, ok, text }
    }

    async fn key(&self) -> Finding {
        let about = "key";
        match self.require_key().await {
            Ok(()) => Finding {
                about,
                ok: true,
                text: "no other key than the store's is here".to_owned(),
            },
            Err(error) => {
                let source = std::error::Error::source(&error);
                let text = source.map_or_else(|| error.to_string(), ToString::to_string);
                Finding {
                    about,
                    ok: false,
                    text,
                }
            }
        }
    }
}
