//! A way back in the moment in which it is planned: where it leads, what it covers, and that somebody asked where somebody has to.

use super::audit::Audit;
use super::ended;
use super::handed::Own;
use belay_driver::Driver;
use belay_model::back::{Back, Risk};
use belay_model::environment::{Standing, View};
use belay_model::event::{Ask, Cause, Entry, Event, Inputs, Kind};
use belay_model::id::{DeploymentId, RecordHash};
use belay_model::plan::{Action, Plan, Step, Wave};
use belay_model::release::Record;
use belay_model::state::Goal;
use belay_model::state::State;
use std::collections::BTreeMap;

/// Whether a part of what is there is of a release that went back and that nobody owes a clean-up: left half-way. `but`: not
/// of that one.
pub(super) fn has_bad(view: &View, state: &State, but: Option<&RecordHash>) -> bool {
    let text = serde_json::to_string(state).unwrap_or_default();
    view.records.iter().any(|(hash, known)| {
        let is_bad = known.standing == Standing::Quarantined && !view.cleanups.contains_key(hash);
        is_bad && Some(hash) != but && text.contains(hash.as_str())
    })
}

impl Audit {
    pub(super) fn goes_back(
        &self,
        id: &DeploymentId,
        inputs: &Inputs,
        cause: &Cause,
        goal: Option<&Goal>,
        plan: &Plan,
        earlier: &[Entry],
    ) {
        let view = self.store().view(&inputs.scope);
        self.count(match cause {
            Cause::Phase { .. } => "rollbacks: of a phase",
            Cause::Request { .. } if cause.leads_to().is_some() => "rollbacks: to a release",
            Cause::Request { .. } => "rollbacks: asked for",
            _ => "rollbacks: automatic",
        });
        self.is_asked_for(inputs, cause, &view, earlier);
        let own = {
            let mut seen = self.seen();
            let own = seen.owns.entry(id.clone()).or_default();
            own.plans.push(plan.clone());
            own.clone()
        };
        let Some(goal) = goal else { return };
        self.seals(&view, goal);
        let is_quarantined = |hash: &RecordHash| {
            let known = view.records.get(hash);
            known.is_some_and(|known| known.standing == Standing::Quarantined)
        };
        let is_touched = earlier
            .iter()
            .any(|entry| matches!(&entry.event, Event::Finished { state: Some(_), .. }));
        // Of what serves and is all there is, it may turn out only now.
        let is_own = goal.record == inputs.record.as_ref().map(Record::hash);
        // Of one phase it matters what was there on what it has begun.
        let is_phase = matches!(cause, Cause::Phase { .. });
        let is_bad = goal.record.as_ref().is_some_and(is_quarantined);
        if is_touched && !is_own && !is_phase && is_bad {
            let title = &goal.title;
            self.breach(format!("P5: {title} is quarantined and shall serve again"));
        }
        match cause {
            Cause::Phase { phase, .. } => {
                let phase = usize::from(*phase);
                self.phase_only(phase, plan, &own);
                self.phase_leads_to(id, inputs, phase, goal, &view);
            }
            Cause::Request { back, .. } if back.to.is_some() => {
                self.leads_to_release(inputs, back, &view, goal, plan);
            }
            _ if own.begun.is_empty() || own.is_foreign => {}
            // The same once more, as its goal was not met (I13).
            _ if inputs.kind != Kind::Deploy && is_told_to_retry(earlier) => {}
            _ if own.record.as_ref().is_some_and(is_quarantined) => {}
            // Whose removal is owed by now was left half-way then, all the same.
            _ if own.had_bad => {}
            _ if own
                .baseline
                .values()
                .any(|state| !state.unhealthy().is_empty()) => {}
            _ => self.leads_to_baseline(inputs, goal, &own),
        }
        if !matches!(cause, Cause::Phase { .. }) {
            self.covers(plan, &own);
        }
        self.one_move(plan);
    }

