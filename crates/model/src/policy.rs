//! What is done when a step fails: rules of a step, its group, its phase and its deployment, the inner ones first.

use crate::error::Class;
use serde::{Deserialize, Serialize};

/// One rule. The first that fits decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Which kinds of failure it is about; empty: all but what someone else changed, which is theirs to judge (I10).
    pub on: Vec<Class>,
    /// What is done.
    pub act: Act,
}

/// What is done about a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Act {
    /// The step is tried again. Once all tries have failed the next rule that fits decides.
    Retry {
        /// Tries after the first.
        times: u32,
        /// Pause before each, milliseconds.
        pause_ms: u64,
    },
    /// The deployment goes on as if the step were done.
    Ignore {
        /// Shown as passed; otherwise as failed.
        as_passed: bool,
    },
    /// A person decides.
    Ask {
        /// How long they may take, milliseconds; absent: as long as they like.
        within_ms: Option<u64>,
        /// What is done when nobody has answered by then. Never `Ask` or `Retry`.
        then: Box<Act>,
    },
    /// What this phase did is taken back, and the deployment ends; earlier phases stay.
    RollBackPhase,
    /// Everything is taken back.
    RollBack,
    /// The deployment ends, and what was done stays as it is.
    Stop,
}

/// The first rule that fits, for a step whose attempts have failed that often.
pub fn first(rules: &[Rule], class: Class, failures: u32) -> Option<&Act> {
    let fits = |rule: &&Rule| {
        let spent = matches!(rule.act, Act::Retry { times, .. } if failures > times);
        let is_any = rule.on.is_empty() && class != Class::Conflict;
        !spent && (is_any || rule.on.contains(&class))
    };
    rules.iter().find(fits).map(|rule| &rule.act)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_fits_and_is_not_spent_decides() {
        let retry = |times| Act::Retry { times, pause_ms: 1 };
        let rule = |on: &[Class], act: &Act| Rule {
            on: on.to_vec(),
            act: act.clone(),
        };
        let rules = [
            rule(&[Class::Timeout], &Act::Stop),
            rule(&[Class::Quota, Class::Connectivity], &retry(2)),
            rule(&[], &Act::Ignore { as_passed: true }),
            rule(&[], &Act::RollBack),
        ];
        let check = |class, failures, act: &Act| {
            assert_eq!(
                first(&rules, class, failures),
                Some(act),
                "{class:?} {failures}"
            );
        };
        check(Class::Timeout, 1, &Act::Stop);
        check(Class::Quota, 1, &retry(2));
        check(Class::Quota, 2, &retry(2));
        check(Class::Quota, 3, &Act::Ignore { as_passed: true });
        check(Class::Application, 1, &Act::Ignore { as_passed: true });
        assert_eq!(first(&rules[..1], Class::Quota, 1), None);
        assert_eq!(first(&rules, Class::Conflict, 1), None, "theirs to judge");
    }
}
