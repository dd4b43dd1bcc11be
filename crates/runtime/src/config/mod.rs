//! `belay.yaml` from a file to checked values, with a position for every complaint.
//!
//! The way: [`load`] reads the file and parses it into a tree that knows where each key and value stands (`tree`), feeds the
//! tree to the model's types (`de`), and keeps an index from path to place ([`Spans`]), so that a rule found broken long
//! after parsing can still be underlined ([`Loaded::check`]). Every complaint is a [`Diagnostic`].
//!
//! Nothing here changes the world, and nothing but this module knows positions: the types are the model's.

mod approve;
mod check;
mod de;
mod diagnostic;
mod files;
mod from;
mod helm;
mod kubernetes;
mod load;
mod nearest;
mod phases;
mod ports;
mod recover;
mod release;
mod scalar;
mod source;
mod steps;
mod target;
mod tree;
mod verify;

#[cfg(test)]
mod tests;

pub use diagnostic::{Code, Diagnostic};
pub use load::{Loaded, MAX_BYTES, load, parse};
pub(crate) use nearest::nearest;
pub use source::{Place, Span, Spans};
