//! How many instances a move brings up. Pure.
//!
//! A goal says how many it has; the load does not. Someone, or an autoscaler, may have scaled what serves since the goal was
//! there, and then the goal's own number is too few for what comes to it. So before traffic goes back there are as many as the
//! goal has or as are asked for now, whichever is more; and what this deployment did not ask for is not taken away again.

use crate::fold::{Deployment, Status};
use crate::mutant::{self, Mutant};
use crate::targets::{Place, Targets};
use belay_model::environment::View;
use belay_model::plan::Wave;
use belay_model::state::{Goal, State, States};
use std::collections::BTreeMap;

/// A goal with the capacity that goes with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// The goal, with the scale that stays.
    pub goal: Goal,
    /// The same with what is brought up before traffic moves. What exceeds the goal is taken away afterwards.
    pub up: States,
    /// What people should know, one line each.
    pub remarks: Vec<String>,
}

impl Fitted {
    /// A goal as it is.
    pub fn exactly(goal: Goal) -> Self {
        Self {
            up: goal.want.clone(),
            goal,
            remarks: Vec::new(),
        }
    }

    /// What is brought up, as a goal: what the platform has to be able to reach.
    pub fn brought_up(&self) -> Goal {
        Goal {
            want: self.up.clone(),
            ..self.goal.clone()
        }
    }
}

/// The scale that what is gone back from asked for itself. Any other was made by someone else.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Instances, by target.
    by_target: BTreeMap<String, Vec<u32>>,
    /// It was done with it: what is there now is the last of them, or someone has scaled since. Otherwise it may be
    /// anywhere on the way.
    is_done: bool,
}

impl Asked {
    /// By what serves, when nothing is open.
    pub fn by_serving(targets: &Targets, view: &View) -> Self {
        let serving = view.serving().map(|known| targets.desired(&known.record));
        Self::by_states(targets, &serving.unwrap_or_default())
    }

    /// By what has been reached.
    pub fn by_states(targets: &Targets, states: &States) -> Self {
        let mut asked = Self {
            is_done: true,
            ..Self::default()
        };
        for place in targets.iter() {
            asked.add(place, states.of(&place.target.name));
        }
        asked
    }

    /// By a deployment that is open: all that its plans lead through, or to once it is promoted.
    pub fn by_deployment(targets: &Targets, deployment: &Deployment) -> Self {
        if let Some(reached) = deployment.promoted_to() {
            return Self::by_states(targets, reached);
        }
        let mut asked = Self::by_states(targets, &deployment.baseline);
        asked.is_done = false;
        let found = deployment.takes_over.as_ref().map(|over| &over.found.want);
        let mut from = found.unwrap_or(&deployment.baseline).clone();
        for place in targets.iter() {
            asked.add(place, from.of(&place.target.name));
        }
        for run in &deployment.plans {
            // Each plan began where the one before it was left, and not where that would have come to.
            let mut at = from.clone();
            for (index, course) in run.steps.iter().enumerate() {
                let phase = &run.plan.phases[run.phase_of(index)];
                let place = targets.get(phase.target.as_deref().unwrap_or_default());
                let (Some(place), Some(effect)) = (place, run.step(index).effect()) else {
                    continue;
                };
                let after = |at: &States| {
                    let name = &place.target.name;
                    place.driver.after(&place.target, at.of(name), effect)
                };
                let next = after(&at);
                asked.add(place, &next);
                at.set(&place.target.name, next);
                // What grew perhaps did, and what shrank perhaps did not.
                let may_be_more = effect.wave == Wave::Grow && course.has_begun();
                if may_be_more || *course.status() == Status::Done {
                    let next = after(&from);
                    asked.add(place, &next);
                    from.set(&place.target.name, next);
                }
            }
        }
        asked
    }

    fn add(&mut self, place: &Place, state: &State) {
        if let Some(capacity) = place.driver.capacity(&place.target, state) {
            let name = place.target.name.clone();
            let own = self.by_target.entry(name).or_default();
            own.push(capacity.desired);
        }
    }

    fn is_own(&self, target: &str, desired: u32) -> bool {
        let Some(own) = self.by_target.get(target) else {
            return false;
        };
        if self.is_done {
            own.contains(&desired)
        } else {
            own.iter().any(|own| desired <= *own)
        }
    }
}

/// Of a way back: up to the goal's scale or to what is asked for now, whichever is more, within the bounds of an autoscaler.
/// The goal's own scale is restored where what is gone back from had changed it and nobody has since; otherwise what is there
/// stays.
pub fn back(targets: &Targets, mut goal: Goal, now: &States, asked: &Asked) -> Fitted {
    let mut up = goal.want.clone();
    let mut remarks = Vec::new();
    for place in targets.iter() {
        let Place { target, driver } = place;
        let Some(need) = Need::of(place, &goal, now) else {
            continue;
        };
        let state = driver.scaled(target, goal.want.of(&target.name), need.whole);
        up.set(&target.name, state.clone());
        if mutant::is(Mutant::ForgetsTheScale) {
            continue;
        }
        let is_own = asked.is_own(&target.name, need.now) || mutant::is(Mutant::TakesTheScaleAway);
        let is_restored = !need.is_bounded() && is_own;
        let line = if is_restored {
            let (whole, own) = (count(need.whole), need.own);
            format!("{whole} before the traffic moves, as many as there are now; {own} afterwards")
        } else {
            goal.want.set(&target.name, state);
            need.told()
        };
        remarks.push(labelled(targets, &target.name, &line));
    }
    Fitted { goal, up, remarks }
}

