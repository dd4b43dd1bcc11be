//! From manifests to what a target's settings say: pure, and in two steps. [`read`] makes a release of manifests: the same
//! objects wherever it goes, with the images that are asked for. [`lay_out`] makes of them what a record has in one
//! environment: settings and secrets as environment variables, and names that change with the content, so that what
//! is there for the release before is never overwritten.
//!
//! Nothing here knows a cluster, a file or the value of a secret.

mod error;
mod lay_out;
mod names;
mod pods;
mod probes;
mod read;
mod running;
mod services;
#[cfg(test)]
mod tests;
mod yaml;

pub use error::Error;
pub use lay_out::{Laid, MAX_BYTES, Overlay, lay_out};
pub use probes::{Unprobed, unprobed};
pub use read::{Images, Manifest, from_list, read, replace, to_list};
pub use running::{named, without_settings};
pub use services::services;
pub use yaml::to_yaml;
