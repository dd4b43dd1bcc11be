//! The forward plan, or that of a rollback on request: frozen with the baseline, before anything changes.

use super::back;
use super::hand_over::Legacy;
use super::run::Course;
use crate::capacity::Asked;
use crate::fold::Deployment;
use crate::mutant::{self, Mutant};
use crate::ports::{MAX_EVENT, StoreError};
use crate::targets::{self, Targets};
use crate::{capacity, conclude, goal, half_way, left, planning, taken_back, undone};
use belay_driver::Remark;
use belay_model::environment::View;
use belay_model::error::Failure;
use belay_model::event::{Event, Inputs, Kind, Outcome, RollbackResult};
use belay_model::plan::Plan;
use belay_model::release::Record;
use belay_model::state::{Goal, States};
use belay_model::takeover::TakesOver;

/// How many instances there are, and how many of them Belay asked for.
struct Scale {
    now: States,
    asked: Asked,
}

impl Scale {
    /// What is half-way there tells nothing of a scale: where another deployment hands over on its way, what it found counts, and
    /// where the last one left things half-way, all of it is taken for its own.
    fn of(
        targets: &Targets,
        view: &View,
        found: &States,
        legacy: Option<&Legacy>,
        is_whole: bool,
    ) -> Self {
        let asked = match legacy {
            None if !is_whole => Asked::by_states(targets, found),
            _ => Asked::by_serving(targets, view),
        };
        let half_way = legacy.filter(|legacy| !legacy.is_whole);
        let now = half_way.map_or(found, |legacy| &legacy.whole).clone();
        Self { now, asked }
    }
}

impl Course {
    /// The lock is ours: capture what is there, freeze the plan.
    pub(super) async fn plan(&mut self) -> Result<(), StoreError> {
        if let Some(why) = self.plan_with(None).await? {
            self.end_unchanged(why);
        }
        Ok(())
    }

