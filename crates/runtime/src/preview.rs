//! Where a rollback would lead, before anything changes.

use crate::config::Loaded;
use crate::targets::{looking, unplanned};
use crate::way::Way;
use crate::{Belay, Error, PlannedStep, RollbackRequest, Script};
use belay_driver::{Refusal, Remark, Restorability};
use belay_engine::capacity::{self, Asked, Fitted};
use belay_engine::fold::Deployment;
use belay_engine::goal::Skipped;
use belay_engine::taken_back::{self, Gone};
use belay_engine::targets::Targets;
use belay_engine::{half_way, left, planning};
use belay_model::back::Risk;
use belay_model::config::BackOrder;
use belay_model::environment::Standing;
use belay_model::event::Kind;
use belay_model::id::{DeploymentId, RecordHash, ReleaseNumber, Scope};
use belay_model::plan::Plan;
use belay_model::release::Record;
use belay_model::state::{Goal, States};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Where a rollback would lead, before anything changes.
#[derive(Clone, Debug)]
pub struct RollbackPreview {
    /// Where.
    pub scope: Scope,
    /// What serves now and is left; absent: nothing serves.
    pub leaves: Option<ReleaseNumber>,
    /// What is left, in words, where Belay never deployed it.
    pub leaves_there: Option<String>,
    /// Versions of the platform's that were passed over, and why, one line each.
    pub passed_over: Vec<String>,
    /// The same steps without Belay.
    pub script: Script,
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
    /// What stays behind although it goes back (I14), one line each.
    pub residue: Vec<String>,
    /// Whether it can be reached right now.
    pub restorability: Restorability,
    /// Where today's configuration differs from the goal's record, one line each. The record counts.
    pub drift: Vec<String>,
    /// How what was there before differed from the goal's record, one line each: someone had changed it by hand.
    pub hands: Vec<String>,
    /// Those changes are part of the goal; otherwise they are lost: that was accepted, or something was gone altogether.
    pub keeps_hands: bool,
    /// Secrets whose source has another value now than the record's, one line each: new instances get it (I7).
    pub newer_secrets: Vec<String>,
    /// A deployment is open: going back is a signal to it, and the goal is what was there before it.
    pub signal_to: Option<DeploymentId>,
    /// Someone chose the goal: it is not what was there before the open deployment.
    pub chosen: bool,
    /// Deployments that wait behind it: they end with nothing of them begun, so that none undoes the way back.
    pub ends: Vec<QueuedEnd>,
    /// What else people should know.
    pub remarks: Vec<String>,
}

/// A deployment that waits, and ends without having begun.
#[derive(Clone, Debug, PartialEq)]
pub struct QueuedEnd {
    /// It.
    pub id: DeploymentId,
    /// The release it would have led to; absent: what was there before.
    pub release: Option<ReleaseNumber>,
}

