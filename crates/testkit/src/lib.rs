//! Simulated worlds, fault plans, fake clock, crash runner; for tests only.
//!
//! The worlds are ours and say so: what they prove is the engine, never a platform. Drivers are proved against the
//! real software by their own suites.

mod clock;
mod crash;
mod judge;
mod oracle;
pub mod parts;
mod runs;
mod scene;
pub mod sim;
mod store;
mod told;
mod verifier;
mod worlds;

pub use clock::FakeClock;
pub use crash::{Crashes, Point};
pub use judge::{Before, judge};
pub use oracle::{breaches, check_journal};
pub use runs::Runs;
pub use scene::Scene;
pub use store::{Hints, MemoryStore, Reach};
pub use verifier::Script;
pub use worlds::{Fault, Kind, LATENCY_MS, LONGEST_MS, World};
