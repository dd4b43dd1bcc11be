//! What can be seen of deployments, and of who serves.

use super::Scene;
use crate::World;
use crate::oracle::check_journal;
use belay_engine::ports::Store;
use belay_model::environment::Standing;
use belay_model::event::{Event, Outcome};
use belay_model::id::DeploymentId;
use belay_model::plan::Plan;
use belay_model::summary::Summary;

impl Scene {
    /// A deployment's projection.
    pub async fn summary(&self, id: &DeploymentId) -> Summary {
        self.store
            .summary(id)
            .await
            .expect("memory")
            .expect("it exists")
    }

    /// How a deployment ended, if it has; its journal is as it must be.
    pub async fn outcome(&self, id: &DeploymentId) -> Option<Outcome> {
        check_journal(&self.store.journal(id));
        self.summary(id).await.outcome
    }

    /// The plan that a deployment made last.
    pub fn last_plan(&self, id: &DeploymentId) -> Plan {
        let journal = self.store.journal(id).into_iter().rev();
        let mut plans = journal.filter_map(|entry| match entry.event {
            Event::Planned { plan, .. } | Event::RollbackPlanned { plan, .. } => Some(plan),
            _ => None,
        });
        plans.next().expect("it was planned")
    }

    /// What people were told with it.
    pub fn remarks(&self, id: &DeploymentId) -> Vec<String> {
        let journal = self.store.journal(id).into_iter().rev();
        let mut told = journal.filter_map(|entry| match entry.event {
            Event::Planned { remarks, .. } | Event::RollbackPlanned { remarks, .. } => {
                Some(remarks)
            }
            _ => None,
        });
        told.next().unwrap_or_default()
    }

    /// What a release is worth.
    pub fn standing(&self, release: u32) -> Standing {
        self.view().records[&self.record(release).hash()].standing
    }

    /// The group that has all the traffic; where there is none, the one that works alone.
    pub fn serving(&self) -> Option<String> {
        if !self.world.takes_traffic() {
            let mut groups = self.world.groups();
            return groups.pop().filter(|_| groups.is_empty());
        }
        has_all(&self.world)
    }

    /// The release, of the first eight, that has all the traffic of each of these targets.
    pub fn serving_on<const N: usize>(&self, targets: [&str; N]) -> [Option<u32>; N] {
        targets.map(|target| {
            let group = has_all(&self.worlds[target])?;
            (1..9).find(|release| self.record(*release).group() == group)
        })
    }
}

fn has_all(world: &World) -> Option<String> {
    let weights = world.weights();
    let mut all = weights.iter().filter(|(_, weight)| **weight == 1000);
    all.next().map(|(name, _)| name.clone())
}
