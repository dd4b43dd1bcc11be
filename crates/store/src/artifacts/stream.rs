//! An artifact's pack in chunks, between a thread that reads or writes files and whoever carries them.

use super::error::{ArtifactError, at};
use super::manifest::Manifest;
use super::pack;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Bytes of a chunk; the last one may have fewer. Never changed: beginnings that others left are completed.
const CHUNK: usize = 1 << 20;

/// Chunks that wait between a disk and a server.
pub(super) const WAITING: usize = 4;

type Work = JoinHandle<Result<(), ArtifactError>>;

/// Waits for a thread or task; a panic there is an error here.
async fn ended(work: Work) -> Result<(), ArtifactError> {
    let ended = work.await;
    ended.unwrap_or_else(|error| Err(at(&PathBuf::new())(io::Error::other(error))))
}

/// An artifact that is being read.
pub(crate) struct Given {
    manifest: String,
    chunks: mpsc::Receiver<Vec<u8>>,
    packing: Option<Work>,
}

impl Given {
    /// Reads what the manifest lists below `files`, which was verified.
    pub(super) fn of(manifest: Manifest, files: PathBuf) -> Self {
        let (sender, chunks) = mpsc::channel(WAITING);
        let text = manifest.text().to_owned();
        let packing = tokio::task::spawn_blocking(move || {
            let chunk = Vec::with_capacity(CHUNK);
            let mut cutter = Cutter { sender, chunk };
            pack::pack(&manifest, &files, &mut cutter)?;
            cutter.flush().map_err(at(&files))
        });
        Self {
            manifest: text,
            chunks,
            packing: Some(packing),
        }
    }

    pub(crate) fn manifest(&self) -> &str {
        &self.manifest
    }

    /// The next chunk; `None`: that was all, and it is all there.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Vec<u8>>, ArtifactError> {
        if let Some(chunk) = self.chunks.recv().await {
            return Ok(Some(chunk));
        }
        if let Some(packing) = self.packing.take() {
            ended(packing).await?;
        }
        Ok(None)
    }
}

/// An artifact that is being written.
pub(crate) struct Taken {
    sender: mpsc::Sender<Vec<u8>>,
    making: Work,
}

impl Taken {
    /// By work that is given the stream.
    pub(super) fn by<F>(make: impl FnOnce(Joiner) -> F) -> Self
    where
        F: Future<Output = Result<(), ArtifactError>> + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel(WAITING);
        let making = tokio::spawn(make(Joiner::of(receiver)));
        Self { sender, making }
    }

    /// Gives it a chunk. Who wants no more of it says why at the end.
    pub(crate) async fn chunk(&mut self, data: Vec<u8>) -> Result<(), ArtifactError> {
        let _ = self.sender.send(data).await;
        Ok(())
    }

    /// That was all.
    pub(crate) async fn finish(self) -> Result<(), ArtifactError> {
        drop(self.sender);
        ended(self.making).await
    }
}

/// Cuts what is written to it into chunks, and sends them.
struct Cutter {
    sender: mpsc::Sender<Vec<u8>>,
    chunk: Vec<u8>,
}

impl Write for Cutter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = (CHUNK - self.chunk.len()).min(bytes.len());
        self.chunk.extend_from_slice(&bytes[..room]);
        if self.chunk.len() == CHUNK {
            self.flush()?;
        }
        Ok(room)
    }

    /// Sends what there is: only a last chunk may be shorter.
    fn flush(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK));
        let sent = self.sender.blocking_send(chunk);
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// Reads chunks one after the other.
pub(super) struct Joiner {
    receiver: mpsc::Receiver<Vec<u8>>,
    chunk: io::Cursor<Vec<u8>>,
}

impl Joiner {
    pub(super) fn of(receiver: mpsc::Receiver<Vec<u8>>) -> Self {
        let chunk = io::Cursor::default();
        Self { receiver, chunk }
    }
}

impl Read for Joiner {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.chunk.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            match self.receiver.blocking_recv() {
                Some(chunk) => self.chunk = io::Cursor::new(chunk),
                None => return Ok(0),
            }
        }
    }
}
