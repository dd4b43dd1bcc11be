//! Plans as people see them before anything happens.

use crate::prepare::Prepared;
use crate::targets::{looking, unplanned};
use crate::{Belay, DeployRequest, Error, Script};
use belay_engine::capacity::{self, Asked};
use belay_engine::taken_back::Gone;
use belay_engine::{goal, planning};
use belay_model::config::FirstFailure;
use belay_model::id::{ArtifactDigest, DeploymentId, EnvironmentName, ReleaseNumber, Scope};
use belay_model::plan::{Phase, Plan, Step, Wave};
use std::collections::BTreeMap;

/// One step of a plan in words.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedStep {
    /// The name of its phase; where nobody gave one, that of its target.
    pub phase: String,
    /// Its target; absent: it touches none.
    pub target: Option<String>,
    /// What tells its phase from the others, in a few words; absent: there are no others.
    pub label: Option<String>,
    /// In words.
    pub title: String,
    /// Its wave; absent: it is no effect of a driver.
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
    pub fn of(scope: &Scope, plan: &Plan) -> Vec<Self> {
        let phases = plan.phases.iter();
        let steps = phases.flat_map(|phase| phase.steps.iter().map(move |step| (phase, step)));
        let numbered = steps.enumerate();
        numbered
            .map(|(index, (phase, step))| Self::of_step(plan.label(scope, index), phase, step))
            .collect()
    }

    fn of_step(label: Option<String>, phase: &Phase, step: &Step) -> Self {
        Self {
            phase: phase.name.clone(),
            target: phase.target.clone(),
            label,
            title: step.title(),
            wave: step.effect().map(|effect| effect.wave),
            promotes: step.promotes,
            bake: step.bake,
            residue: step.residue().map(str::to_owned),
        }
    }
}

/// What a deployment would do.
#[derive(Clone, Debug)]
pub struct DeployPlan {
    /// Where.
    pub scope: Scope,
    /// The release's number; absent: a new one.
    pub release: Option<ReleaseNumber>,
    /// It goes there because it is good in this environment.
    pub promoted_from: Option<EnvironmentName>,
    /// What is run.
    pub artifact: ArtifactDigest,
    /// The frozen plan as it would be now.
    pub plan: Plan,
    /// The steps without Belay.
    pub script: Script,
    /// Its steps in words.
    pub steps: Vec<PlannedStep>,
    /// Where going back would lead, in words: `release 1 (as it was before)`.
    pub back_to: String,
    /// Steps of the way back once the release serves alone.
    pub back_steps: Vec<PlannedStep>,
    /// What stays behind although it goes back (I14), one line each.
    pub residue: Vec<String>,
    /// What people should know: what is open and comes first, a quarantine, missing checks.
    pub remarks: Vec<String>,
    /// Open deployments that come first.
    pub behind: Vec<DeploymentId>,
    /// It serves already: nothing would be done.
    pub nothing_to_do: bool,
}

