//! The real binary on a real control plane: what a user of Kubernetes sees, end to end; the real `kubectl` reads what is there.

mod beside;
mod checks;
mod errors;
mod helm;
mod places;
mod shop;
#[path = "../support/mod.rs"]
mod support;
mod users;
mod ways;
