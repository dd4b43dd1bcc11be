//! What is seen of a real control plane, with the real kubectl and helm at work on it. One control plane serves all tests,
//! each in a namespace of its own.

mod account;
mod admission;
mod away;
mod beside;
mod between;
mod changes;
mod conformance;
mod deployment;
mod errors;
mod expired;
mod failures;
mod helm;
mod nodes;
mod others;
mod owners;
mod place;
mod rights;
mod route;
mod slow;
mod storms;
mod transition;
mod way;