impl Belay {
    /// What [`Belay::deploy`] would do. Nothing is changed, but the artifact is taken in: its digest is that of the copy.
    ///
    /// # Errors
    /// As [`Belay::deploy`]; a quarantine is told in the plan.
    pub async fn plan(&self, request: &DeployRequest) -> Result<DeployPlan, Error> {
        let prepared = self.prepare(request, false).await?;
        let Prepared {
            record,
            inputs,
            is_known,
            unproved,
            ..
        } = prepared;
        let scope = record.scope.clone();
        let view = self.view(&scope).await?;
        let open = self.open_in(&scope).await?;
        let serving = view.serving().map(|known| &known.record);
        let all = self.targets(std::iter::once(&record).chain(serving))?;
        let own = all.only(|name| record.target(name).is_some());
        let from = self.observe(&all).await?;

        let superseded = match open.first().filter(|_| request.hotfix) {
            Some(first) => Some(self.fold(&first.id).await?),
            None => None,
        };
        let goal = goal::of_record(&all, &record);
        let before = superseded.as_ref().map_or(&from, |old| &old.baseline);
        let serves_now = self.asked(&scope, &own, before).await?;
        let (goal, scaled) = capacity::forward(&own, goal, before, &serves_now);
        let plan = planning::forward(&own, &from, &goal, &inputs);
        let plan = plan.map_err(|error| unplanned(&scope, error))?;
        let there = own.after(&from, &plan);
        let inherited = superseded
            .as_ref()
            .and_then(|old| old.baseline_goal.clone());
        let baseline = inherited.unwrap_or_else(|| goal::of_states(&all, &view, &from));
        let asked = Asked::by_states(&own, &goal.want);
        let fitted = capacity::back(&own, baseline, &there, &asked);
        let back = planning::back(
            &own,
            &there,
            &fitted,
            &inputs.checks,
            inputs.parallel,
            &inputs.back_order,
        );
        let back = back.map_err(|error| unplanned(&scope, error))?;
        let gone = Gone::all(&plan, &inputs);
        let back = gone.taken_back(back);

        let mut remarks = scaled;
        match self.require_rights_to(&record, &inputs, &view).await {
            Ok(allowed) => remarks.extend(allowed.remarks()),
            Err(error) => {
                let refused = format!("this would be refused: failed to {error}");
                remarks.push(refused);
            }
        }
        for remark in all.remarks(&looking(), &from, &plan).await {
            remarks.push(match remark.refusal() {
                Some(refusal) => format!("this would be refused: {refusal}"),
                None => remark.line(),
            });
        }
        if let Some(error) = crate::deploy::quarantine(&view, &record) {
            remarks.push(format!("this would be refused: failed to {error}"));
        }
        if let Some(error) = unproved {
            remarks.push(format!("this would be refused: failed to {error}"));
        }
        let passes = inputs.hotfix.is_some_and(|hotfix| hotfix.passes_freeze);
        if let Some(held) = self.frozen(&scope).await?.filter(|_| !passes) {
            remarks.push(format!("this would be refused: {}", held.why));
        }
        if inputs.checks.is_empty() {
            remarks.push("no `verify:`: readiness is the only evidence".to_owned());
        }
        let mut traffic = inputs.checks.iter().filter_map(|check| check.traffic);
        if let Some(traffic) = traffic.next() {
            remarks.push(format!(
                "`traffic` has to see {} requests: without them the bake goes on for up to 30 min, and then it is inconclusive",
                traffic.min_requests
            ));
        }
        if from.is_absent() && inputs.on_first_failure == FirstFailure::Leave {
            remarks.push("if it fails it stays as it is (`on_first_failure: leave`)".to_owned());
        }
        if let Some(old) = &superseded {
            remarks.push(format!(
                "it takes over from {}, and goes back to where that would have gone; the plan is made anew then",
                old.id
            ));
        }
        let behind = open.into_iter().filter(|_| !request.hotfix);
        let behind: Vec<_> = behind.map(|summary| summary.id).collect();
        if let Some(first) = behind.first() {
            let count = behind.len();
            remarks.push(format!(
                "{count} open deployment(s) come first, beginning with {first}; the plan is made anew then"
            ));
        }
        let serves = view
            .serving()
            .is_some_and(|known| known.record.hash() == record.hash());
        let records = BTreeMap::from([(record.hash(), record.clone())]);
        let script = Script::of(&scope, &record.title(), &own, &from, &plan, &records).await;
        Ok(DeployPlan {
            scope: scope.clone(),
            residue: gone.left_behind().map(str::to_owned).collect(),
            release: is_known.then_some(record.release),
            promoted_from: inputs.promotion.map(|promotion| promotion.from),
            artifact: record.artifact.clone(),
            script,
            steps: PlannedStep::of(&scope, &plan),
            plan,
            back_to: fitted.goal.title,
            back_steps: PlannedStep::of(&scope, &back),
            remarks,
            nothing_to_do: serves && behind.is_empty() && superseded.is_none(),
            behind,
        })
    }
}
