//! How many instances there are. People scale what serves, and what a way back brings up has to be enough for them (ADR 0017): as
//! many as the goal has or as are there when it is planned, whichever is more, before any of the users are moved; in proportion, for
//! those that are. What someone scaled stays scaled, also when a release goes out.

use super::audit::Audit;
use super::ended::Case;
use super::handed::Own;
use super::people::head;
use super::stage::{Ground, Stage, target};
use super::story::Weather;
use crate::{Kind as Platform, World};
use belay_driver::{Capacity, Driver};
use belay_engine::fold::{Deployment, Status};
use belay_engine::ports::Clock;
use belay_model::config::BackCapacity;
use belay_model::event::{Event, Inputs, Kind};
use belay_model::id::{DeploymentId, RecordHash, Scope, StepId};
use belay_model::plan::{Action, Effect, Phase, Plan, Wave};
use belay_model::policy::Act;
use belay_model::release::Record;
use belay_model::state::{Goal, State, States};
use belay_model::summary;

/// What someone made of the scale of a target.
#[derive(Clone, Copy)]
pub(super) struct Scaled {
    to: u32,
    at_us: i64,
}

/// What a plan owes to the users of a target.
#[derive(Clone)]
pub(super) struct Need {
    since_us: i64,
    record: RecordHash,
    /// How users see it.
    group: String,
    /// Instances before all of them are moved.
    up: u32,
    /// And in the end.
    stays: u32,
    /// That is what someone made of it.
    is_theirs: bool,
    /// Nobody had scaled anything: it is that number and no other.
    is_exact: bool,
}

/// Someone scales what serves. In gentle weather they make more of it while nothing moves, and that is nothing that anyone has to be
/// asked about.
pub(super) async fn scale(stage: &Stage, ground: &Ground, number: usize, to: u32) {
    let (name, world) = ground.named(number);
    let Some(now) = capacity(world, &world.state()) else {
        return;
    };
    let (fewest, most) = now.bounds.unwrap_or((1, u32::MAX));
    let to = to.clamp(fewest, most);
    let head = head(stage, ground).await;
    let is_still = head.is_none_or(|head| head.phase == summary::Phase::Baking) && world.is_quiet();
    let is_more = to >= now.desired;
    if stage.story.weather != Weather::Foreign && !(is_still && is_more) {
        return;
    }
    stage.audit.count("capacity: scaled by hand");
    world.scale(to);
    if !(is_still && is_more) {
        stage.audit.meddled(&ground.scope);
    }
    let at_us = stage.clock.now_us();
    stage.audit.with_here(&ground.scope, |here| {
        here.scaled.insert(name.clone(), Scaled { to, at_us });
    });
}

/// Someone has it scaled by itself, where there is such a thing. It asks for no fewer than a release has.
pub(super) fn bound(stage: &Stage, ground: &Ground, number: usize, fewest: u32, most: u32) {
    let (_, world) = ground.named(number);
    if world.kind() == Platform::InPlace && world.asked_for().is_some_and(|now| now <= most) {
        stage.audit.count("capacity: an autoscaler");
        world.autoscale(fewest, most);
    }
}

fn capacity(world: &World, state: &State) -> Option<Capacity> {
    world.capacity(&target("any"), state)
}

/// Instances of that content, ready or not.
fn instances(state: &State, record: &RecordHash) -> u32 {
    let copies = state.resources.iter();
    // Where there is an object beside its instances, it says how many there should be.
    let copies = copies.filter(|(key, it)| {
        key.contains('/') && it.spec["record"].as_str() == Some(record.as_str())
    });
    let numbers = copies.filter_map(|(_, it)| it.spec["instances"].as_u64());
    u32::try_from(numbers.sum::<u64>()).unwrap_or(u32::MAX)
}

fn has_only_commands(phase: &Phase) -> bool {
    let mut steps = phase.steps.iter();
    !phase.steps.is_empty() && steps.all(|step| matches!(step.action, Action::Run(_)))
}