    /// The same with what another deployment hands over. Answers why it cannot go out, if it cannot; nothing is pending
    /// then.
    pub(super) async fn plan_with(
        &mut self,
        legacy: Option<Legacy>,
    ) -> Result<Option<String>, StoreError> {
        let (view, seen) = match self.admission().await? {
            Ok(admitted) => admitted,
            Err(why) => return Ok(Some(why)),
        };
        let left = self.left().await?;
        let undone = self.undone().await?;
        let store = self.ports.store.as_ref();
        let is_whole = half_way::is_left_whole(store, &self.inputs().scope).await?;
        let planned = match self.survey(&view, &undone, legacy.as_ref()).await {
            Ok((targets, found)) => {
                let scale = Scale::of(&targets, &view, &found, legacy.as_ref(), is_whole);
                let left = (&undone[..], &left[..]);
                self.forward_plan(&targets, &view, &found, &scale, legacy.as_ref(), left)
                    .map(|(plan, goal, scaled)| (targets, plan, goal, scaled, found))
            }
            Err(failure) => Err(failure),
        };
        let (targets, plan, goal, scaled, found) = match planned {
            Ok(planned) => planned,
            Err(failure) => return Ok(Some(format!("could not plan: {}", failure.message))),
        };
        self.has_seen(found.iter().map(|(name, _)| name));
        let told = self.remarks(&targets, &found, &plan).await;
        // Going back is held up by nothing.
        let refusal = told.iter().find_map(Remark::refusal);
        if let Some(refusal) = refusal.filter(|_| self.inputs().kind == Kind::Deploy) {
            return Ok(Some(format!("refused: {refusal}")));
        }
        let foreign = match &legacy {
            Some(legacy) => legacy.left.foreign(&targets, &found),
            None if is_whole && !mutant::is(Mutant::Overwrites) => match self.inputs().kind {
                // What the release says, too, is overwritten by nobody.
                Kind::Deploy => goal::overwritten(&targets, &view, &found, &goal.want),
                _ => goal::foreign(&targets, &view, &found),
            },
            None => Vec::new(),
        };
        // I10: forward, what someone else changed is theirs to judge; going back, it is reported and overwritten, or asked about.
        let question = match self.inputs().kind {
            _ if foreign.is_empty() => None,
            Kind::Deploy => Some(format!(
                "someone else changed the target since the last deployment: {}; `retry` goes on with it as it is",
                foreign.join("; ")
            )),
            _ => {
                let moved = targets.moved_by(&plan);
                back::ask_about(self.inputs(), &goal::foreign(&moved, &view, &found))
            }
        };
        let inputs = self.inputs();
        let said = conclude::on_planned(&self.id, inputs, &goal, undone.first(), &view);
        let remarks = foreign.iter();
        let remarks = remarks.map(|line| back::told(line));
        let remarks = remarks.chain(told.iter().map(Remark::line));
        let remarks = remarks.chain(scaled);
        let stays = taken_back::left_behind(&left).into_iter();
        let remarks = remarks.chain(stays.map(|line| format!("stays behind: {line}")));
        let found_goal = goal::of_states(&targets, &view, &found);
        let (baseline, baseline_goal, takes_over) = match legacy {
            Some(mut legacy) => {
                if mutant::is(Mutant::CapturesAnew) {
                    (legacy.baseline, legacy.baseline_goal) = (found.clone(), found_goal.clone());
                }
                let (baseline, goal, over) = take_over(legacy, &found, found_goal);
                (baseline, goal, Some(Box::new(over)))
            }
            None => (found, found_goal, None),
        };
        let planned = Event::Planned {
            plan,
            baseline,
            baseline_goal: Box::new(baseline_goal),
            goal: Box::new(goal),
            takes_over,
            remarks: remarks.collect(),
        };
        // A way back is held up by nothing: not by its size, and not by what is said meanwhile.
        if self.inputs().kind == Kind::Deploy {
            if let Some(why) = too_large(&planned) {
                return Ok(Some(why));
            }
            self.journal.decided_on(seen);
        }
        for event in said {
            self.journal.push_environment(event);
        }
        self.journal.push(planned);
        if let Some(why) = question {
            self.journal.push(Event::parked(None, why));
        }
        Ok(None)
    }

    /// Someone does not want it any more, before it has begun.
    pub(super) fn is_called_off(&self) -> bool {
        let state = self.state();
        let asked = [&state.abort, &state.stop, &state.abandon];
        asked.into_iter().any(Option::is_some) || state.ended.is_some()
    }

    /// The targets of what shall serve, of what serves and of what is taken back, and what is there on them.
    async fn survey(
        &self,
        view: &View,
        undone: &[Inputs],
        legacy: Option<&Legacy>,
    ) -> Result<(Targets, States), Failure> {
        let serving = view.serving().map(|known| &known.record);
        // What was begun half-way is still there.
        let begun = legacy.iter().flat_map(|legacy| &legacy.records);
        let others = serving
            .into_iter()
            .chain(undone::records(undone))
            .chain(begun);
        let targets = self.targets_with(others)?;
        let (states, failures) = self.observe(&targets).await;
        match failures.into_iter().next() {
            Some(failure) => Err(failure),
            None => Ok((targets, states)),
        }
    }