    fn is_asked_for(&self, inputs: &Inputs, cause: &Cause, view: &View, earlier: &[Entry]) {
        let before = earlier.iter().rposition(|entry| {
            matches!(entry.event, Event::RollbackPlanned { .. })
                || (inputs.kind != Kind::Deploy && matches!(entry.event, Event::Planned { .. }))
        });
        let at = before.unwrap_or(0);
        let mut since = earlier[at..].iter();
        let is_word = |entry: &Entry| matches!(entry.event, Event::Signal { .. });
        // Said before it was planned, and not heard by then.
        let is_plan = matches!(earlier[at].event, Event::Planned { .. });
        let to_go_back = |entry: &Entry| {
            matches!(
                entry.event,
                Event::Signal {
                    ask: Ask::Abort,
                    ..
                }
            )
        };
        let is_asked = since.any(is_word) || is_plan && earlier[..at].iter().any(to_go_back);
        if before.is_some() && !is_asked {
            self.breach("I9: a rollback triggered another, and nobody asked");
        }
        if inputs.kind == Kind::Deploy && cause.is_automatic() && view.went_back.len() >= 3 {
            match &view.breaker {
                Some(_) => self.count("freezes: by Belay"),
                None => self.breach("I9: three went back by themselves, and nothing is frozen"),
            }
        }
    }

    /// `--to R`: nothing but that record, on all targets, and only if it proved itself or someone took it upon them.
    fn leads_to_release(
        &self,
        inputs: &Inputs,
        back: &Back,
        view: &View,
        goal: &Goal,
        plan: &Plan,
    ) {
        let to = back.to.as_ref();
        let Some(known) = to.and_then(|to| view.records.get(to)) else {
            return self.breach("P5: it goes to a release that nobody knows");
        };
        let title = known.record.title();
        let is_accepted = back.accept.contains(&Risk::Unproven);
        if is_accepted && known.standing == Standing::Candidate {
            self.count("to a release: unproven, and accepted");
        }
        if !is_accepted && known.standing == Standing::Candidate {
            self.breach(format!(
                "P5: {title} was never verified, and nobody took it upon them"
            ));
        }
        if goal.record.as_ref() != to {
            self.breach(format!(
                "I5: it was told to go to {title} and goes to {}",
                goal.title
            ));
        }
        for (name, world) in &self.ground(&inputs.scope).worlds {
            let target = super::stage::target(name);
            let want = world.desired(&known.record, &target);
            for line in world.diff(&want, goal.want.of(name)).lines() {
                self.breach(format!(
                    "I5: {title} shall be on {name} and something else is meant: {line}"
                ));
            }
            if !plan
                .phases
                .iter()
                .any(|it| it.target.as_ref() == Some(name))
            {
                self.breach(format!(
                    "I2: {title} shall serve, and the plan leaves out {name}"
                ));
            }
        }
    }

    /// I5: what was there when it got its lock, on everything that was begun.
    fn leads_to_baseline(&self, inputs: &Inputs, goal: &Goal, own: &Own) {
        let ground = self.ground(&inputs.scope);
        for name in &own.begun {
            let world = &ground.worlds[name];
            for line in world.diff(&own.baseline[name], goal.want.of(name)).lines() {
                self.breach(format!(
                    "I5: it goes to something else than was there before: {name}: {line}"
                ));
            }
        }
    }

    /// Nothing of other phases is taken back.
    fn phase_only(&self, phase: usize, back: &Plan, own: &Own) {
        let meant = &own.plans[0].phases[phase];
        for phase in &back.phases {
            let is_it = phase.name == meant.name || phase.target == meant.target;
            if !is_it && !phase.steps.is_empty() {
                let (it, other) = (&meant.name, &phase.name);
                self.breach(format!(
                    "I2: only {it} shall go back, and {other} goes, too"
                ));
            }
        }
    }

