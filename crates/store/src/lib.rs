//! The durable places: the journal, the environment stream, the evidence ledger, sealed blobs, artifacts.
//!
//! [`SqlStore`] implements the engine's `Store`: as [`SqliteStore`] on one SQLite file in `.belay/`, as
//! [`PostgresStore`] on a server. Several processes may have it open: a command writes what it wants and follows, a
//! worker does it; they meet here. [`Blobs`] keeps the values of secrets sealed, [`Artifacts`] keeps what releases run,
//! content addressed.
//!
//! What is written once: the port (`store`), what may be written (`change`, `journal`, `stream`), what is read (`reader`), the
//! hash chain, blobs, retention; all of it on the seam `sql`. What a database brings of its own is in its directory and
//! behind `database`: connections, grouped commits, hints, errors, migrations.
//!
//! The crate decides nothing about deployments. It knows orders, epochs, limits and hashes, and what to keep.
#![warn(missing_docs)]
#![allow(
    private_interfaces,
    reason = "what a database offers is for the store alone; it is named in public as `dyn Database` only"
)]

mod archive;
mod artifacts;
mod blobs;
mod chain;
mod change;
mod copy;
mod database;
mod error;
mod journal;
mod key;
mod leases;
mod mailbox;
mod plans;
mod postgres;
mod progress;
mod reader;
mod retention;
mod sql;
mod sqlite;
mod statements;
mod store;
mod stream;
mod views;

pub use artifacts::{ArtifactError, ArtifactOptions, Artifacts};
pub use belay_engine::ports::StoreError as Error;
pub use blobs::{BlobError, Blobs};
pub use chain::BrokenLink;
pub use copy::{Copied, CopyError, backup, export, relocate, restore};
pub use database::{Health, Stats};
pub use postgres::{OpenError, Postgres, PostgresOptions, PostgresStore, Tables};
pub use retention::{Kept, retention};
pub use sqlite::{Options, Sqlite, SqliteStore};
pub use store::{AnyStore, SqlStore};
