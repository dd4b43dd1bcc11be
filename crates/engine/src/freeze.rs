//! When no release goes out: because someone said so, or because too many went back by themselves (I9). Pure. Rollbacks
//! are never held up.

use crate::mutant::{self, Mutant};
use belay_model::environment::{Event, Freeze, View};
use belay_model::id::{EVERY, Scope};

/// Releases of one scope that may go back by themselves within a day; the last of them stops the next (I9).
const TOO_MANY: usize = 3;
const DAY_US: i64 = 24 * 60 * 60 * 1_000_000;

/// What holds up releases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// What is frozen: the scope itself, or one that stands for several.
    pub scope: Scope,
    /// By whom, and why, in one sentence.
    pub why: String,
}

/// What holds up releases in a scope, from the streams of those whose freezes hold there.
pub fn frozen<'a>(
    views: impl IntoIterator<Item = (&'a Scope, &'a View)>,
    now_ms: i64,
) -> Option<Held> {
    views.into_iter().find_map(|(scope, view)| {
        let by: Vec<String> = view.frozen(now_ms).map(Freeze::sentence).collect();
        let what = match (scope.service.as_str(), scope.environment.as_str()) {
            (EVERY, environment) => format!("environment {environment}"),
            (service, EVERY) => format!("service {service}"),
            _ => scope.to_string(),
        };
        (!by.is_empty()).then(|| Held {
            scope: scope.clone(),
            why: format!("{what} is frozen {}", by.join("; and ")),
        })
    })
}

/// Whether what was said in an environment stream may keep a release from going out that nothing kept back before: a freeze,
/// or another standing, here or where it proved itself.
pub(crate) fn may_hold_up(event: &Event) -> bool {
    matches!(event, Event::Frozen { .. } | Event::Stands { .. })
}

/// I9: too many releases that went back by themselves within a day, this one included: no more go out until a person has
/// looked. A person's freeze does not stand in for it: that may end by itself.
pub(crate) fn breaker(view: &View, now_us: i64) -> Option<Event> {
    let recent = view
        .went_back
        .iter()
        .filter(|at_us| now_us - **at_us < DAY_US);
    if recent.count() + 1 < TOO_MANY || view.breaker.is_some() || mutant::is(Mutant::NeverFreezes) {
        return None;
    }
    Some(Event::Frozen {
        actor: None,
        reason: format!("{TOO_MANY} releases went back by themselves within 24 hours"),
        until_ms: None,
    })
}
