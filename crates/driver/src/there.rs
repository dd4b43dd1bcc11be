//! What became of a step that we lost sight of, by what is observed (I4).

use crate::Driver;
use belay_model::plan::Effect;
use belay_model::release::Target;
use belay_model::state::{Difference, Health, State, Weight};

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
    let touched = driver.diff(&after, before);
    let is_whole = |key: &String| {
        let is_sick = after.resources.contains_key(key)
            && now
                .resources
                .get(key)
                .is_some_and(|it| matches!(it.health, Health::Unhealthy(_)));
        !lacks(&touched, &missing, key) && !is_sick
    };
    // What an earlier attempt left may have the form of it already and not work: no difference, and all the same not there.
    let is_brought = |key: &&String| {
        let record = after.resources[*key].spec["record"].as_str();
        record.is_some_and(|record| effect.records.iter().any(|it| it.as_str() == record))
    };
    let brought = after.resources.keys().filter(is_brought);
    let keys = touched.0.iter().map(|entry| &entry.key).chain(brought);
    missing.is_met() && keys.into_iter().all(is_whole)
}

/// Whether something of what a step was to bring there is missing. Where what it changes matters to goals, what does not is
/// not its work: others may have scaled or labelled the same thing in between. That a thing is gone is never without meaning.
fn lacks(touched: &Difference, missing: &Difference, key: &str) -> bool {
    let matters = |difference: &Difference| difference.must().any(|entry| entry.key == key);
    let is_all_its_work = !matters(touched);
    let mut missing = missing.0.iter().filter(|entry| entry.key == key);
    missing.any(|entry| is_all_its_work || entry.weight == Weight::Must || entry.have.is_null())
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

#[cfg(test)]
mod tests {
    use super::lacks;
    use belay_model::state::{Difference, DifferenceEntry, Weight};
    use serde_json::{Value, json};

    fn difference(weight: Weight, have: Value) -> Difference {
        let (key, want) = ("it".to_owned(), json!("wanted"));
        Difference(vec![DifferenceEntry {
            weight,
            key,
            want,
            have,
        }])
    }

    #[test]
    fn what_others_may_change_is_not_the_work_of_a_step() {
        let (must, informational) = (Weight::Must, Weight::Informational);
        let there = || json!("something else");
        let check = |touched, missing, have, expected| {
            let touched = difference(touched, there());
            let missing = difference(missing, have);
            assert_eq!(
                lacks(&touched, &missing, "it"),
                expected,
                "{touched:?} {missing:?}"
            );
        };
        check(must, must, there(), true);
        check(must, informational, there(), false);
        check(must, informational, Value::Null, true);
        // A step may bring just what goals can do without.
        check(informational, informational, there(), true);
        let nothing = Difference::default();
        assert!(!lacks(&difference(must, there()), &nothing, "it"));
        // It had the form of it before; then it is to have all of it.
        assert!(lacks(&nothing, &difference(informational, there()), "it"));
        assert!(!lacks(&nothing, &difference(must, there()), "another"));
    }
}
