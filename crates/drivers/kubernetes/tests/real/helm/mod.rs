//! Helm releases, with the real helm at work.

mod conformance;
mod look;
mod recovery;
mod residue;
mod shop;
mod way;
