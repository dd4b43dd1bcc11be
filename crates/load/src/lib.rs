//! HTTP load that remembers when each request began, what came of it and which release answered. It never tries a
//! request again, so nothing that went wrong is hidden.
//!
//! It must not know Belay: it sees what a client of the service sees.
#![warn(missing_docs)]

mod client;
mod load;

pub use load::{Came, Keep, Load, Seen, Shape, Vain, now_us};
