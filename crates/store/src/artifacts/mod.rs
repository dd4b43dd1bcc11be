//! Artifacts: what releases run, content addressed, so that a release keeps its own bits whatever becomes of the
//! place they came from.
//!
//! `artifacts/<hex>/files` is the tree, read-only; `artifacts/<hex>/manifest` lists it, and the digest is the
//! manifest's. A copy is made beside and renamed into place, so there is never half an artifact.

//!
//! On a store that machines share (`depot`), what one of them adds all of them have: `artifacts/` is a cache then.

mod copy;
pub(crate) mod depot;
mod error;
mod manifest;
mod pack;
mod place;
mod stream;
mod tree;

pub use error::ArtifactError;
pub use place::{ArtifactOptions, Artifacts};
pub(crate) use stream::Taken;
