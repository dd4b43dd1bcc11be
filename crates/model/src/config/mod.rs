//! `belay.yaml` as types: what people write, with units and defaults in the doc comments, which become the descriptions
//! in `belay.schema.json`.
//!
//! Nothing here reads files, knows positions in a text or judges whether a plan can work: a value that parses may still be
//! impossible. The runtime crate does that, because it has the text to point at.

mod call;
mod check;
mod duration;
mod entrance;
mod environment;
mod failure;
mod helm;
mod kubernetes;
mod percent;
mod phase;
mod release;
mod schema;
mod secret;
mod secret_text;
mod service;
mod step;
mod strategy;
mod target;
mod text;

pub use call::{Call, HttpCall};
pub use check::{At, Check, CheckError, CheckKind, HttpCheck, Traffic};
pub use duration::{Duration, ParseDurationError};
pub use entrance::{Entrance, EntranceKind, ParseEntranceError};
pub use environment::{
    Approve, Barrier, Environment, FirstFailure, FromStanding, Hotfix, Inconclusive, Keep, Place,
    Queue,
};
pub use failure::{AskPerson, FailureAction, FailureClass, OnFailure, Retry, Unanswered};
pub use helm::{HelmTarget, ImagePart, ParseValueSourceError, ValueSource};
pub use kubernetes::{Gitops, KubernetesTarget, ParseWorkloadError, ServiceNames, WorkloadName};
pub use percent::{ParsePercentError, Percent};
pub use phase::{
    BackCapacity, BackOrder, BackPhases, ForeignChange, Phase, PhaseRollback, Provisioning,
    ProvisioningOrder,
};
pub use release::{ReleaseError, ReleaseKind, ReleaseSource};
pub use schema::schema;
pub use secret::{ParseSecretError, SecretRef};
pub use secret_text::{SecretText, Unclosed};
pub use service::{Config, LITERAL};
pub use step::{Group, Step, StepError, StepKind};
pub use strategy::{CanaryStep, Strategy};
pub use target::{
    CommandLine, ParseCommandError, ProcessTarget, Ready, ReadyError, ReadyKind, Target,
};
