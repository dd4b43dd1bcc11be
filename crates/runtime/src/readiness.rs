//! Whether a way back is ready now.

use crate::targets::looking;
use crate::way::Way;
use crate::{Belay, Error, RollbackRequest};
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
        scope: &Scope,
        to: Option<ReleaseNumber>,
    ) -> Result<Readiness, Error> {
        let mut readiness = Readiness {
            scope: scope.clone(),
            ready: false,
            goal: None,
            release: None,
            warm: false,
            restorability: None,
            predicted_ms: None,
            reasons: Vec::new(),
            skipped: Vec::new(),
        };
        let request = RollbackRequest {
            to,
            ..RollbackRequest::default()
        };
        let way = match self.way_back(scope, &request).await {
            Ok(way) => way,
            Err(error @ Error::Store(_)) => return Err(error),
            Err(error) => {
                readiness.reasons.push(error.to_string());
                if let Error::NothingGood { skipped, .. } = error {
                    readiness.skipped = skipped;
                }
                return Ok(readiness);
            }
        };
        if let Way::Return { skipped, .. } = &way {
            readiness.skipped.clone_from(skipped);
        }
        if let Way::Signal { id, remarks, .. } = &way {
            let line = format!("{id} is open: going back is a signal to it");
            readiness.reasons.push(line);
            readiness.reasons.extend(remarks.iter().cloned());
        }
        let Some(goal) = way.goal() else {
            // Nothing was changed, so there is nothing to be restored.
            readiness.ready = true;
            return Ok(readiness);
        };
        readiness.goal = Some(goal.title.clone());
        let record = goal.record.as_ref().and_then(|hash| goal.records.get(hash));
        readiness.release = record.map(|record| record.release);
        let targets = self.targets_of(goal)?;
        if let Some(away) = self.elsewhere(&targets) {
            readiness.reasons.push(away.to_string());
            return Ok(readiness);
        }
        match targets.restorable(&looking(), goal).await {
            Err((_, failure)) => readiness.reasons.push(failure.message),
            Ok(Restorability::No(lines)) => {
                readiness.reasons.extend(lines.iter().cloned());
                readiness.restorability = Some(Restorability::No(lines));
            }
            Ok(answer) => {
                readiness.ready = true;
                match &answer {
                    // A prediction is made where everything stands ready.
                    Restorability::Exact { millis } => {
                        readiness.predicted_ms = *millis;
                        readiness.warm = millis.is_some();
                    }
                    Restorability::Partial(lines) => {
                        readiness.reasons.extend(lines.iter().cloned());
                    }
                    Restorability::No(_) => {}
                }
                readiness.restorability = Some(answer);
            }
        }
        if let Some(record) = record
            && let Err(error) = self.artifacts().directory(&record.artifact).await
        {
            // Warm instances serve without it; one that has to be started again would not.
            readiness.reasons.push(crate::artifacts::chain(&error));
            readiness.ready &= readiness.warm;
        }
        Ok(readiness)
    }
}
