//! What takes back the steps that people wrote, around the moves of a way back. Pure.
//!
//! The moves are planned from what is there; what somebody ran is known from the plan that went forward alone. Both are put
//! together in the reverse of the order in which they went: per phase first what came behind its move, then the move, then
//! what came before it.

use crate::fold::{Deployment, PlanRun};
use crate::mutant::{self, Mutant};
use belay_model::config::{BackPhases, Provisioning, ProvisioningOrder};
use belay_model::event::{Cause, Inputs, PhaseInput};
use belay_model::id::RecordHash;
use belay_model::plan::{Action, OnUnknown, Phase, Plan, Run, Step};
use belay_model::release::Record;
use belay_model::takeover::Debt;
use std::ops::Range;

/// A plan that went forward, as far as it did and was not taken back.
pub struct Gone<'a> {
    inputs: &'a Inputs,
    run: PlanRun,
    /// Of each step, whether it was begun.
    begun: Vec<bool>,
    /// Whose files its steps run in; absent: those of the record that the deployment leads to.
    record: Option<RecordHash>,
    /// What it took over from the deployment that it superseded, and has to take back for it.
    debts: &'a [Debt],
}

impl<'a> Gone<'a> {
    /// A deployment's own plan, as far as it went.
    pub fn of(deployment: &'a Deployment) -> Option<Self> {
        let run = deployment.plans.first()?.clone();
        let mut begun: Vec<bool> = run.steps.iter().map(|step| step.has_begun()).collect();
        for back in &deployment.plans[1..] {
            if let Some(Cause::Phase { phase, .. }) = &back.cause {
                for part in run.parts(usize::from(*phase)) {
                    begun[run.range(part)].fill(false);
                }
            }
        }
        Some(Self {
            inputs: deployment.inputs.as_ref()?,
            run,
            begun,
            record: None,
            debts: inherited(deployment),
        })
    }

    /// One that ended, and whose result is left by another deployment. What it superseded ended, too, and is left by itself.
    pub fn ended(deployment: &'a Deployment) -> Option<Self> {
        let record = deployment.inputs.as_ref()?.record.as_ref();
        Some(Self {
            record: record.map(Record::hash),
            debts: &[],
            ..Self::of(deployment)?
        })
    }

    /// A plan once all of it has gone.
    pub fn all(plan: &Plan, inputs: &'a Inputs) -> Self {
        let run = PlanRun::new(plan.clone(), None, None);
        Self {
            inputs,
            begun: vec![true; run.steps.len()],
            run,
            record: None,
            debts: &[],
        }
    }

    /// Of one phase alone.
    #[must_use]
    pub fn only(mut self, phase: usize) -> Self {
        let meant = self.run.parts(phase);
        self.debts = &[];
        for other in 0..self.run.plan.phases.len() {
            if !meant.contains(&other) {
                let range = self.run.range(other);
                self.begun[range].fill(false);
            }
        }
        self
    }

    /// What stays behind although it is taken back (I14), one line each.
    pub fn left_behind(&self) -> impl Iterator<Item = &str> {
        let begun = (0..self.begun.len()).filter(|index| self.begun[*index]);
        begun.filter_map(|index| self.run.step(index).residue())
    }

    /// Whether there is anything to take back beside moves, or to be named.
    pub(crate) fn is_told(&self) -> bool {
        !self.taken_back(Plan::empty()).is_empty() || self.left_behind().next().is_some()
    }

    /// The moves of a way back with what takes back the steps around them.
    pub fn taken_back(&self, plan: Plan) -> Plan {
        let mut moves = plan.phases;
        let mut ordered: Vec<(usize, Phase)> = Vec::new();
        for number in self.order() {
            let phase = &self.run.plan.phases[number];
            let own = moves
                .iter()
                .position(|own| own.target.is_some() && self.owner(own) == Some(number));
            let own = own.map(|index| moves.remove(index).steps);
            // A target that is as it shall be has a phase without steps: it is looked at in the end, too.
            let moves_back = own.is_some();
            let steps = self.steps(number, own.unwrap_or_default());
            if moves_back || !steps.is_empty() {
                let phase = Phase {
                    name: phase.name.clone(),
                    target: phase.target.clone(),
                    after: self.behind(&ordered, number),
                    steps,
                };
                ordered.push((number, phase));
            }
        }
        let phases = ordered.into_iter().map(|(_, phase)| phase);
        let mut phases: Vec<Phase> = phases.chain(moves).collect();
        for debt in self.debts {
            pay(&mut phases, debt);
        }
        let parallel = match self.inputs.back_order.phases {
            BackPhases::InTurn if !mutant::is(Mutant::AllAtOnce) => plan.parallel,
            _ => u16::try_from(phases.len().max(1)).unwrap_or(u16::MAX),
        };
        Plan {
            phases,
            parallel,
            ..plan
        }
    }