impl Audit {
    /// A way back is planned. `before`: what is said to be there by then.
    pub(super) fn needs_back(
        &self,
        id: &DeploymentId,
        inputs: &Inputs,
        (goal, plan): (&Goal, &Plan),
        before: &States,
        remarks: &[String],
    ) {
        let own = self.seen().owns.get(id).cloned().unwrap_or_default();
        // Once is enough.
        let journal = self.store().journal(id);
        let earlier = journal.iter().filter_map(|entry| match &entry.event {
            Event::Planned { remarks, .. } => Some(remarks),
            _ => None,
        });
        let remarks: Vec<String> = earlier.flatten().chain(remarks).cloned().collect();
        let record = goal.record.as_ref().and_then(|hash| goal.records.get(hash));
        let ground = self.ground(&inputs.scope);
        let mut needs = Vec::new();
        for (name, world) in &ground.worlds {
            let (Some(record), Some(before)) = (record, before.get(name)) else {
                continue;
            };
            // Nothing of it may have been there, or at work; or nothing was begun.
            let want = goal.want.of(name);
            // Where a deployment had only run commands, its way back only takes those back: whatever the scale, nobody is moved.
            let is_untouched = inputs.kind == Kind::Deploy && !own.begun.contains(name);
            let mut phases = plan.phases.iter();
            let is_moved = phases.any(|it| {
                it.target.as_ref() == Some(name) && !(is_untouched && has_only_commands(it))
            });
            let is_there = instances(want, &record.hash()) > 0 && capacity(world, want).is_some();
            if !is_moved || !is_there {
                continue;
            }
            if let Some(need) = self.need_of(inputs, &own, (name, world), (record, want), before) {
                self.is_told(name, &need, &remarks);
                needs.push((name.clone(), need));
            }
        }
        let mut seen = self.seen();
        let own = seen.owns.entry(id.clone()).or_default();
        own.needs = needs.into_iter().collect();
    }

    fn need_of(
        &self,
        inputs: &Inputs,
        own: &Own,
        (name, world): (&str, &World),
        (record, want): (&Record, &State),
        before: &State,
    ) -> Option<Need> {
        let hash = record.hash();
        let recorded = world.desired(record, &target(name));
        // There may be no such number here.
        capacity(world, &recorded)?;
        // Where what a stranger has there is wanted, too, nobody can say which of them are too few.
        if world.users_of(want).contains_key("stranger") {
            return None;
        }
        // As it was found, or as the record has it: which of them is meant, is said elsewhere.
        let found: Vec<&State> = match (&inputs.kind, &inputs.goal) {
            (Kind::Deploy, _) => own
                .baseline
                .get(name)
                .into_iter()
                .chain(own.phases.values())
                .collect(),
            (_, Some(_)) => vec![want],
            (_, None) => Vec::new(),
        };
        let is_asked = !found.is_empty() && inputs.kind != Kind::Deploy;
        let recorded = Some(&recorded).filter(|_| !is_asked);
        let meant = found.into_iter().chain(recorded);
        let meant = meant.map(|state| instances(state, &hash));
        let goals = meant.filter(|count| *count > 0).min()?;
        let here = self.here(&inputs.scope);
        let now = capacity(world, before).zip(capacity(world, &world.state()));
        let (now, bounds) = match &now {
            Some((before, now)) => (before.desired.min(now.desired), now.bounds),
            None => (0, None),
        };
        let (fewest, most) = bounds.unwrap_or((0, u32::MAX));
        let up = goals.max(now).min(most);
        // Any number that the deployment's own plans lead through is its own; between two groups those are many.
        let is_between = world.kind() == Platform::Resized && inputs.kind == Kind::Deploy;
        let was = own.baseline.get(name);
        let was = was.and_then(|was| capacity(world, was));
        let usual = self.usual(&inputs.scope);
        let known = usual.max(fewest).max(was.map_or(0, |was| was.desired));
        let is_first = own.before.is_empty() && own.plans.len() <= 2;
        let known = if inputs.kind == Kind::Deploy {
            known
        } else {
            usual.max(fewest)
        };
        let by_hand = here.scaled.get(name);
        let is_theirs = by_hand.is_some_and(|it| it.to == now) && now > known.max(goals);
        // What was left half-way is taken for Belay's own, whoever scaled it.
        let is_kept = is_theirs && is_first && !is_between && !here.is_rough;
        Some(Need {
            since_us: self.now_us(),
            record: hash,
            group: record.group(),
            up,
            stays: if is_kept { up } else { goals.min(most) },
            is_theirs: is_kept,
            is_exact: by_hand.is_none() && bounds.is_none() && !here.is_rough && goals == usual,
        })
    }

