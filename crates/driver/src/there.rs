//! What became of a step that we lost sight of, by what is observed (I4).

use crate::Driver;
use belay_model::plan::Effect;
use belay_model::release::Target;
use belay_model::state::{Health, State};

/// Whether `now` shows the whole effect of a step on `before`. What a goal may lack (a group that nobody needs, one that
/// is not ready yet) a step may not: it was to bring just that.
pub fn is_there(
    driver: &dyn Driver,
    target: &Target,
    effect: &Effect,
    before: &State,
    now: &State,
) -> bool {
    let after = driver.after(target, before, effect);
    let missing = driver.diff(&after, now);
    let touched = driver.diff(&after, before).0;
    let is_whole = |key: &String| {
        let lacks = missing.0.iter().any(|entry| entry.key == *key);
        let is_sick = after.resources.contains_key(key)
            && now
                .resources
                .get(key)
                .is_some_and(|it| matches!(it.health, Health::Unhealthy(_)));
        !lacks && !is_sick
    };
    // What an earlier attempt left may have the form of it already and not work: no difference, and all the same not there.
    let is_brought = |key: &&String| {
        let record = after.resources[*key].spec["record"].as_str();
        record.is_some_and(|record| effect.records.iter().any(|it| it.as_str() == record))
    };
    let brought = after.resources.keys().filter(is_brought);
    let keys = touched.iter().map(|entry| &entry.key).chain(brought);
    missing.is_met() && keys.into_iter().all(is_whole)
}

/// Whether `now` shows nothing at all of a step's effect on `before`. Where the step was to change something, a difference
/// that keeps nobody from a goal counts, too: a step that may not be repeated has then happened in part.
pub fn is_untouched(
    driver: &dyn Driver,
    target: &Target,
    effect: &Effect,
    before: &State,
    now: &State,
) -> bool {
    let changed = driver.diff(before, now);
    let after = driver.after(target, before, effect);
    let touched = driver.diff(&after, before).0;
    let is_touched = |key: &String| touched.iter().any(|entry| entry.key == *key);
    changed.is_met() && !changed.0.iter().any(|entry| is_touched(&entry.key))
}
