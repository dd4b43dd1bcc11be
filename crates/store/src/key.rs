//! The store's key: 32 bytes beside the store, or given by the caller (`BELAY_KEY`), and the keys derived from it.
//! It is never printed, and never made anew where something is sealed with another one.

use crate::blobs::BlobError;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

const LENGTH: usize = 32;

/// A key, in memory only.
#[derive(Clone)]
pub(crate) struct Key([u8; LENGTH]);

impl Key {
    /// From 64 hex digits.
    pub(crate) fn parse(text: &str) -> Result<Self, BlobError> {
        let mut key = [0; LENGTH];
        match hex::decode_to_slice(text.trim(), &mut key) {
            Ok(()) => Ok(Self(key)),
            Err(_) => Err(BlobError::KeyMalformed(
                "BELAY_KEY must be 64 hex digits".to_owned(),
            )),
        }
    }

    /// From the key file; `None` when there is none.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, BlobError> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(BlobError::KeyFile(path.to_owned(), error)),
        };
        let wrap = |error| BlobError::KeyFile(path.to_owned(), error);
        let mode = file.metadata().map_err(wrap)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(BlobError::KeyReadable(path.to_owned(), mode));
        }
        let mut bytes = Vec::with_capacity(LENGTH);
        file.read_to_end(&mut bytes).map_err(wrap)?;
        let length = bytes.len();
        let key = bytes.try_into().map_err(|_| {
            let path = path.display();
            BlobError::KeyMalformed(format!("{path} has {length} bytes instead of {LENGTH}"))
        })?;
        Ok(Some(Self(key)))
    }

    /// Makes the key file, unless another process was faster; answers the key that is there then.
    ///
    /// It is written and synced under another name and then linked, so that nobody ever reads half a key, and nothing
    /// is sealed with a key that a power cut could take away.
    pub(crate) fn create(path: &Path) -> Result<Self, BlobError> {
        let wrap = |error| BlobError::KeyFile(path.to_owned(), error);
        let draft = path.with_extension(format!("new-{:016x}", rand::random::<u64>()));
        let linked = write_draft(&draft).and_then(|()| std::fs::hard_link(&draft, path));
        let removed = std::fs::remove_file(&draft);
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(wrap(error)),
            _ => removed.map_err(wrap)?,
        }
        let parent = path.parent().unwrap_or(Path::new("."));
        File::open(parent)
            .and_then(|dir| dir.sync_all())
            .map_err(wrap)?;
        Self::read(path)?.ok_or_else(|| wrap(io::ErrorKind::NotFound.into()))
    }

    /// What seals blobs.
    pub(crate) fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.derive("belay/1 seal").into())
    }

    /// The key of keyed digests: another one, so that a digest says nothing about the seal.
    pub(crate) fn for_digests(&self) -> [u8; LENGTH] {
        self.derive("belay/1 digest")
    }

    /// Tells this key from another without telling anything about it. Hex.
    pub(crate) fn check(&self) -> String {
        hex::encode(self.derive("belay/1 check"))
    }

    fn derive(&self, label: &str) -> [u8; LENGTH] {
        mac(&self.0, label.as_bytes())
    }
}

/// HMAC-SHA256 (RFC 2104).
pub(crate) fn mac(key: &[u8; LENGTH], data: &[u8]) -> [u8; LENGTH] {
    // HMAC takes keys of every length; the type cannot say so.
    match <Hmac<Sha256> as Mac>::new_from_slice(key) {
        Ok(mac) => mac.chain_update(data).finalize().into_bytes().into(),
        Err(_) => unreachable!("a key of 32 bytes"),
    }
}

fn write_draft(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(&rand::random::<[u8; LENGTH]>())?;
    file.sync_all()
}