    /// A release goes out: what someone scaled stays.
    pub(super) fn needs_forward(&self, id: &DeploymentId, inputs: &Inputs, remarks: &[String]) {
        let here = self.here(&inputs.scope);
        let view = self.store().view(&inputs.scope);
        let (Some(record), true) = (&inputs.record, here.is_known && !here.is_rough) else {
            return;
        };
        let usual = self.usual(&inputs.scope);
        let mut needs = Vec::new();
        for (name, world) in &self.ground(&inputs.scope).worlds {
            let (Some(now), Some(by_hand)) =
                (capacity(world, &world.state()), here.scaled.get(name))
            else {
                continue;
            };
            let (fewest, most) = now.bounds.unwrap_or((0, u32::MAX));
            let is_theirs = by_hand.to == now.desired && now.desired > usual.max(fewest);
            if !is_theirs || view.serving().is_none() {
                continue;
            }
            let up = now.desired.min(most);
            let need = Need {
                since_us: self.now_us(),
                record: record.hash(),
                group: record.group(),
                up,
                stays: up,
                is_theirs: true,
                is_exact: false,
            };
            self.is_told(name, &need, remarks);
            needs.push((name.clone(), need));
        }
        let mut seen = self.seen();
        let own = seen.owns.entry(id.clone()).or_default();
        own.needs = needs.into_iter().collect();
    }

    /// Instances of a release, where nobody says otherwise.
    fn usual(&self, scope: &Scope) -> u32 {
        self.place(scope).instances
    }

    /// That someone scaled, and that it stays, is named.
    fn is_told(&self, name: &str, need: &Need, remarks: &[String]) {
        let mut lines = remarks.iter();
        if need.is_theirs && !lines.any(|line| line.contains("someone else: scaled")) {
            self.breach(format!(
                "I10: {} instances of {name} are kept, as someone scaled to that, and nobody is told",
                need.stays
            ));
        }
    }

    /// An effect of a way back begins: those that are moved with it find enough.
    pub(super) fn moves_with_enough(
        &self,
        id: &DeploymentId,
        inputs: &Inputs,
        (name, effect, step): (&str, &Effect, StepId),
    ) {
        if step.plan == 0 && inputs.kind == Kind::Deploy || effect.wave == Wave::Grow {
            return;
        }
        let need = self
            .seen()
            .owns
            .get(id)
            .and_then(|own| own.needs.get(name).cloned());
        let Some(need) = need.filter(|need| !self.was_changed_since(&inputs.scope, name, need))
        else {
            return;
        };
        let world = &self.ground(&inputs.scope).worlds[name];
        let now = world.state();
        let then = world.after(&target(name), &now, effect);
        let there = instances(&then, &need.record);
        // Its own instances are reduced once all are moved.
        let is_own = there < instances(&now, &need.record);
        let wanted = match effect.wave {
            Wave::Shrink if is_own => need.stays,
            _ => {
                // Who is there already is not moved.
                let share = |state: &State| world.users_of(state).get(&need.group).copied();
                let (was, is) = (share(&now).unwrap_or(0), share(&then).unwrap_or(0));
                // Of several that stay each is reduced in its turn.
                let is_reduced = effect.wave == Wave::Shrink
                    && world.users_of(&now).len() == world.users_of(&then).len();
                let all = if is_reduced { need.stays } else { need.up };
                if is > was { all * is / 1000 } else { 0 }
            }
        };
        if need.up > need.stays {
            self.count("capacity: more for the way than stays");
        }
        if inputs.back_order.capacity == BackCapacity::Proportional && wanted < need.up {
            self.count("capacity: in proportion");
        }
        if there < wanted && !self.goes_on_with_less(id) {
            let title = &effect.title;
            self.breach(format!(
                "I2: \"{title}\" on {name} leaves {there} instances for what needs {wanted}"
            ));
        }
    }

