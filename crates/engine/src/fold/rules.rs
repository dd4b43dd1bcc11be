//! What the rules of a plan say about a step that failed, and whether trying it again could be an answer.

use super::{Deployment, StepRun};
use crate::retry;
use belay_model::error::{Class, Effect, Failure};
use belay_model::id::StepId;
use belay_model::plan::{Action, OnUnknown, Step};
use belay_model::policy::{self, Act};

impl Deployment {
    /// What the first rule says that fits; none: what would be done without one. On the way back there are none: it is
    /// tried harder than any rule would.
    pub(crate) fn rule(&self, id: StepId) -> Option<&Act> {
        if self.goes_back() {
            return None;
        }
        let (step, run) = self.step(id);
        let failure = run.failure()?;
        // Where it is not tried again, all tries count as spent, and the next rule that fits decides.
        let failures = if self.is_final(id) {
            u32::MAX
        } else {
            run.failures
        };
        let mut act = policy::first(&step.on_failure, failure.class, failures);
        while let Some(Act::Ask { then, .. }) = act.filter(|_| run.is_lapsed) {
            act = Some(then);
        }
        act
    }

    /// Whether it failed in a way that only a person has it tried again, whatever a rule says: each worker that had it is
    /// gone, it may be half done and must not be done twice, or it names what nobody has.
    pub(crate) fn is_final(&self, id: StepId) -> bool {
        let (step, run) = self.step(id);
        let Some(failure) = run.failure() else {
            return false;
        };
        self.is_lost(run) || !may_repeat(&step.action, &failure) || self.lacks_record(step)
    }

    /// Whether it was lost sight of as often as it may be. A rule that says `retry` does not raise that: what takes its worker
    /// with it would go on to do so, and others are in the same hands.
    pub(super) fn is_lost(&self, run: &StepRun) -> bool {
        run.losses >= retry::losses(self.goes_back())
    }

    fn lacks_record(&self, step: &Step) -> bool {
        let mut records = step.effect().into_iter().flat_map(|it| &it.records);
        records.any(|hash| self.record(hash).is_none())
    }
}

/// I4: what may have been done in part is done again only where doing it twice equals doing it once.
fn may_repeat(action: &Action, failure: &Failure) -> bool {
    failure.effect == Effect::NotApplied || is_repeatable(action)
}

fn is_repeatable(action: &Action) -> bool {
    match action {
        Action::Effect(effect) => effect.idempotent,
        Action::Run(run) => run.on_unknown == OnUnknown::Retry,
        Action::Verify { .. } | Action::Approve(_) | Action::Wait { .. } => true,
    }
}

/// Each attempt was settled and looked for, and not there. Of what may be repeated a part may be.
pub(super) fn lost(action: &Action, losses: u32) -> Failure {
    let effect = if is_repeatable(action) {
        Effect::MaybeApplied
    } else {
        Effect::NotApplied
    };
    Failure {
        class: Class::Connectivity,
        effect,
        message: format!("keep sight of the step: it was lost {losses} times"),
        detail: Vec::new(),
        retry_after_ms: None,
    }
}
