//! Whether a way back is ready now.

use crate::targets::{looking, unplanned};
use crate::way::Way;
use crate::{Belay, Error, PlannedStep, RollbackRequest};
use belay_driver::Restorability;
use belay_engine::goal::Skipped;
use belay_engine::planning;
use belay_engine::targets::Targets;
use belay_model::config::BackOrder;
use belay_model::id::{ReleaseNumber, Scope};
use belay_model::state::Goal;

/// How many deployments are looked through for the last that went back.
const HISTORY: usize = 100;

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
    /// The prediction is the time that going back took here last.
    pub is_measured: bool,
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
            is_measured: false,
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
        if readiness.predicted_ms.is_none() {
            readiness.predicted_ms = self.last_way_back_ms(scope).await?;
            readiness.is_measured = readiness.predicted_ms.is_some();
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
        readiness.steps = PlannedStep::of(scope, &plan);
        Ok(fitted.brought_up())
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