/// Of a deployment that is open: [`back`]. A goal that is not just what was there, as that was sick, say, is for as many users
/// as that was where someone had scaled it.
pub fn back_from(
    targets: &Targets,
    mut goal: Goal,
    now: &States,
    deployment: &Deployment,
) -> Fitted {
    let asked = Asked::by_deployment(targets, deployment);
    let was = deployment.baseline_goal.as_ref();
    let served = was.and_then(|was| was.records.get(was.record.as_ref()?));
    let mut remarks = Vec::new();
    for place in targets.iter().filter(|_| served.is_some()) {
        let Place { target, driver } = place;
        let capacity = |state: &State| driver.capacity(target, state);
        let (before, want) = (
            deployment.baseline.of(&target.name),
            goal.want.of(&target.name),
        );
        let usual = served.and_then(|record| record.target(&target.name).map(|own| (record, own)));
        let usual = usual.map(|(record, own)| driver.desired(record, own));
        let (Some(usual), Some(was), Some(own)) = (usual, capacity(before), capacity(want)) else {
            continue;
        };
        // What was half-way tells nothing of a scale.
        let scaled = driver.scaled(target, &usual, was.desired);
        let is_whole = driver.diff(&scaled, &place.without_standby(&scaled, before));
        let is_more = capacity(&usual).is_some_and(|usual| was.desired > usual.desired);
        // An autoscaler's bounds are kept anyway.
        let has_bounds = own.bounds.or(was.bounds).is_some();
        if is_more && is_whole.is_met() && was.desired > own.desired && !has_bounds {
            let state = driver.scaled(target, want, was.desired);
            goal.want.set(&target.name, state);
            let need = Need {
                own: own.desired,
                now: was.desired,
                whole: was.desired,
            };
            remarks.push(labelled(targets, &target.name, &need.told()));
        }
    }
    let mut fitted = back(targets, goal, now, &asked);
    fitted.remarks.splice(0..0, remarks);
    fitted
}

/// Of a release that goes out: what someone had scaled by hand, or an autoscaler, stays scaled.
pub fn forward(
    targets: &Targets,
    mut goal: Goal,
    now: &States,
    serving: &Asked,
) -> (Goal, Vec<String>) {
    let mut remarks = Vec::new();
    for place in targets.iter() {
        let Place { target, driver } = place;
        let Some(need) = Need::of(place, &goal, now) else {
            continue;
        };
        let was = serving.by_target.get(&target.name);
        let is_scaled = was.is_some_and(|was| was.iter().all(|was| need.now > *was));
        if is_scaled || need.is_bounded() {
            let state = driver.scaled(target, goal.want.of(&target.name), need.whole);
            goal.want.set(&target.name, state);
            remarks.push(labelled(targets, &target.name, &need.told()));
        }
    }
    (goal, remarks)
}

/// Another number of instances than a goal's own.
struct Need {
    /// As the goal has it.
    own: u32,
    /// As it is now.
    now: u32,
    /// The greater one of the two, within the bounds of an autoscaler.
    whole: u32,
}

impl Need {
    /// None: it is as the goal has it.
    fn of(place: &Place, goal: &Goal, now: &States) -> Option<Self> {
        let Place { target, driver } = place;
        let own = driver.capacity(target, goal.want.of(&target.name))?;
        let now = driver.capacity(target, now.of(&target.name))?;
        let (fewest, most) = own.bounds.or(now.bounds).unwrap_or((0, u32::MAX));
        let (own, now) = (own.desired, now.desired);
        let whole = own.max(now).max(fewest).min(most);
        (whole != own).then_some(Self { own, now, whole })
    }

    fn is_bounded(&self) -> bool {
        self.whole != self.own.max(self.now)
    }

    fn told(&self) -> String {
        let Self { own, now, whole } = self;
        let scaled = format!(
            "changed by someone else: scaled to {}, and {own} were asked for",
            count(*now)
        );
        match (now > own, self.is_bounded()) {
            (true, false) => format!("{scaled}; that is kept"),
            (true, true) => format!("{scaled}; {whole} are kept, as the autoscaler has bounds"),
            (false, _) => format!("{whole} instead of {own}: the autoscaler has bounds"),
        }
    }
}

fn labelled(targets: &Targets, name: &str, line: &str) -> String {
    if targets.iter().count() > 1 {
        format!("capacity of {name}: {line}")
    } else {
        format!("capacity: {line}")
    }
}

fn count(instances: u32) -> String {
    match instances {
        1 => "1 instance".to_owned(),
        _ => format!("{instances} instances"),
    }
}
