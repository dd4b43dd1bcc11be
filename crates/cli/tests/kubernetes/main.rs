//! The real binary on a real control plane: what a user of Kubernetes sees, end to end; the real `kubectl` reads what is there.

mod account;
mod adoption;
mod beside;
mod checks;
mod errors;
mod helm;
mod helm_adoption;
mod helm_fetched;
mod helm_scripts;
mod helm_undeployed;
mod places;
mod rights;
mod scripts;
mod shop;
#[path = "../support/mod.rs"]
mod support;
mod trouble;
mod undeployed;
mod users;
mod ways;
