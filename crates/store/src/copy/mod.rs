//! Copies of a whole store: as a file that can be restored (`backup`, `restore`), on whichever database, and as lines
//! that others can read (`export`). A store is moved to another database the same way.
//!
//! A file is JSON lines: a header, a line per row with its table and columns, and an end with the number of lines before
//! it and their SHA-256, so that half a file is not taken for one. Bodies are kept to the byte: hash chains stay true.
//! Progress lines are not in it. Values of secrets are in it as they are in the store: sealed, and without the key.

mod backup;
mod restore;
mod table;

pub use backup::{backup, export};
pub use restore::{relocate, restore};

use crate::artifacts::ArtifactError;
use belay_engine::ports::StoreError;
use std::io;

/// The form of a file that is written now. 2: journals may be in the archive. Older ones are read, too.
const FORMAT: u64 = 2;

/// What a copy holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Deployments with their journals.
    pub deployments: u64,
    /// Lines in all.
    pub rows: u64,
    /// Artifacts.
    pub artifacts: u64,
}

/// Why a store was not copied. Nothing of the copy was kept then.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An artifact.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The file cannot be written or read.
    #[error("the file cannot be written or read")]
    File(#[from] io::Error),
    /// It is no backup, or not a whole one, or was altered.
    #[error("line {line} of the file: {why}")]
    Malformed {
        /// Which line, from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
    /// There is something in the store that would be overwritten.
    #[error("the store that it would go to is not empty: {0}")]
    NotEmpty(String),
    /// Deployments are open.
    #[error("{0} of its deployments are open")]
    Open(u64),
}
