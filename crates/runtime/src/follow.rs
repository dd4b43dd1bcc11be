//! Watching a deployment.

use crate::{Belay, Error};
use belay_model::event::Entry;
use belay_model::id::DeploymentId;
use belay_model::summary::Summary;

/// A line of progress.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// When, Unix microseconds.
    pub at_us: i64,
    /// It.
    pub text: String,
}

/// What is new.
#[derive(Clone, Debug)]
pub struct Update {
    /// Where the deployment stands now.
    pub summary: Summary,
    /// New entries of its journal, in order.
    pub entries: Vec<Entry>,
    /// New lines of progress, in order.
    pub lines: Vec<Line>,
}

/// Watches one deployment; dropping it only stops watching.
pub struct Follow {}

impl Follow {
    /// Waits for news; absent: the deployment ended, or waits for a person, and everything was told.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn next(&mut self) -> Result<Option<Update>, Error> {
        unimplemented!()
    }
}

impl Belay {
    /// Watches a deployment from its beginning.
    pub fn follow(&self, _id: &DeploymentId) -> Follow {
        unimplemented!()
    }
}
