//! What should be there, as far as anybody can know: what was seen last, and what was done since and nobody could look at.
//! What differs from that was changed by someone else (I10).

use crate::fold::{Deployment, Status};
use crate::targets::Targets;
use belay_model::id::StepId;
use belay_model::state::{DifferenceEntry, States};

/// See the module.
pub(super) struct Foreseen {
    pub(super) states: States,
    /// Targets and keys that an effect touches of which nobody knows what it did: whatever is there may be its doing.
    doubtful: Vec<(String, String)>,
}

impl Foreseen {
    pub(super) fn of(state: &Deployment, targets: &Targets) -> Self {
        Self::by(state, targets, &state.unseen)
    }

    /// Without what earlier attempts of that step may have done: this one says.
    pub(super) fn before(state: &Deployment, targets: &Targets, step: StepId) -> Self {
        let others = state.unseen.iter().filter(|id| **id != step);
        Self::by(state, targets, others)
    }

    fn by<'a>(
        state: &Deployment,
        targets: &Targets,
        unseen: impl IntoIterator<Item = &'a StepId>,
    ) -> Self {
        let (mut states, mut doubtful) = (state.left.clone(), Vec::new());
        for id in unseen {
            let (step, course) = state.step(*id);
            let name = state.target_of(*id).unwrap_or_default();
            let (Some(effect), Some(place)) = (step.effect(), targets.get(name)) else {
                continue;
            };
            let before = states.of(name);
            let then = place.driver.after(&place.target, before, effect);
            if *course.status() == Status::Done {
                states.set(name, then);
            } else {
                let touched = place.driver.diff(&then, before).0.into_iter();
                doubtful.extend(touched.map(|entry| (name.to_owned(), entry.key)));
            }
        }
        Self { states, doubtful }
    }

    /// Whether nobody can say what should be there at a key of a target.
    pub(super) fn is_doubtful(&self, target: &str, entry: &DifferenceEntry) -> bool {
        let is_it = |(name, key): &(String, String)| name == target && *key == entry.key;
        self.doubtful.iter().any(is_it)
    }

    /// What someone else changed on the targets that it knows of, one line each.
    pub(super) fn foreign(&self, targets: &Targets, now: &States) -> Vec<String> {
        let known = targets.only(|name| self.states.get(name).is_some());
        known.diff_unless(&self.states, now, |target, entry| {
            self.is_doubtful(target, entry)
        })
    }
}
