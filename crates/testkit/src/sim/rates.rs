//! How often a person is needed. With kills alone, cuts, or faults that pass before anybody gives up, never (P2).

use super::audit::Audit;
use super::counters::Counters;
use super::story::Weather;
use belay_engine::fold::Deployment;
use belay_model::environment::Standing;
use belay_model::error::Class;
use belay_model::event::Cause;
use belay_model::id::{DeploymentId, StepId};
use belay_model::verdict::Outcome as Said;
use std::fmt::Write;

const NEEDED: &str = "needs_operator: ";

impl Audit {
    /// It waits for a person for as long as it takes. `deployment`: as it is then.
    pub(super) fn needs_operator(&self, deployment: &Deployment, step: Option<StepId>, why: &str) {
        let weather = self.story.weather;
        self.count("needs_operator");
        let id = &deployment.id;
        if self.seen().parked.insert(id.clone()) {
            self.count(format!("{NEEDED}{weather:?}"));
            self.count(format!("{NEEDED}{weather:?}: {}", after(deployment, step)));
        }
        let cause = deployment.plans.last().and_then(|run| run.cause.as_ref());
        // It may always turn out that nothing that proved itself is left, or that where someone wants to go is none any more.
        let is_last = why.contains("is quarantined, and no other release was ever good here");
        let is_nowhere = cause.is_some_and(|cause| cause.leads_to().is_some()) && step.is_none();
        // Nor that what someone wants to go to although it never proved itself does so now.
        let is_unproven = self.leads_to_unproven(deployment);
        // Nor that what was there before never became ready, and someone had wanted it left like that.
        let is_broken = self.leads_to_broken(deployment);
        if weather.is_gentle() && !is_last && !is_nowhere && !is_unproven && !is_broken {
            self.breach(format!(
                "P2: {id} needs a person in {weather:?} weather: {why}"
            ));
        }
    }

    fn leads_to_unproven(&self, deployment: &Deployment) -> bool {
        let run = deployment.plans.last();
        let goal = run.and_then(|run| run.goal.as_ref());
        let inputs = deployment.inputs.as_ref();
        let view = inputs.map(|inputs| self.store().view(&inputs.scope));
        let known = view.and_then(|mut view| view.records.remove(goal?.record.as_ref()?));
        let is_candidate = known.is_some_and(|known| known.standing == Standing::Candidate);
        deployment.goes_back() && is_candidate
    }

    fn leads_to_broken(&self, deployment: &Deployment) -> bool {
        let (Some(run), Some(inputs)) = (deployment.plans.last(), &deployment.inputs) else {
            return false;
        };
        let want = run.goal.as_ref().map(|goal| &goal.want);
        let want = serde_json::to_string(&want).unwrap_or_default();
        let ground = self.ground(&inputs.scope);
        let place = self.place(&inputs.scope);
        let said = place.said.iter();
        let said = said.filter_map(|(release, _, said)| (*said != Said::Pass).then_some(release));
        let mut broken = place.broken.iter().chain(said);
        let is_meant = |release: &u32| want.contains(ground.record(*release).hash().as_str());
        let is_left = self.here(&inputs.scope).is_rough;
        is_left && deployment.goes_back() && broken.any(is_meant)
    }

    /// Who was parked and is asked about has said why, and holds its lock.
    pub(super) fn keeps_its_lock(&self, id: &DeploymentId, behind: &[DeploymentId]) {
        for other in behind {
            let planned = |event: &belay_model::event::Event| {
                matches!(event, belay_model::event::Event::Planned { .. })
            };
            if self.store().any_event(other, planned) {
                self.breach(format!("I12: {other} went on although {id} has the lock"));
            }
        }
    }
}

/// What made someone needed.
fn after(deployment: &Deployment, step: Option<StepId>) -> String {
    let Some(step) = step else {
        let cause = deployment.plans.last().and_then(|run| run.cause.as_ref());
        return match cause {
            Some(Cause::Request { .. }) => "nowhere to go".to_owned(),
            Some(_) => "nowhere to go back to".to_owned(),
            None => "a foreign change".to_owned(),
        };
    };
    match deployment
        .step(step)
        .1
        .failure()
        .map(|failure| failure.class)
    {
        Some(Class::Conflict) => "a foreign change".to_owned(),
        Some(class) => format!("{class:?}").to_lowercase(),
        None => "the goal is not met".to_owned(),
    }
}

impl Counters {
    /// Of 1,000 deployments in each weather, how many needed a person, and after what.
    pub fn rates(&self) -> String {
        let mut text = String::from(
            "  of 1,000 deployments, needed a person\n  weather     deployments    needed   per 1,000  after\n",
        );
        for weather in Weather::ALL {
            let deployments = self.of(&format!("deployments: {weather:?}"));
            let key = format!("{NEEDED}{weather:?}");
            let needed = self.of(&key);
            let prefix = format!("{key}: ");
            let after = self.with(&prefix).map(|(what, many)| {
                let per_mille = rate(many, deployments);
                format!("{what} {per_mille}")
            });
            let mut after = after.collect::<Vec<_>>().join(", ");
            if weather.is_gentle() {
                let rule = "needing one is a breach, unless nothing good is left to go to";
                after = if after.is_empty() {
                    rule.to_owned()
                } else {
                    format!("{after} ({rule})")
                };
            }
            let name = format!("{weather:?}");
            let rate = rate(needed, deployments);
            let _ = writeln!(
                text,
                "  {name:<10}{deployments:>13}{needed:>10}{rate:>12}  {after}"
            );
        }
        text
    }
}

fn rate(many: u64, of: u64) -> String {
    let tenths = (many * 10_000).checked_div(of).unwrap_or(0);
    format!("{}.{}", tenths / 10, tenths % 10)
}