    /// A person or the policy said that what is ready will do, or left a move out.
    fn goes_on_with_less(&self, id: &DeploymentId) -> bool {
        let deployment = Deployment::of(id.clone(), &self.store().journal(id));
        !deployment.residue.is_empty()
    }

    /// What is wanted of a target, with as many instances as are meant where someone had scaled it.
    pub(super) fn as_scaled(&self, scope: &Scope, name: &str, want: State, meant: &State) -> State {
        let world = &self.ground(scope).worlds[name];
        let asked = capacity(world, &want).zip(capacity(world, meant));
        match asked.filter(|_| self.here(scope).scaled.contains_key(name)) {
            Some((own, meant)) if meant.desired > own.desired => {
                world.scaled(&target(name), &want, meant.desired)
            }
            _ => want,
        }
    }

    fn was_changed_since(&self, scope: &Scope, name: &str, need: &Need) -> bool {
        let here = self.here(scope);
        let scaled = here.scaled.get(name).map(|it| it.at_us);
        let is_late = scaled.is_some_and(|at_us| at_us >= need.since_us - 1_000_000);
        is_late || here.meddled_us.is_some()
    }

    /// The way back cannot bring something up, and waits for a person.
    pub(super) fn asks_for_capacity(
        &self,
        deployment: &Deployment,
        inputs: &Inputs,
        id: StepId,
        (until_ms, then): (Option<i64>, Option<&Act>),
    ) {
        let grows = deployment.step(id).0.effect();
        let grows = grows.is_some_and(|effect| effect.wave == Wave::Grow);
        let order = inputs.back_order;
        let asks = grows && order.capacity == BackCapacity::Ask;
        if asks != then.is_some() || until_ms.is_some() != (asks && order.ask_within.is_some()) {
            self.breach(format!(
                "capacity: {} cannot bring up {id}, its order is {:?} within {:?}, and a person is asked until {until_ms:?}, then {then:?}",
                deployment.id, order.capacity, order.ask_within
            ));
        }
        if asks {
            self.count("capacity: a person is asked");
        }
    }
}

impl Case<'_> {
    /// As many as are owed are there.
    pub(super) fn has_enough(&self) {
        if self.was_left_out() || self.is_foreign {
            return;
        }
        for (name, need) in &self.own.needs {
            let world = &self.ground.worlds[name];
            let scope = &self.inputs.scope;
            if self.audit.was_changed_since(scope, name, need) {
                continue;
            }
            let there = world.asked_for().unwrap_or(0);
            let is_wrong = if need.is_exact {
                there != need.stays
            } else {
                there < need.stays
            };
            if is_wrong {
                self.breach(format!(
                    "I5: {} instances of {name} are owed, and there are {there}",
                    need.stays
                ));
            } else if need.stays > self.audit.usual(scope) {
                self.audit.count("capacity: what was scaled stays");
            }
        }
    }

    /// What went on with less than all of its capacity says so.
    pub(super) fn is_not_less(&self) {
        let run = self.deployment.plans.last();
        let mut steps = run
            .into_iter()
            .flat_map(|run| run.plan.steps().zip(&run.steps));
        let grows = |effect: &Effect| effect.wave == Wave::Grow;
        let is_less = steps.any(|(step, course)| {
            step.effect().is_some_and(grows) && *course.status() == Status::Skipped
        });
        if is_less && self.deployment.goes_back() {
            self.breach("capacity: it went on with less, and ends as if nothing were missing");
        }
    }
}
