//! Whether a way back is ready now.

use crate::targets::{looking, unplanned};
use crate::way::Way;
use crate::{Belay, Error, PlannedStep, RollbackRequest};
use belay_driver::{Remark, Restorability};
use belay_engine::goal::Skipped;
use belay_engine::planning;
use belay_engine::targets::Targets;
use belay_model::config::BackOrder;
use belay_model::event::{Entry, Event, Outcome};
use belay_model::id::{ReleaseNumber, Scope};
use belay_model::plan::{Action, Step};
use belay_model::release::Record;
use belay_model::state::Goal;

/// How many deployments are looked through for the last that went back.
const HISTORY: usize = 100;

/// How many rollouts are looked at for one that took its time.
const ROLLOUTS: usize = 5;

/// What a prediction is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measured {
    /// Going back, the last time.
    WayBack,
    /// A rollout forward: nobody has gone back yet.
    Rollout,
}

/// The answer in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Light {
    /// It would not work.
    Red,
    /// It would work, and there is something to know: what has to be started first, or is not as it was.
    Yellow,
    /// It stands ready: only the traffic has to be moved.
    Green,
}

/// Whether going back would work now, and how: from the plan that a rollback would have.
#[derive(Clone, Debug)]
pub struct Readiness {
    /// Where.
    pub scope: Scope,
    /// In one word.
    pub light: Light,
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
    /// Predicted time, milliseconds: as the platform says, else as long as the last time took; absent: nobody knows.
    pub predicted_ms: Option<u64>,
    /// What was measured, where the prediction is none of the platform's.
    pub measured: Option<Measured>,
    /// The steps it would have, in order.
    pub steps: Vec<PlannedStep>,
    /// Since when the goal is known to be good, Unix microseconds; absent: it never was, or is no release.
    pub good_at_us: Option<i64>,
    /// When this was looked at, Unix microseconds.
    pub looked_at_us: i64,
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
            light: Light::Red,
            steps: Vec::new(),
            measured: None,
            good_at_us: None,
            looked_at_us: self.now_us(),
            ready: false,
            goal: None,
            release: None,
            warm: false,
            restorability: None,
            predicted_ms: None,
            reasons: Vec::new(),
            skipped: Vec::new(),
        };
        self.look_ready(scope, to, &mut readiness).await?;
        let is_exact = !matches!(readiness.restorability, Some(Restorability::Partial(_)));
        readiness.light = match (readiness.ready, readiness.warm) {
            (false, _) => Light::Red,
            (true, true) if is_exact && readiness.reasons.is_empty() => Light::Green,
            (true, _) => Light::Yellow,
        };
        Ok(readiness)
    }

    async fn look_ready(
        &self,
        scope: &Scope,
        to: Option<ReleaseNumber>,
        readiness: &mut Readiness,
    ) -> Result<(), Error> {
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
                return Ok(());
            }
        };
        if let Way::Return { skipped, hands, .. } = &way {
            readiness.skipped.clone_from(skipped);
            let hands = hands.iter();
            let hands = hands.map(|line| format!("it had been changed by hand: {line}"));
            readiness.reasons.extend(hands);
        }
        if let Way::Signal { id, remarks, .. } = &way {
            let line = format!("{id} is open: going back is a signal to it");
            readiness.reasons.push(line);
            readiness.reasons.extend(remarks.iter().cloned());
        }
        let Some(goal) = way.goal() else {
            // Nothing was changed, so there is nothing to be restored.
            readiness.ready = true;
            readiness.warm = true;
            return Ok(());
        };
        readiness.goal = Some(goal.title.clone());
        let record = goal.record.as_ref().and_then(|hash| goal.records.get(hash));
        readiness.release = record.map(|record| record.release);
        if let Some(record) = record {
            let view = self.view(scope).await?;
            let known = view.records.get(&record.hash());
            readiness.good_at_us = known.and_then(|known| known.good_at_us);
            if readiness.good_at_us.is_none() {
                let line = format!("{} was never verified here", record.title());
                readiness.reasons.push(line);
            }
        }
        let targets = self.targets_of(goal, way.takes_back()).await?;
        let goal = match self
            .plan_ready(scope, &way, goal, &targets, readiness)
            .await
        {
            Ok(goal) => goal,
            Err(error) => {
                readiness.reasons.push(crate::artifacts::chain(&error));
                return Ok(());
            }
        };
        if let Some(away) = self.elsewhere(&targets) {
            readiness.reasons.push(away.to_string());
            return Ok(());
        }
        let view = self.view(scope).await?;
        let serving = view.serving().map(|known| &known.record);
        let records = goal.records.values().chain(serving);
        let allowed = match self.require_rights(scope, records, &[]).await {
            Ok(allowed) => {
                readiness.reasons.extend(allowed.unknown);
                true
            }
            Err(error) => {
                readiness.reasons.push(error.to_string());
                if let Error::Kubernetes(error) = &error {
                    readiness.reasons.extend(error.detail());
                }
                false
            }
        };
        match targets.restorable(&looking(), &goal).await {
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
        readiness.ready &= allowed;
        if readiness.predicted_ms.is_none() {
            let last = self.last_way_back_ms(scope).await?;
            readiness.measured = last.map(|_| Measured::WayBack);
            readiness.predicted_ms = last;
        }
        let is_on_kubernetes =
            |record: &Record| record.targets.iter().all(|it| it.driver == "kubernetes");
        if let Some(record) = record.filter(|it| is_on_kubernetes(it))
            && readiness.predicted_ms.is_none()
        {
            // Pods are replaced going back as they were going forward.
            let rollout = self.last_rollout_ms(scope, record).await?;
            readiness.measured = rollout.map(|_| Measured::Rollout);
            readiness.predicted_ms = rollout;
        }
        Ok(())
    }

    /// The steps that a rollback would have; answers the goal with all that is brought up for it.
    async fn plan_ready(
        &self,
        scope: &Scope,
        way: &Way,
        goal: &Goal,
        targets: &Targets,
        readiness: &mut Readiness,
    ) -> Result<Goal, Error> {
        let from = self.observe(targets).await?;
        let record = goal.record.as_ref().and_then(|hash| goal.records.get(hash));
        let (checks, parallel, mut order) = match record {
            Some(record) => self.verified_by(scope, record).await?,
            None => (Vec::new(), 1, BackOrder::default()),
        };
        if let Way::Signal { id, .. } = way {
            let open = self.inputs_of(id).await?;
            order = open.map_or(order, |open| open.back_order);
        }
        let fitted = self.fitted(scope, way, goal, targets, &from).await?;
        readiness.reasons.extend(fitted.remarks.iter().cloned());
        let plan = planning::back(targets, &from, &fitted, &checks, parallel, &order);
        let plan = plan.map_err(|error| unplanned(scope, error))?;
        let (plan, _) = self.with_taken_back(scope, way, plan).await?;
        let said = targets.remarks(&looking(), &from, &plan).await;
        let is_in_the_way = |it: &&Remark| !matches!(it, Remark::Note(_));
        let said = said.iter().filter(is_in_the_way).map(Remark::line);
        readiness.reasons.extend(said);
        readiness.steps = PlannedStep::of(scope, &plan);
        Ok(fitted.brought_up())
    }

    /// How long the steps took that change something, when that record was put out last with success; of another one where it
    /// never was.
    async fn last_rollout_ms(&self, scope: &Scope, record: &Record) -> Result<Option<u64>, Error> {
        let mut history = self.store().history(scope, HISTORY).await?;
        history.retain(|it| it.kind == "deploy" && it.outcome == Some(Outcome::Succeeded));
        let hash = record.hash();
        history.sort_by_key(|it| it.record.as_ref() != Some(&hash));
        for summary in history.iter().take(ROLLOUTS) {
            let entries = self.store().events(&summary.id, 0).await?;
            if let Some(ms) = effects_ms(&entries) {
                return Ok(Some(ms));
            }
        }
        Ok(None)
    }

    /// How long it took to get all users back to what was there before, or all instances where there are none, the last
    /// time that it was done here.
    async fn last_way_back_ms(&self, scope: &Scope) -> Result<Option<u64>, Error> {
        let history = self.store().history(scope, HISTORY).await?;
        Ok(history.iter().find_map(|summary| {
            let timeline = &summary.timeline;
            let took_us = timeline.t4.or(timeline.t5)? - timeline.t1?;
            u64::try_from(took_us / 1000).ok()
        }))
    }
}

/// The time of a deployment's own steps, without what only looks or waits; none: it changed nothing.
fn effects_ms(entries: &[Entry]) -> Option<u64> {
    let mut effects = Vec::new();
    let (mut begun, mut took_us) = (None, 0);
    for entry in entries {
        match &entry.event {
            Event::Planned { plan, .. } => {
                let is_effect = |step: &Step| matches!(step.action, Action::Effect(_));
                effects = plan.steps().map(is_effect).collect();
            }
            Event::Started { step, .. } if step.plan == 0 => begun = Some((*step, entry.at_us)),
            Event::Finished { step, .. } => {
                let own = begun.filter(|(of, _)| of == step);
                let is_effect = effects.get(usize::from(step.index)) == Some(&true);
                if let Some((_, at_us)) = own.filter(|_| is_effect) {
                    took_us += entry.at_us - at_us;
                }
            }
            _ => {}
        }
    }
    u64::try_from(took_us / 1000).ok().filter(|ms| *ms > 0)
}