    fn forward_plan(
        &self,
        targets: &Targets,
        view: &View,
        found: &States,
        scale: &Scale,
        legacy: Option<&Legacy>,
        (undone, left): (&[Inputs], &[Deployment]),
    ) -> Result<(Plan, Goal, Vec<String>), Failure> {
        let inputs = self.inputs();
        let mut goal = match (&inputs.goal, &inputs.record) {
            (Some(goal), _) => goal.clone(),
            (None, Some(record)) => goal::of_record(targets, record),
            (None, None) => goal::of_states(targets, view, &States::default()),
        };
        let (plan, goal, scaled) = if inputs.kind == Kind::Deploy {
            // What serves elsewhere is removed once it is not kept warm any more.
            let own = targets.only(|name| {
                let record = inputs.record.as_ref();
                record.is_some_and(|record| record.target(name).is_some())
            });
            let (goal, scaled) = capacity::forward(&own, goal, &scale.now, &scale.asked);
            // What was begun and never promoted is nothing to share the traffic with.
            let legacy = legacy.filter(|_| view.serving().is_none());
            let beside = legacy.map_or(found, |legacy| &legacy.whole);
            let plan = planning::forward_beside(&own, found, beside, &goal, inputs);
            (plan, goal, scaled)
        } else {
            // It would be done without it.
            if let Some(name) = targets.unknown(&goal.want) {
                return Err(targets::unknown(name));
            }
            undone::name_targets(&mut goal, undone::records(undone));
            let own = left
                .iter()
                .filter_map(|left| left.inputs.as_ref()?.record.as_ref());
            // What they run is in the files of their releases.
            goal.records
                .extend(own.map(|record| (record.hash(), record.clone())));
            goal::take_newest_seals(view, &mut goal);
            let fitted = capacity::back(targets, goal, &scale.now, &scale.asked);
            let moves = planning::back(
                targets,
                found,
                &fitted,
                &inputs.checks,
                inputs.parallel,
                &inputs.back_order,
            );
            let plan = moves.map(|plan| taken_back::over(plan, left));
            (plan, fitted.goal, fitted.remarks)
        };
        Ok((plan.map_err(Failure::from)?, goal, scaled))
    }

    /// The deployments whose results this one leaves.
    async fn left(&self) -> Result<Vec<Deployment>, StoreError> {
        let inputs = self.inputs();
        let goal = inputs.record.as_ref().map(Record::hash);
        let store = self.ports.store.as_ref();
        left::left(store, &inputs.scope, &inputs.kind, goal.as_ref()).await
    }

    /// What the deployment started from that this one takes back, and what that took back.
    async fn undone(&self) -> Result<Vec<Inputs>, StoreError> {
        match &self.inputs().kind {
            Kind::Undo { of } => undone::undone(self.ports.store.as_ref(), of).await,
            Kind::Deploy | Kind::Return { .. } => Ok(Vec::new()),
        }
    }

    /// Nothing was changed and nothing will be.
    pub(super) fn end_unchanged(&mut self, why: String) {
        let outcome = Outcome::Failed {
            rollback: RollbackResult::None,
            residue: vec![why],
        };
        self.push_end(outcome);
    }
}

/// Why the plan of a release is larger than it may be, if it is (I11).
fn too_large(planned: &Event) -> Option<String> {
    let size = serde_json::to_vec(planned).map_or(usize::MAX, |json| json.len());
    (size > MAX_EVENT).then(|| {
        format!(
            "could not plan: with what is there now, and all that going back needs, the plan has {size} bytes, more than the {MAX_EVENT} allowed"
        )
    })
}

/// The baseline that came with the lock, and what was found where the other one did not look.
fn take_over(legacy: Legacy, found: &States, found_goal: Goal) -> (States, Goal, TakesOver) {
    let Legacy {
        from,
        mut baseline,
        mut baseline_goal,
        touched,
        debts,
        residue,
        records,
        ..
    } = legacy;
    for (target, state) in found.iter() {
        if baseline.get(target).is_none() {
            baseline.set(target, state.clone());
            baseline_goal.want.set(target, state.clone());
            let records = found_goal.records.clone();
            baseline_goal.records.extend(records);
        }
    }
    // What has to be run on the way back is in the files of these.
    let own = records.into_iter().map(|record| (record.hash(), record));
    let mut found = Box::new(found_goal);
    found.records.extend(own);
    let over = TakesOver {
        from,
        found,
        touched,
        debts,
        residue,
    };
    (baseline, baseline_goal, over)
}
