//! One store opened, with everything put together around it.

use crate::Error;
use belay_engine::ports::{Ports, Store};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the command line knows.
#[derive(Clone, Debug)]
pub struct Options {
    /// The store's directory, `.belay`. Made when it is missing, mode 0700.
    pub dir: PathBuf,
    /// This executable: run as `exe worker`, `exe proxy run`, `exe supervise`.
    pub exe: PathBuf,
    /// Key for sealed values (`BELAY_KEY`), instead of the file `.belay/key`.
    pub key: Option<String>,
    /// Who asks, for the journal: `alice@host`.
    pub actor: String,
}

/// One store opened. Cheap to clone.
#[derive(Clone)]
pub struct Belay {}

impl Belay {
    /// Opens the store, making it when there is none.
    ///
    /// # Errors
    /// The directory or the store cannot be used.
    pub async fn open(_options: Options) -> Result<Self, Error> {
        unimplemented!()
    }

    /// The store's directory.
    pub fn dir(&self) -> &Path {
        unimplemented!()
    }

    /// Who asks.
    pub fn actor(&self) -> &str {
        unimplemented!()
    }

    /// The durable places.
    pub fn store(&self) -> Arc<dyn Store> {
        unimplemented!()
    }

    /// What the engine needs.
    pub fn ports(&self) -> Ports {
        unimplemented!()
    }
}
