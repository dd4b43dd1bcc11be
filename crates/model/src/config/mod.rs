//! `belay.yaml` as types: what people write, with units and defaults in the doc comments, which become the descriptions
//! in `belay.schema.json`.
//!
//! Nothing here reads files, knows positions in a text or judges whether a plan can work: a value that parses may still be
//! impossible. The runtime crate does that, because it has the text to point at.

mod check;
mod duration;
mod environment;
mod percent;
mod schema;
mod secret;
mod service;
mod strategy;
mod target;

pub use check::{At, Check, CheckError, CheckKind, HttpCheck, Traffic};
pub use duration::{Duration, ParseDurationError};
pub use environment::{
    Approve, Barrier, Environment, FirstFailure, Hotfix, Inconclusive, Keep, Queue,
};
pub use percent::{ParsePercentError, Percent};
pub use schema::schema;
pub use secret::{ParseSecretError, SecretRef};
pub use service::{Config, LITERAL, ReleaseSource};
pub use strategy::{CanaryStep, Strategy};
pub use target::{
    CommandLine, ParseCommandError, ProcessTarget, Ready, ReadyError, ReadyKind, Target,
};
