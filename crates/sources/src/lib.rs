//! Verification that touches the world: HTTP, TCP, commands, and what the proxy counted.
//!
//! [`Sources`] answers the engine's questions. It judges nothing by itself that numbers can decide (that is
//! `belay-analysis`), changes nothing in the world, and never calls something good that it could not see (I8, P6).
//!
//! # Evidence
//! [`Verdict::evidence`](belay_model::verdict::Verdict) is
//! ```json
//! { "look": "live", "watched_ms": 4000, "checks": [
//!   { "check": "http /health", "kind": "http", "outcome": "pass", "sentence": "...",
//!     "seen": { "rounds": 3, "places": [ { "at": "...", "outcome": "pass", "tries": 1, "status": 200 } ] } },
//!   { "check": "traffic", "kind": "traffic", "outcome": "fail", "sentence": "...",
//!     "seen": { "candidate": "r2-1a2b3c4d", "baseline": "r1-5e6f7a8b", "cursor": "...", "numbers": { } } },
//!   { "check": "tcp", "outcome": "unfinished" } ] }
//! ```
//! `kind` is `http`, `tcp`, `command`, `traffic` or `readiness`; what each place adds beside `at`, `outcome`, `said` and
//! `tries` is `status` and `body` (a beginning, if it was refused) for HTTP, `exit` and `output` (the last lines) for
//! commands. `unfinished`: another check failed first. The deciding check of a verdict is the worst one; when several pass
//! it is `all checks`.
#![warn(missing_docs)]

mod answer;
mod command;
mod counters;
mod dial;
mod http;
mod json_path;
mod place;
mod probe;
mod program;
mod readiness;
mod runner;
mod tcp;
mod traffic;
mod verifier;
mod watch;

pub use counters::{Bucket, Counters, Reading};
pub use place::{Addresses, Found, Front, Passage, Place, Told};
pub use runner::Programs;
pub use verifier::Sources;