    /// I5, P5: what was there when the phase began, on what it has begun; where that was rolled back by then, what is good.
    fn phase_leads_to(
        &self,
        id: &DeploymentId,
        inputs: &Inputs,
        phase: usize,
        goal: &Goal,
        view: &View,
    ) {
        let own = self.seen().owns[id].clone();
        let phases = &own.plans[0].phases;
        let mut before: BTreeMap<&str, (usize, &State)> = BTreeMap::new();
        for part in own.begun_phases.iter().rev() {
            let Some(name) = phases[*part].target.as_deref() else {
                continue;
            };
            if phases[*part].name == phases[phase].name {
                let state = own.phases.get(part).unwrap_or(&own.baseline[name]);
                before.insert(name, (*part, state));
            }
        }
        let brought = inputs.record.as_ref().map(Record::hash);
        let mut states = before.values();
        let is_bad = states.any(|(_, state)| has_bad(view, state, brought.as_ref()));
        let good = goal.record.as_ref().and_then(|hash| view.records.get(hash));
        let good = good.filter(|known| known.standing.is_good() && goal.record != brought);
        let mut meant = Vec::new();
        for (name, (part, state)) in before {
            let world = &self.ground(&inputs.scope).worlds[name];
            let want = match (is_bad, good) {
                (true, Some(good)) => world.desired(&good.record, &super::stage::target(name)),
                (true, None) => {
                    let title = &goal.title;
                    self.breach(format!("P5: {title} is quarantined and shall serve again"));
                    continue;
                }
                (false, _) => state.clone(),
            };
            let want = self.as_scaled(&inputs.scope, name, want, goal.want.of(name));
            let lines = world.diff(&want, goal.want.of(name)).lines();
            for line in lines.iter().filter(|_| !own.is_foreign) {
                self.breach(format!(
                    "I5: the phase goes to something else than was there: {name}: {line}"
                ));
            }
            meant.push((part, want));
        }
        // That is what has to be there in the end.
        let mut seen = self.seen();
        let own = seen.owns.get_mut(id).expect("it was planned");
        own.phases.extend(meant);
    }

    /// I2: every target that something was begun on.
    fn covers(&self, back: &Plan, own: &Own) {
        for name in &own.begun {
            if !back
                .phases
                .iter()
                .any(|it| it.target.as_ref() == Some(name))
            {
                self.breach(format!("I2: the way back leaves out {name}"));
            }
        }
    }

    /// I13: one move per target, looked at once.
    fn one_move(&self, plan: &Plan) {
        for phase in &plan.phases {
            let moves = |wave: Wave| {
                move |step: &Step| step.effect().is_some_and(|effect| effect.wave == wave)
            };
            let looks = |step: &Step| matches!(step.action, Action::Verify { .. });
            let look = phase.steps.iter().position(looks);
            let last = phase.steps.iter().rposition(moves(Wave::Switch));
            let is_effect = |step: &Step| step.effect().is_some();
            let others = plan.phases.iter().filter(|it| it.target == phase.target);
            let others = others.filter(|it| it.steps.iter().any(is_effect));
            let twice = phase.target.is_some() && others.count() > 1;
            if twice || look.zip(last).is_some_and(|(look, last)| look < last) {
                self.breach(format!(
                    "I13: {} goes back in more than one move",
                    phase.name
                ));
            }
        }
    }

    /// That phase goes back alone, and its target is as it was when it began.
    pub(super) fn phase_is_back(&self, inputs: &Inputs, own: &Own, phase: usize) {
        let Some(target) = &own.plans[0].phases[phase].target else {
            return;
        };
        if !own.begun_phases.contains(&phase) {
            return;
        }
        // The first phase of all begins with the baseline.
        let before = own.phases.get(&phase).unwrap_or(&own.baseline[target]);
        let world = &self.ground(&inputs.scope).worlds[target];
        for line in world.diff(before, &world.state()).lines() {
            self.breach(format!(
                "I5: the phase went back, and {target} is not as it was: {line}"
            ));
        }
        self.count("phases that went back alone");
    }
}

/// Whether that was the last word.
fn is_told_to_retry(journal: &[Entry]) -> bool {
    let mut words = journal.iter().rev().filter_map(|entry| match &entry.event {
        Event::Signal { ask, .. } => Some(ask),
        _ => None,
    });
    words.next() == Some(&Ask::Retry)
}

/// The last request to go back, and where to.
pub(super) fn last_abort(journal: &[Entry]) -> Option<&Back> {
    journal.iter().rev().find_map(|entry| match &entry.event {
        Event::Signal {
            ask: Ask::Abort,
            back,
            ..
        } => Some(back),
        _ => None,
    })
}

pub(super) fn cause_phase(cause: Option<&Cause>) -> Option<usize> {
    match cause {
        Some(Cause::Phase { phase, .. }) => Some(usize::from(*phase)),
        _ => None,
    }
}

pub(super) fn back_steps(plan: &Plan, index: u16) -> Option<&str> {
    ended::step(plan, index).map(|(phase, _)| phase.name.as_str())
}