impl Belay {
    /// Where [`Belay::rollback`] would lead. Changes nothing. `today`: the configuration to compare with.
    ///
    /// # Errors
    /// There is nothing to go back to, or it cannot be read.
    pub async fn preview(
        &self,
        scope: &Scope,
        request: &RollbackRequest,
        today: Option<&Loaded>,
    ) -> Result<RollbackPreview, Error> {
        let view = self.view(scope).await?;
        let way = self.way_back(scope, request).await?;
        let leaves = view.serving().map(|known| known.record.release);
        let mut preview = RollbackPreview {
            scope: scope.clone(),
            leaves,
            leaves_there: None,
            passed_over: Vec::new(),
            script: Script::default(),
            goal: "what is there now".to_owned(),
            release: None,
            record: None,
            standing: None,
            good_at_us: None,
            skipped: Vec::new(),
            steps: Vec::new(),
            residue: Vec::new(),
            restorability: Restorability::Exact { millis: None },
            drift: Vec::new(),
            hands: Vec::new(),
            keeps_hands: false,
            newer_secrets: Vec::new(),
            signal_to: None,
            chosen: false,
            ends: Vec::new(),
            remarks: Vec::new(),
        };
        match &way {
            Way::Signal {
                id,
                remarks,
                ends,
                skipped,
                to,
                ..
            } => {
                preview.chosen = to.is_some();
                preview.skipped.clone_from(skipped);
                preview.ends = ends
                    .iter()
                    .map(|summary| QueuedEnd {
                        id: summary.id.clone(),
                        release: summary.release,
                    })
                    .collect();
                let open = self.store().summary(id).await?;
                preview.leaves = open.and_then(|open| open.release);
                preview.signal_to = Some(id.clone());
                preview.remarks.clone_from(remarks);
            }
            Way::Return {
                skipped,
                record,
                accepts,
                hands,
                keeps_hands,
                undeployed,
                ..
            } => {
                if let Some(found) = undeployed {
                    preview.leaves_there = Some(found.leaves.clone());
                    preview.passed_over.clone_from(&found.passed_over);
                    preview.remarks.clone_from(&found.remarks);
                }
                preview.skipped.clone_from(skipped);
                preview.hands.clone_from(hands);
                preview.keeps_hands = *keeps_hands;
                if *accepts == Some(Risk::Unproven) {
                    let title = record.title();
                    let line =
                        format!("WARNING: {title} was never verified here; that was accepted");
                    preview.remarks.push(line);
                }
            }
            Way::Undo { lifts, .. } => {
                if let Some(standing) = lifts {
                    let line = format!("its quarantine is lifted: it becomes {standing} again");
                    preview.remarks.push(line);
                }
            }
        }
        let Some(goal) = way.goal() else {
            return Ok(preview);
        };
        preview.goal.clone_from(&goal.title);
        let targets = self.targets_of(goal, way.takes_back()).await?;
        let away = self.elsewhere(&targets);
        let record = goal.record.as_ref().and_then(|hash| goal.records.get(hash));
        let (mut checks, mut parallel, mut order) = (Vec::new(), 1, BackOrder::default());
        if let Some(record) = record {
            (checks, parallel, order) = self.verified_by(scope, record).await?;
            let known = view.records.get(&record.hash());
            preview.release = Some(record.release);
            preview.record = Some(record.hash());
            preview.standing = known.map(|known| known.standing);
            preview.good_at_us = known.and_then(|known| known.good_at_us);
            preview.newer_secrets = self.newer_secrets(record, &request.env).await?;
            preview.drift = today.map_or_else(Vec::new, |today| drift(today, record));
        }
        let mut fitted = Fitted::exactly(goal.clone());
        match away {
            Some(away) => {
                let line = format!("its steps are not known here: failed to {away}");
                preview.remarks.push(line);
            }
            None => {
                let from = self.observe(&targets).await?;
                if let Way::Signal { id, .. } = &way {
                    let open = self.inputs_of(id).await?;
                    order = open.map_or(order, |open| open.back_order);
                }
                fitted = self.fitted(scope, &way, goal, &targets, &from).await?;
                preview.remarks.extend(fitted.remarks.iter().cloned());
                let plan = planning::back(&targets, &from, &fitted, &checks, parallel, &order);
                let plan = plan.map_err(|error| unplanned(scope, error))?;
                let (plan, residue) = self.with_taken_back(scope, &way, plan).await?;
                let said = targets.remarks(&looking(), &from, &plan).await;
                preview.remarks.extend(said.iter().map(Remark::line));
                preview.script =
                    Script::of(scope, &preview.goal, &targets, &from, &plan, &goal.records).await;
                preview.steps = PlannedStep::of(scope, &plan);
                preview.residue = residue;
            }
        }
        preview.restorability = self.restorable(&targets, &fitted.brought_up()).await?;
        Ok(preview)
    }
}

impl Belay {
    /// Nobody would undo a way back at once. Of what Belay deploys its configuration says what is done about them.
    pub(crate) async fn require_unopposed(&self, scope: &Scope, way: &Way) -> Result<(), Error> {
        let Some(goal) = way.goal() else {
            return Ok(());
        };
        let targets = self.targets_of(goal, way.takes_back()).await?;
        let from = self.observe(&targets).await?;
        let fitted = self.fitted(scope, way, goal, &targets, &from).await?;
        let plan = planning::back(&targets, &from, &fitted, &[], 1, &BackOrder::default());
        let plan = plan.map_err(|error| unplanned(scope, error))?;
        let said = targets.remarks(&looking(), &from, &plan).await;
        let of_owner = "`--gitops hold` holds it first, `--gitops ignore` goes on all the same";
        for refusal in said.iter().filter_map(Remark::refusal) {
            let next = match refusal.code {
                "E0326" | "E0328" => of_owner.to_owned(),
                "E0327" => "`--gitops ignore` goes on all the same".to_owned(),
                "E0329" => refusal.next.clone(),
                // Who may not get there is not kept from trying.
                _ => continue,
            };
            let refusal = refusal.clone();
            return Err(Error::Opposed(Refusal { next, ..refusal }));
        }
        Ok(())
    }

