//! The real binary on real processes under real load: what a user sees, end to end.

mod misfortune;
mod nginx;
#[path = "../support/mod.rs"]
mod support;
mod workers;