    /// What has to be run on the way back, phase by phase, whoever goes back in its place.
    fn owed(&self) -> Vec<Debt> {
        let owed = |number: usize| {
            let phase = &self.run.plan.phases[number];
            let (late, early) = self.around(number);
            Debt {
                phase: phase.name.clone(),
                target: phase.target.clone(),
                late,
                early,
            }
        };
        let owed = self.order().into_iter().map(owed);
        owed.filter(|debt| !(debt.late.is_empty() && debt.early.is_empty()))
            .collect()
    }

    /// The phases in the order in which they go back.
    fn order(&self) -> Vec<usize> {
        let phases = &self.run.plan.phases;
        let bakes = |number: &usize| {
            let steps = &phases[*number].steps;
            !steps.is_empty() && steps.iter().all(|step| step.bake)
        };
        let forward = (0..phases.len()).filter(|number| !bakes(number));
        let (mut provisioning, mut rest): (Vec<usize>, Vec<usize>) =
            forward.partition(|number| self.provisions(*number));
        rest.reverse();
        let mut order = self.inputs.back_order;
        if mutant::is(Mutant::OneOrderForAll) {
            order = Default::default();
        }
        if order.provisioning_order == ProvisioningOrder::Reverse {
            provisioning.reverse();
        }
        match order.provisioning {
            Provisioning::Last => [rest, provisioning].concat(),
            Provisioning::First => [provisioning, rest].concat(),
        }
    }

    /// Phases without targets that come before all others.
    fn provisions(&self, number: usize) -> bool {
        let phases = &self.run.plan.phases;
        let until = self.run.parts(number).end;
        self.is_written() && phases[..until].iter().all(|phase| phase.target.is_none())
    }

    fn is_written(&self) -> bool {
        !self.inputs.phases.is_empty()
    }

    fn has_begun(&self, range: Range<usize>) -> bool {
        self.begun[range].iter().any(|begun| *begun)
    }

    /// The phase that a move takes back: the last one that was begun on its target.
    fn owner(&self, own: &Phase) -> Option<usize> {
        let phases = self.order().into_iter();
        let mut phases: Vec<usize> = phases
            .filter(|number| self.run.plan.phases[*number].target == own.target)
            .collect();
        phases.sort_unstable();
        let begun = |number: &&usize| self.has_begun(self.run.range(**number));
        phases.iter().rev().find(begun).or(phases.last()).copied()
    }

    /// Everything that takes a phase back, in order.
    fn steps(&self, number: usize, moves: Vec<Step>) -> Vec<Step> {
        let (late, early) = self.around(number);
        late.into_iter().chain(moves).chain(early).collect()
    }

    /// What takes a phase back before its move and behind it.
    fn around(&self, number: usize) -> (Vec<Step>, Vec<Step>) {
        let parts = self.run.parts(number);
        let is_begun = parts
            .into_iter()
            .any(|part| self.has_begun(self.run.range(part)));
        let input = self.inputs.phases.get(number).filter(|_| is_begun);
        let written = |steps: fn(&PhaseInput) -> &Vec<Step>| {
            let steps = input.into_iter().flat_map(steps);
            steps.map(|step| self.of_its_record(step.clone()))
        };
        let (late, early) = self.runs(number);
        let before = written(|input| &input.back_before).chain(late);
        let after = early.into_iter().chain(written(|input| &input.back_after));
        (before.collect(), after.collect())
    }

    fn of_its_record(&self, mut step: Step) -> Step {
        if let Action::Run(run) = &mut step.action {
            run.record.clone_from(&self.record);
        }
        step
    }

