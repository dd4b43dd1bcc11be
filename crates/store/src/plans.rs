//! The plans of deployments that were written to lately. A summary is projected from events that name steps by their
//! number; what they are is in the plan, which may be long, stands in the journal already, and so is not stored with each
//! summary again.

use crate::error::{Refusal, unreadable};
use crate::sql::{Sql, one, values};
use belay_engine::ports::StoreError;
use belay_model::event::Event;
use belay_model::id::DeploymentId;
use belay_model::plan::Plan;
use belay_model::summary::{Phase, Summary};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many are remembered; one that is forgotten is read again.
const REMEMBERED: usize = 256;

/// See the module. Of one writer; with the positions at which they stand in their journals.
#[derive(Default)]
pub(crate) struct Plans(BTreeMap<DeploymentId, (u64, Arc<Plan>)>);

impl Plans {
    /// Gives a stored summary back its plan.
    pub(crate) async fn complete(
        &self,
        tx: &mut dyn Sql,
        summary: &mut Summary,
    ) -> Result<(), Refusal> {
        let Some(seq) = summary.lacks_plan() else {
            return Ok(());
        };
        let known = self.0.get(&summary.id).filter(|(at, _)| *at == seq);
        let plan = match known {
            Some((_, plan)) => plan.clone(),
            None => Arc::new(read(tx, &summary.id, seq).await?),
        };
        summary.give_plan(plan);
        Ok(())
    }

    /// Of a change that is about to be committed. Who fails to commit it forgets everything.
    pub(crate) fn remember(&mut self, summary: &Summary) {
        let Some((seq, plan)) = summary.plan().filter(|_| summary.phase != Phase::Ended) else {
            self.0.remove(&summary.id);
            return;
        };
        if self.0.get(&summary.id).is_some_and(|(at, _)| *at == seq) {
            return;
        }
        if self.0.len() >= REMEMBERED {
            self.0.clear();
        }
        self.0.insert(summary.id.clone(), (seq, plan.clone()));
    }

    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }
}

async fn read(tx: &mut dyn Sql, id: &DeploymentId, seq: u64) -> Result<Plan, Refusal> {
    let (body,): (String,) = one(
        tx,
        "SELECT body FROM events WHERE deployment = $1 AND seq = $2",
        values![id.as_str(), i64::try_from(seq).unwrap_or(i64::MAX)],
    )
    .await?;
    let what = || format!("event {seq} of {id}");
    match serde_json::from_str(&body).map_err(|e| unreadable(what(), &e))? {
        Event::Planned { plan, .. } | Event::RollbackPlanned { plan, .. } => Ok(plan),
        _ => Err(StoreError::Damaged(format!("{} has no plan", what())).into()),
    }
}
