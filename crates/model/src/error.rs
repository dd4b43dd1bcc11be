//! Errors of platforms as data, and the stable codes that users see.

use serde::{Deserialize, Serialize};

/// What kind of thing went wrong. Policies match on it; nobody parses text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The release itself: it does not start, is not ready, answers badly.
    Application,
    /// The platform could not be reached, or the call was cut off.
    Connectivity,
    /// We are nobody there.
    Authentication,
    /// We may not do it.
    Authorisation,
    /// A verification failed or could not decide.
    Verification,
    /// It took longer than its deadline.
    Timeout,
    /// No room: quota, disk, ports, throttling.
    Quota,
    /// Someone else changed it in between (I10).
    Conflict,
    /// Anything else, programmer errors among them.
    Unknown,
}

/// Whether a failed call may have changed the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Certainly not.
    NotApplied,
    /// Perhaps, in part or whole.
    MaybeApplied,
}

/// A failure as the journal keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// What kind.
    pub class: Class,
    /// What it may have changed.
    pub effect: Effect,
    /// A lower-case fragment that reads well after "failed to".
    pub message: String,
    /// More lines that help: the last output, the last answer seen.
    pub detail: Vec<String>,
    /// The platform says when to try again, milliseconds from then.
    pub retry_after_ms: Option<u64>,
}
