//! The real binary on real processes under real load: what a user sees, end to end.

mod disk;
mod misfortune;
mod nginx;
mod project;
