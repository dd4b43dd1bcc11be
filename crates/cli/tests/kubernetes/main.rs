//! The real binary on a real control plane: what a user of Kubernetes sees, end to end; the real `kubectl` reads what is there.

mod account;
mod adoption;
mod beside;
mod checks;
mod crash;
mod custom;
mod entrances;
mod errors;
mod gitops;
mod helm;
mod helm_adoption;
mod helm_fetched;
mod helm_scripts;
mod helm_undeployed;
mod outage;
mod places;
mod refused;
mod rights;
mod running;
mod scripts;
mod shop;
#[path = "../support/mod.rs"]
mod support;
mod trouble;
mod twice;
mod undeployed;
mod users;
mod volumes;
mod ways;
