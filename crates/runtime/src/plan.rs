//! Plans as people see them before anything happens.

use belay_model::id::{ArtifactDigest, DeploymentId, ReleaseNumber, Scope};
use belay_model::plan::{Plan, Wave};

/// One step of a plan in words.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedStep {
    /// In words.
    pub title: String,
    /// Its wave; absent: a verification.
    pub wave: Option<Wave>,
    /// The release is promoted when it is done.
    pub promotes: bool,
    /// It belongs to the bake.
    pub bake: bool,
    /// What stays behind although the step is taken back (I14).
    pub residue: Option<String>,
}

impl PlannedStep {
    /// The steps of a plan, in order.
    pub fn of(_plan: &Plan) -> Vec<Self> {
        unimplemented!()
    }
}

/// What a deployment would do.
#[derive(Clone, Debug)]
pub struct DeployPlan {
    /// Where.
    pub scope: Scope,
    /// The release's number; absent: a new one.
    pub release: Option<ReleaseNumber>,
    /// What is run.
    pub artifact: ArtifactDigest,
    /// The frozen plan as it would be now.
    pub plan: Plan,
    /// Its steps in words.
    pub steps: Vec<PlannedStep>,
    /// The way back in words: where to, and the steps from the end.
    pub back_to: String,
    /// Steps of the way back once the release serves alone.
    pub back_steps: Vec<PlannedStep>,
    /// What people should know: what is open and comes first, a quarantine, missing checks.
    pub remarks: Vec<String>,
    /// Open deployments that come first.
    pub behind: Vec<DeploymentId>,
    /// It serves already: nothing would be done.
    pub nothing_to_do: bool,
}