    /// The ways back of a phase's `run` steps: of those after its first effect, and of those before it.
    fn runs(&self, phase: usize) -> (Vec<Step>, Vec<Step>) {
        let run = &self.run;
        let range = run.range(phase);
        let is_effect = |index: &usize| run.step(*index).effect().is_some();
        let first_effect = range.clone().find(is_effect).unwrap_or(range.end);
        let back = |index: usize| match &run.step(index).action {
            Action::Run(_) if mutant::is(Mutant::LeavesCommands) => None,
            Action::Run(step) if self.begun[index] => Some(Step::of(Action::Run(Run {
                title: format!("take back: {}", step.title),
                call: step.back.clone()?,
                back: None,
                residue: None,
                // Nobody can say what became of it; it is told of in the guide that it has to bear being run twice.
                on_unknown: OnUnknown::Retry,
                timeout_ms: step.timeout_ms,
                record: self.record.clone(),
            }))),
            _ => None,
        };
        let late = range.clone().rev().filter(|index| *index > first_effect);
        let early = range.rev().filter(|index| *index < first_effect);
        (
            late.filter_map(back).collect(),
            early.filter_map(back).collect(),
        )
    }

    /// What a phase waits for on the way back: as forward, but that phases may go at once where the plan says so.
    fn behind(&self, ordered: &[(usize, Phase)], number: usize) -> Vec<u16> {
        let phases = &self.run.plan.phases;
        let (name, target) = (&phases[number].name, &phases[number].target);
        let in_turn = self.is_written()
            && !mutant::is(Mutant::AllAtOnce)
            && self.inputs.back_order.phases == BackPhases::InTurn;
        let waits = |(other, phase): &(usize, Phase)| {
            let is_free = target.is_none() || phase.target.is_none();
            let provisions = self.provisions(number) || self.provisions(*other);
            if phase.name == *name {
                is_free || phase.target == *target
            } else {
                in_turn || provisions || phase.target == *target && target.is_some()
            }
        };
        let before = ordered.iter().zip(0..).filter(|(one, _)| waits(one));
        before.map(|(_, number)| number).collect()
    }
}

fn inherited(deployment: &Deployment) -> &[Debt] {
    let over = deployment.takes_over.as_ref();
    over.map_or(&[], |over| &over.debts)
}

/// What has to be run on the way back from a deployment that another one supersedes, in the files of its own record.
pub(crate) fn debts(deployment: &Deployment) -> Vec<Debt> {
    let own = Gone::ended(deployment).map(|gone| gone.owed());
    let own = own.into_iter().flatten();
    own.chain(inherited(deployment).iter().cloned()).collect()
}

/// Adds what was run before another deployment took over: its own comes first, as it came last.
fn pay(phases: &mut Vec<Phase>, debt: &Debt) {
    let target = debt.target.as_ref();
    let own = phases
        .iter_mut()
        .find(|phase| target.is_some() && phase.target.as_ref() == target);
    if let Some(phase) = own {
        let moves = phase.steps.iter().position(|step| step.effect().is_some());
        let moves = moves.unwrap_or(phase.steps.len());
        phase.steps.splice(moves..moves, debt.late.iter().cloned());
        phase.steps.extend(debt.early.iter().cloned());
        return;
    }
    phases.push(Phase {
        name: debt.phase.clone(),
        target: debt.target.clone(),
        after: (0..).take(phases.len()).collect(),
        steps: debt.late.iter().chain(&debt.early).cloned().collect(),
    });
}

/// What stays behind of deployments that ended although they are taken back (I14), one line each.
pub fn left_behind(ended: &[Deployment]) -> Vec<String> {
    let gone: Vec<Gone<'_>> = ended.iter().filter_map(Gone::of).collect();
    let lines = gone.iter().flat_map(Gone::left_behind);
    lines.map(str::to_owned).collect()
}

/// The moves of a way back with what takes back the steps of deployments that ended, the newest first.
pub fn over(plan: Plan, ended: &[Deployment]) -> Plan {
    let mut plan = plan;
    for (number, gone) in ended.iter().filter_map(Gone::ended).enumerate() {
        if number == 0 {
            plan = gone.taken_back(plan);
            continue;
        }
        let mut older = gone.taken_back(Plan::empty()).phases;
        let count = u16::try_from(plan.phases.len()).expect("plans are bounded");
        for phase in &mut older {
            let own = phase.after.iter().map(|number| number + count);
            phase.after = (0..count).chain(own).collect();
        }
        plan.phases.append(&mut older);
    }
    plan
}
