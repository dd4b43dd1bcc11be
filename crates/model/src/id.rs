//! Identifiers. Each is a newtype, so that a service cannot be passed where an environment is meant.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);
        impl $name {
            /// Wraps text as it is; who makes one is responsible for its form.
            pub fn new(text: impl Into<String>) -> Self { Self(text.into()) }
            /// The text.
            pub fn as_str(&self) -> &str { &self.0 }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
    };
}

text_id! {
    /// What users name and deploy: `[a-z0-9-]{1,63}`.
    ServiceName
}
text_id! {
    /// Where a service runs, with its policy: `staging`, `production`.
    EnvironmentName
}
text_id! {
    /// One attempt to put a release on an environment: `dep_` and a time-ordered suffix.
    DeploymentId
}
text_id! {
    /// Hash of a record's content, lower-case hex SHA-256. The key of "nothing to do" and of quarantine.
    RecordHash
}
text_id! {
    /// Digest of an artifact: `sha256:` and lower-case hex.
    ArtifactDigest
}
text_id! {
    /// A sealed blob in the store: `blob_` and a suffix.
    BlobId
}

impl RecordHash {
    /// The first eight digits, enough to tell records of one service apart by eye.
    pub fn short(&self) -> &str {
        self.0.get(..8).unwrap_or(&self.0)
    }
}

/// A release's number, counted per service from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReleaseNumber(pub u32);

impl fmt::Display for ReleaseNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One (service, environment): what a lock, a standing and an environment stream belong to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// The service.
    pub service: ServiceName,
    /// The environment.
    pub environment: EnvironmentName,
}

/// Stands for every service, or for every environment, where a freeze is about more than one scope. No name has it.
pub const EVERY: &str = "*";

impl Scope {
    /// Those whose freezes hold here: its own, its environment's and its service's.
    pub fn frozen_by(&self) -> [Scope; 3] {
        let every_service = Scope {
            service: ServiceName::new(EVERY),
            environment: self.environment.clone(),
        };
        let every_environment = Scope {
            service: self.service.clone(),
            environment: EnvironmentName::new(EVERY),
        };
        [self.clone(), every_service, every_environment]
    }

    /// Whether it is no scope of deployments, and stands for those of every service or of every environment.
    pub fn stands_for_several(&self) -> bool {
        self.service.as_str() == EVERY || self.environment.as_str() == EVERY
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.service, self.environment)
    }
}

/// A step of one of a deployment's plans: plan 0 goes forward, plan n is the n-th `RollbackPlanned`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepId {
    /// Which plan.
    pub plan: u16,
    /// Which step of it, from 0, counted over all phases.
    pub index: u16,
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.plan, self.index)
    }
}

impl Serialize for StepId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StepId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parse = || {
            let (plan, index) = text.split_once('.')?;
            Some(StepId {
                plan: plan.parse().ok()?,
                index: index.parse().ok()?,
            })
        };
        parse().ok_or_else(|| {
            serde::de::Error::custom(format!("a step id is PLAN.INDEX, not `{text}`"))
        })
    }
}