    /// The goal of a way back with the capacity that it brings up.
    pub(crate) async fn fitted(
        &self,
        scope: &Scope,
        way: &Way,
        goal: &Goal,
        targets: &Targets,
        from: &States,
    ) -> Result<Fitted, Error> {
        let goal = goal.clone();
        Ok(match way {
            Way::Signal { id, .. } => {
                capacity::back_from(targets, goal, from, &self.fold(id).await?)
            }
            Way::Return { .. } | Way::Undo { .. } => {
                let asked = self.asked(scope, targets, from).await?;
                capacity::back(targets, goal, from, &asked)
            }
        })
    }

    /// The scale that was asked for by what serves, as far as it is known what should be there.
    pub(crate) async fn asked(
        &self,
        scope: &Scope,
        targets: &Targets,
        now: &States,
    ) -> Result<Asked, Error> {
        let is_whole = half_way::is_left_whole(self.store().as_ref(), scope).await?;
        Ok(if is_whole {
            Asked::by_serving(targets, self.view(scope).await?.as_ref())
        } else {
            Asked::by_states(targets, now)
        })
    }

    /// The moves of a way back with what takes back the steps that people had run; and what stays behind.
    pub(crate) async fn with_taken_back(
        &self,
        scope: &Scope,
        way: &Way,
        plan: Plan,
    ) -> Result<(Plan, Vec<String>), Error> {
        let (kind, goal) = match way {
            Way::Signal { id, .. } => {
                let entries = self.store().events(id, 0).await?;
                let open = Deployment::of(id.clone(), &entries);
                let Some(gone) = Gone::of(&open) else {
                    return Ok((plan, Vec::new()));
                };
                let residue = gone.left_behind().map(str::to_owned).collect();
                return Ok((gone.taken_back(plan), residue));
            }
            Way::Return { record, .. } => (Kind::Return { leaves: None }, Some(record.hash())),
            Way::Undo { of, .. } => (Kind::Undo { of: of.clone() }, None),
        };
        let left = left::left(self.store().as_ref(), scope, &kind, goal.as_ref()).await?;
        Ok((
            taken_back::over(plan, &left),
            taken_back::left_behind(&left),
        ))
    }
}

/// Where today's configuration differs from a record, one line each. Values of secrets are not looked at.
fn drift(today: &Loaded, record: &Record) -> Vec<String> {
    let name = record.scope.environment.as_str();
    let Some(environment) = today.config.environments.get(name) else {
        return vec![format!(
            "the configuration has no environment `{name}` any more"
        )];
    };
    let mut lines = Vec::new();
    let config = today.config.config_in(environment);
    differences("config", &config, &record.config, &mut lines);
    let targets_today = crate::prepare::targets(&record.scope, environment, "");
    let fields = |settings: &Value| -> BTreeMap<String, String> {
        let fields = settings.as_object().into_iter().flatten();
        let text = |value: &Value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        };
        fields
            .map(|(name, value)| (name.clone(), text(value)))
            .collect()
    };
    for target in &record.targets {
        let of = match record.targets.len() {
            1 => "target".to_owned(),
            _ => format!("target {}", target.name),
        };
        match targets_today.iter().find(|today| today.name == target.name) {
            Some(today) => {
                let then = crate::kubernetes::settings(target, &today.settings);
                let (today, record) = (fields(&today.settings), fields(&then));
                differences(&of, &today, &record, &mut lines);
            }
            None => lines.push(format!("{of}: only the record has it")),
        }
    }
    for target in &targets_today {
        if record.target(&target.name).is_none() {
            lines.push(format!(
                "target {}: only the configuration has it",
                target.name
            ));
        }
    }
    let names_today: BTreeSet<_> = today.config.secrets_in(environment).into_keys().collect();
    let names: BTreeSet<_> = record.secrets.keys().cloned().collect();
    for name in names_today.symmetric_difference(&names) {
        let which = if names.contains(name) {
            "only the record"
        } else {
            "only the configuration"
        };
        lines.push(format!("secrets.{name}: {which} has it"));
    }
    lines
}

fn differences(
    of: &str,
    today: &BTreeMap<String, String>,
    record: &BTreeMap<String, String>,
    lines: &mut Vec<String>,
) {
    let names: BTreeSet<_> = today.keys().chain(record.keys()).collect();
    for name in names {
        let (now, then) = (today.get(name), record.get(name));
        if now != then {
            let text = |value: Option<&String>| value.map_or("nothing", String::as_str).to_owned();
            let (now, then) = (text(now), text(then));
            lines.push(format!(
                "{of}.{name}: the record has {then}, the configuration {now}"
            ));
        }
    }
}
