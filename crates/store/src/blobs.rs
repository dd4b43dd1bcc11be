//! Sealed blobs: the values of secrets that a record needs, encrypted at rest. The journal names a blob and keyed
//! digests of values, never a value; so a blob can be deleted, and the hash chain still holds.

use crate::change::{Answer, Change, MAX_BODY};
use crate::database::Database;
use crate::key::{Key, mac};
use crate::reader;
use belay_engine::ports::StoreError;
use belay_model::id::BlobId;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// First byte of what is stored: XChaCha20-Poly1305, 24 bytes of nonce, then the ciphertext.
const VERSION: u8 = 1;
const NONCE: usize = 24;

/// The name in `meta` under which the store remembers which key it is sealed with.
const CHECK: &str = "key_check";

/// Why a blob was not sealed or not opened.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// Something is sealed already, and its key is not here.
    #[error("the key that this store is sealed with is not here: bring it as {} or set BELAY_KEY", .0.display())]
    KeyGone(PathBuf),
    /// Another key than the one the store is sealed with.
    #[error("this is not the key that this store is sealed with; check {} and BELAY_KEY", .0.display())]
    WrongKey(PathBuf),
    /// Not a key at all.
    #[error("the key cannot be used: {0}")]
    KeyMalformed(String),
    /// Others may read the key file.
    #[error("others may read {} (mode {:o}); run `chmod 600` on it and think about new secrets", .0.display(), .1)]
    KeyReadable(PathBuf, u32),
    /// The key file cannot be read or made.
    #[error("cannot use the key file {}", .0.display())]
    KeyFile(PathBuf, #[source] std::io::Error),
    /// There is no such blob, or no longer.
    #[error("the sealed values {0} are gone")]
    Missing(BlobId),
    /// It does not open with the store's key.
    #[error("the sealed values {0} have been altered")]
    Altered(BlobId),
    /// The store itself.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Seals and opens blobs of one store.
#[derive(Clone)]
pub struct Blobs {
    database: Arc<dyn Database>,
    cipher: XChaCha20Poly1305,
    digests: [u8; 32],
}

impl Blobs {
    /// Blobs sealed with `key`, else with the key in the file `path`, which is made on first use.
    pub(crate) async fn open(
        database: Arc<dyn Database>,
        key: Option<&str>,
        path: &Path,
    ) -> Result<Self, BlobError> {
        let gone = || path.to_owned();
        let known = reader::meta(database.read().await?.as_mut(), CHECK).await?;
        let key = match key {
            Some(text) => Key::parse(text)?,
            None => match (Key::read(path)?, &known) {
                (Some(key), _) => key,
                (None, Some(_)) => return Err(BlobError::KeyGone(gone())),
                (None, None) => Key::create(path)?,
            },
        };
        let known = match known {
            Some(known) => known,
            None => match database.change(Change::Meta(CHECK, key.check())).await? {
                Answer::Text(kept) => kept,
                _ => return Err(BlobError::WrongKey(gone())),
            },
        };
        if known != key.check() {
            return Err(BlobError::WrongKey(gone()));
        }
        Ok(Self {
            database,
            cipher: key.cipher(),
            digests: key.for_digests(),
        })
    }

    /// See [`crate::AnyStore::check_key`].
    pub(crate) async fn check(
        database: &dyn Database,
        key: Option<&str>,
        path: &Path,
    ) -> Result<(), BlobError> {
        let key = match key {
            Some(text) => Some(Key::parse(text)?),
            None => Key::read(path)?,
        };
        let known = reader::meta(database.read().await?.as_mut(), CHECK).await?;
        match (key, known) {
            (Some(key), Some(known)) if known != key.check() => {
                Err(BlobError::WrongKey(path.to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// Seals values by name. The same content again answers the same blob. `at_us`: now, Unix microseconds.
    ///
    /// # Errors
    /// `TooLarge` above 1 MiB; else when the store cannot be written.
    pub async fn seal(
        &self,
        values: &BTreeMap<String, String>,
        at_us: i64,
    ) -> Result<BlobId, BlobError> {
        let plain = serde_json::json!(values).to_string();
        if plain.len() > MAX_BODY {
            let size = plain.len();
            return Err(StoreError::TooLarge(format!("secrets of {size} bytes in all")).into());
        }
        let id = BlobId::new(format!("blob_{:032x}", rand::random::<u128>()));
        let nonce: [u8; NONCE] = rand::random();
        let mut sealed = vec![VERSION];
        sealed.extend(nonce);
        let payload = Payload {
            msg: plain.as_bytes(),
            aad: id.as_str().as_bytes(),
        };
        let Ok(secret) = self.cipher.encrypt(XNonce::from_slice(&nonce), payload) else {
            return Err(StoreError::TooLarge("secrets".to_owned()).into());
        };
        sealed.extend(secret);
        let change = Change::Blob {
            id,
            digest: self.keyed_digest(&plain),
            sealed,
            at_us,
        };
        match self.database.change(change).await? {
            Answer::Text(kept) => Ok(BlobId::new(kept)),
            other => Err(StoreError::Damaged(format!("the writer answered {other:?}")).into()),
        }
    }

    /// The values again.
    ///
    /// # Errors
    /// `Missing` when it was removed, `Altered` when what is stored is not what was sealed.
    pub async fn unseal(&self, id: &BlobId) -> Result<BTreeMap<String, String>, BlobError> {
        let stored = reader::blob(self.database.read().await?.as_mut(), id.as_str()).await?;
        let stored = stored.ok_or_else(|| BlobError::Missing(id.clone()))?;
        let altered = || BlobError::Altered(id.clone());
        let (version, rest) = stored.split_first().ok_or_else(altered)?;
        if *version != VERSION {
            let newer = StoreError::Newer(format!("{id} is sealed in form {version}"));
            return Err(newer.into());
        }
        let (nonce, secret) = rest.split_at_checked(NONCE).ok_or_else(altered)?;
        let payload = Payload {
            msg: secret,
            aad: id.as_str().as_bytes(),
        };
        let plain = self.cipher.decrypt(XNonce::from_slice(nonce), payload);
        let plain = plain.map_err(|_| altered())?;
        serde_json::from_slice(&plain).map_err(|_| altered())
    }

    /// The key of [`Blobs::keyed_digest`], for platforms that tell values apart themselves.
    pub fn digest_key(&self) -> &[u8; 32] {
        &self.digests
    }

    /// Digest of a value under this store's key (HMAC-SHA256, lower-case hex): equal values can be told, and nobody
    /// without the key can try out guesses.
    pub fn keyed_digest(&self, value: &str) -> String {
        hex::encode(mac(&self.digests, value.as_bytes()))
    }
}
