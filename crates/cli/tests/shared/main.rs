//! Several machines, each a folder with a name of its own, on one store on a real PostgreSQL.

mod away;
mod copies;
mod doctor;
mod errors;
mod keys;
mod machine;
mod promotion;
#[path = "../support/mod.rs"]
mod support;
mod truth;
