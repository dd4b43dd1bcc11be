//! Going back on request.

use crate::config::Loaded;
use crate::{Accepted, Belay, Error, PlannedStep};
use belay_driver::Restorability;
use belay_engine::goal::Skipped;
use belay_model::environment::Standing;
use belay_model::id::{DeploymentId, RecordHash, ReleaseNumber, Scope};

/// A request to go back.
#[derive(Clone, Debug, Default)]
pub struct RollbackRequest {
    /// To this release and no other; absent: the one before if it is good, else the newest good one.
    pub to: Option<ReleaseNumber>,
    /// To what was there before that deployment: how a rollback is taken back.
    pub undo: Option<DeploymentId>,
    /// Why.
    pub reason: Option<String>,
}

/// Where a rollback would lead, before anything changes.
#[derive(Clone, Debug)]
pub struct RollbackPreview {
    /// Where.
    pub scope: Scope,
    /// What serves now and is left; absent: nothing serves.
    pub leaves: Option<ReleaseNumber>,
    /// The goal in words: `release 1`, `nothing (as before)`.
    pub goal: String,
    /// Its release; absent: what was there before is no release.
    pub release: Option<ReleaseNumber>,
    /// Its content.
    pub record: Option<RecordHash>,
    /// Its standing.
    pub standing: Option<Standing>,
    /// Since when it is good, Unix microseconds.
    pub good_at_us: Option<i64>,
    /// Candidates passed over, and why.
    pub skipped: Vec<Skipped>,
    /// The steps, in order.
    pub steps: Vec<PlannedStep>,
    /// Whether it can be reached right now.
    pub restorability: Restorability,
    /// Where today's configuration differs from the goal's record, one line each. The record counts.
    pub drift: Vec<String>,
    /// Secrets whose source has another value than the record's, one line each.
    pub newer_secrets: Vec<String>,
    /// A deployment is open: going back is a signal to it, and the goal is what was there before it.
    pub signal_to: Option<DeploymentId>,
    /// What else people should know.
    pub remarks: Vec<String>,
}

impl Belay {
    /// Where [`Belay::rollback`] would lead. Changes nothing. `today`: the configuration to compare with.
    ///
    /// # Errors
    /// There is nothing to go back to, or it cannot be read.
    pub async fn preview(
        &self,
        _scope: &Scope,
        _request: &RollbackRequest,
        _today: Option<&Loaded>,
    ) -> Result<RollbackPreview, Error> {
        unimplemented!()
    }

    /// Goes back: a signal to what is open, else a new deployment. A worker does it.
    ///
    /// # Errors
    /// There is nothing good to go back to; its artifact is missing or altered; an undo that is none. Nothing was
    /// changed then.
    pub async fn rollback(
        &self,
        _scope: &Scope,
        _request: &RollbackRequest,
    ) -> Result<Accepted, Error> {
        unimplemented!()
    }
}
