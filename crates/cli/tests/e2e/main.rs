//! The real binary on real processes under real load: what a user sees, end to end.

mod capacity;
mod freeze;
mod hotfix;
mod misfortune;
mod nginx;
mod people;
mod phases;
mod promotion;
mod scripts;
#[path = "../support/mod.rs"]
mod support;
mod workers;
