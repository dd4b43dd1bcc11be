//! Whether a way back is ready now.

use crate::{Belay, Error};
use belay_driver::Restorability;
use belay_engine::goal::Skipped;
use belay_model::id::{ReleaseNumber, Scope};

/// The answer of `belay rollback --check`: whether going back would work now, and how.
#[derive(Clone, Debug)]
pub struct Readiness {
    /// Where.
    pub scope: Scope,
    /// It would work as far as anyone can tell.
    pub ready: bool,
    /// Where it would lead, in words; absent: nowhere.
    pub goal: Option<String>,
    /// Its release.
    pub release: Option<ReleaseNumber>,
    /// Its instances stand ready: traffic only has to be switched.
    pub warm: bool,
    /// What the platform says.
    pub restorability: Option<Restorability>,
    /// Predicted time, milliseconds, if there is a base for a prediction.
    pub predicted_ms: Option<u64>,
    /// Why it is not ready, or only partly, one line each.
    pub reasons: Vec<String>,
    /// Candidates passed over, and why.
    pub skipped: Vec<Skipped>,
}

impl Belay {
    /// Whether a rollback would work now. Changes nothing.
    ///
    /// # Errors
    /// The store cannot be read. Whatever speaks against going back is in the answer.
    pub async fn ready(
        &self,
        _scope: &Scope,
        _to: Option<ReleaseNumber>,
    ) -> Result<Readiness, Error> {
        unimplemented!()
    }
}
