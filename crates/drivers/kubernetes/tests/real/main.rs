//! What is seen of a real control plane, with the real kubectl and helm at work on it. One control plane serves all tests,
//! each in a namespace of its own.

mod account;
mod beside;
mod between;
mod changes;
mod conformance;
mod deployment;
mod errors;
mod failures;
mod helm;
mod others;
mod place;
mod rights;
mod route;
mod transition;
mod way;
