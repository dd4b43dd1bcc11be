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
        /// Pause before the first of them, milliseconds.
        pause_ms: u64,
        /// How many times as long each pause is as the one before; before format 5 they were all the same.
        #[serde(default = "same")]
        factor: u32,
        /// No pause is longer, milliseconds.
        #[serde(default = "unbounded")]
        longest_ms: u64,
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

fn same() -> u32 {
    1
}

fn unbounded() -> u64 {
    u64::MAX
}

impl Act {
    /// How long to wait before the next try of a step whose attempts have failed that often, milliseconds; nothing unless it
    /// is tried again.
    pub fn pause_ms(&self, failures: u32) -> u64 {
        match self {
            Act::Retry {
                pause_ms,
                factor,
                longest_ms,
                ..
            } => {
                let times = u64::from(*factor).saturating_pow(failures.saturating_sub(1));
                pause_ms.saturating_mul(times).min(*longest_ms)
            }
            _ => 0,
        }
    }
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
    fn pauses_grow_up_to_a_bound() {
        let check = |stored: &str, expect: [u64; 5]| {
            let act: Act = serde_json::from_str(stored).expect("an act");
            let pauses = [1, 2, 3, 4, 60].map(|failures| act.pause_ms(failures));
            assert_eq!(pauses, expect, "{stored}");
        };
        let grows = r#"{"retry":{"times":9,"pause_ms":1000,"factor":2,"longest_ms":5000}}"#;
        check(grows, [1000, 2000, 4000, 5000, 5000]);
        let far = r#"{"retry":{"times":9,"pause_ms":1,"factor":10,"longest_ms":9000000000}}"#;
        check(far, [1, 10, 100, 1000, 9_000_000_000]);
        // As it was stored before they grew.
        check(r#"{"retry":{"times":9,"pause_ms":1000}}"#, [1000; 5]);
        check(r#""roll_back""#, [0; 5]);
    }

    #[test]
    fn the_first_that_fits_and_is_not_spent_decides() {
        let retry = |times| Act::Retry {
            times,
            pause_ms: 1,
            factor: 2,
            longest_ms: 10,
        };
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
