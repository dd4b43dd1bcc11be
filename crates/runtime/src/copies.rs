//! The store as a whole: checked, copied, brought back, moved to where machines share it.

use crate::belay::MOVED;
use crate::lock::WorkerLock;
use crate::{Belay, Error, Shared};
use belay_store::{Artifacts, Copied, CopyError, PostgresStore};
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a worker of the old store may take to leave.
const WORKER_LEAVES: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

fn copy(what: &'static str) -> impl Fn(CopyError) -> Error {
    move |source| match source {
        CopyError::Store(error) => Error::Store(error),
        source => Error::Copy { what, source },
    }
}

impl Belay {
    /// Looks at everything in the store: what the database finds, all hash chains, all bounds. One line for each thing
    /// found, the first broken link of each chain.
    ///
    /// # Errors
    /// The store cannot be read at all.
    pub async fn check(&self) -> Result<Vec<String>, Error> {
        Ok(self.database().check().await?)
    }

    /// Writes a backup to a file that is not there yet, mode 0600. Others may go on; what is in it is of one moment.
    ///
    /// # Errors
    /// There is a file of that name, it cannot be written, or the store not read. No file is made then.
    pub async fn backup(&self, file: &Path) -> Result<Copied, Error> {
        let failed = copy("write a backup");
        let io = |error| failed(CopyError::File(error));
        if file.exists() {
            return Err(io(std::io::ErrorKind::AlreadyExists.into()));
        }
        let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty());
        let draft = tempfile::Builder::new()
            .prefix(".belay-backup-")
            .tempfile_in(dir.unwrap_or(Path::new(".")))
            .map_err(io)?;
        let mut writer = BufWriter::new(draft.as_file().try_clone().map_err(io)?);
        let copied = belay_store::backup(self.database(), Some(self.artifacts()), &mut writer);
        let copied = copied.await.map_err(&failed)?;
        writer.flush().map_err(io)?;
        draft.as_file().sync_all().map_err(io)?;
        let named = draft.persist_noclobber(file);
        named.map_err(|error| io(error.error))?;
        Ok(copied)
    }

    /// Restores a backup into a store that has nothing in it.
    ///
    /// # Errors
    /// There is something in it, or the file is not a whole backup: nothing was changed.
    pub async fn restore(&self, file: &Path) -> Result<Copied, Error> {
        let failed = copy("restore a backup");
        let file = File::open(file).map_err(|error| failed(CopyError::File(error)))?;
        let mut lines = BufReader::with_capacity(1 << 20, file);
        let restored = belay_store::restore(self.database(), self.artifacts(), &mut lines);
        restored.await.map_err(&failed)
    }

    /// Writes everything that can be read, a line of JSON each.
    ///
    /// # Errors
    /// The store cannot be read, or the lines not written.
    pub async fn export(&self, to: &mut (dyn Write + Send)) -> Result<Copied, Error> {
        let exported = belay_store::export(self.database(), to).await;
        exported.map_err(copy("export the store"))
    }

    /// Moves the store of this directory to an empty one that machines share. The old one is closed for good: its file
    /// becomes `belay.db.moved`. Nothing of this value can be used afterwards. Run again after it was killed, it goes on.
    ///
    /// # Errors
    /// Something is open, or the new one is not empty: nothing was changed.
    pub async fn move_to(&self, shared: Shared) -> Result<Copied, Error> {
        let failed = copy("move the store");
        let io = |error| failed(CopyError::File(error));
        let store = PostgresStore::connect(shared.postgres, shared.tables).await?;
        let bounds = self.artifact_options();
        let there = Artifacts::shared(self.dir(), bounds, &store);
        let there = there.map_err(|error| failed(error.into()))?;
        for digest in self
            .artifacts()
            .list()
            .await
            .map_err(|error| failed(error.into()))?
        {
            there
                .publish(&digest)
                .await
                .map_err(|error| failed(error.into()))?;
        }
        let mut spool = tempfile::tempfile_in(self.dir()).map_err(io)?;
        let store = store.any();
        let moved = belay_store::relocate(self.database(), &store, &mut spool).await;
        store.close().await;
        let moved = moved.map_err(&failed)?;
        // Its records name this machine as it was called here.
        crate::host::keep(self.dir(), self.host()).map_err(io)?;
        self.close().await;
        let file = |end: &str| self.dir().join(format!("belay.db{end}"));
        std::fs::rename(file(""), self.dir().join(MOVED)).map_err(io)?;
        for rest in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(file(rest));
        }
        self.until_worker_left().await;
        Ok(moved)
    }

    /// A worker of the old store that waits for clean-ups sees that it was moved, and leaves its place to one of the new.
    async fn until_worker_left(&self) {
        let deadline = Instant::now() + WORKER_LEAVES;
        let lock = WorkerLock::at(self.dir());
        while lock.is_held().unwrap_or(false) && Instant::now() < deadline {
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Whether the store of this directory was moved away.
    pub(crate) fn was_moved(&self) -> bool {
        !self.is_shared() && self.dir().join(MOVED).exists()
    }
}
