//! The durable places: the journal, the environment stream, the evidence ledger, sealed blobs, artifacts.
//!
//! [`SqliteStore`] implements the engine's `Store` on one SQLite file in `.belay/`. Several processes may have it
//! open: a command writes what it wants and follows, a worker does it; they meet here. [`Blobs`] keeps the values of
//! secrets sealed, [`Artifacts`] keeps what releases run, content addressed.
//!
//! The crate decides nothing about deployments. It knows orders, epochs, limits and hashes, and what to keep.
#![warn(missing_docs)]

mod artifacts;
mod blobs;
mod chain;
mod change;
mod connection;
mod error;
mod hints;
mod journal;
mod key;
mod progress;
mod reader;
mod retention;
mod store;
mod writer;

pub use artifacts::{ArtifactError, ArtifactOptions, Artifacts};
pub use belay_engine::ports::StoreError as Error;
pub use blobs::{BlobError, Blobs};
pub use chain::BrokenLink;
pub use retention::{Kept, retention};
pub use store::{Options, SqliteStore};
pub use writer::Stats;
