//! Artifacts: what releases run, content addressed, so that a release keeps its own bits whatever becomes of the
//! place they came from.
//!
//! `artifacts/<hex>/files` is the tree, read-only; `artifacts/<hex>/manifest` lists it, and the digest is the
//! manifest's. A copy is made beside and renamed into place, so there is never half an artifact.

mod copy;
mod error;
mod manifest;
mod place;
mod tree;

pub use error::ArtifactError;
pub use place::{ArtifactOptions, Artifacts};
