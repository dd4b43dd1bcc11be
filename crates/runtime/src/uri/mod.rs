//! What Belay never deployed, named by a URI: its history, a way back, and the configuration that takes it over.
//!
//! A way back of it is a deployment like any other, in a scope that the URI gives: it is durable, can be killed, is in
//! `status`, and can be taken back. Its goal is a record that is made of what the platform has kept, and what runs becomes a
//! record, too, so that it is known what was left.

mod adopt;
mod adopt_release;
mod bundle;
mod choose;
mod error;
mod history;
mod place;
mod release;
mod there;

pub use adopt::{Adopted, Adoption};
pub use error::Error;
pub use history::PlatformHistory;
pub use place::{Uri, is_uri};
pub(crate) use there::Undeployed;
