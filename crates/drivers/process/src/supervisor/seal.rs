//! Secrets at rest. The supervisor has to start the command again on its own, so it needs the secret environment when nobody is
//! there to ask: it lies sealed beside the specification, and the key lies elsewhere.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead, AeadCore, KeyInit, OsRng};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

use crate::Error;

/// Turns bytes into bytes that say nothing without a key, and back.
pub trait Sealer {
    fn seal(&self, clear: &[u8]) -> Vec<u8>;
    /// Fails with [`Error::Unseal`] if it was sealed with another key or changed since.
    fn unseal(&self, sealed: &[u8]) -> Result<Vec<u8>, Error>;
}

/// XChaCha20-Poly1305 with a key of 32 bytes from a file; a random nonce of 24 bytes stands first.
pub struct KeyFile {
    path: PathBuf,
    cipher: XChaCha20Poly1305,
}

impl KeyFile {
    const NONCE: usize = 24;

    pub fn open(path: &Path) -> Result<Self, Error> {
        let key =
            fs::read(path).map_err(Error::io(format!("read the key file {}", path.display())))?;
        let cipher = XChaCha20Poly1305::new_from_slice(&key).map_err(|_| Error::Key {
            path: path.to_owned(),
            why: format!("it has {} bytes, a key has 32", key.len()),
        })?;
        Ok(Self {
            path: path.to_owned(),
            cipher,
        })
    }

    /// Makes a new key in a new file, readable by its owner only.
    pub fn create(path: &Path) -> Result<Self, Error> {
        let what = || format!("write the key file {}", path.display());
        let key = XChaCha20Poly1305::generate_key(&mut OsRng);
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(Error::io(what()))?;
        file.write_all(&key)
            .and_then(|()| file.sync_all())
            .map_err(Error::io(what()))?;
        Self::open(path)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Sealer for KeyFile {
    fn seal(&self, clear: &[u8]) -> Vec<u8> {
        let nonce = XChaCha20Poly1305::generate_nonce(&mut OsRng);
        let sealed = self
            .cipher
            .encrypt(&nonce, clear)
            .expect("the environment of a process is far below the 256 GiB limit");
        [nonce.as_slice(), &sealed].concat()
    }

    fn unseal(&self, sealed: &[u8]) -> Result<Vec<u8>, Error> {
        let (nonce, sealed) = sealed.split_at_checked(Self::NONCE).ok_or(Error::Unseal)?;
        self.cipher
            .decrypt(XNonce::from_slice(nonce), sealed)
            .map_err(|_| Error::Unseal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unseals_what_it_sealed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let key = KeyFile::create(&dir.path().join("key")).unwrap();
        let other = KeyFile::create(&dir.path().join("other")).unwrap();
        let sealed = key.seal(b"clear");
        assert_eq!(
            KeyFile::open(key.path()).unwrap().unseal(&sealed).unwrap(),
            b"clear"
        );
        assert_ne!(sealed, key.seal(b"clear"), "a nonce is never used twice");
        let mut changed = sealed.clone();
        *changed.last_mut().unwrap() ^= 1;
        for bad in [
            other.unseal(&sealed),
            key.unseal(&changed),
            key.unseal(b"short"),
        ] {
            assert!(matches!(bad, Err(Error::Unseal)));
        }
        assert!(
            KeyFile::create(key.path()).is_err(),
            "a key in use is not overwritten"
        );
    }
}
