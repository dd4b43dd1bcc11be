use super::Thresholds;
use crate::{Arm, Arms, Counts, Decision, Histogram};
use proptest::prelude::*;

const LIMITS: Thresholds = Thresholds {
    max_errors: Some(0.01),
    max_slower: Some(2.0),
    min_requests: 50,
};

const ERRORS_ONLY: Thresholds = Thresholds {
    max_slower: None,
    ..LIMITS
};

fn arm(title: &str, requests: u64, errors: u64, latency: [u64; 4]) -> Arm {
    let latency = Histogram::new(vec![10_000, 100_000, 1_000_000], latency.to_vec()).unwrap();
    Arm {
        title: title.to_owned(),
        counts: Counts {
            requests,
            errors,
            latency,
        },
    }
}

/// (requests, errors, latency buckets up to 10 ms, 100 ms, 1 s, above)
type Side = (u64, u64, [u64; 4]);

fn arms(candidate: Side, baseline: Option<Side>) -> Arms {
    let (requests, errors, latency) = candidate;
    Arms {
        candidate: arm("release 2", requests, errors, latency),
        baseline: baseline
            .map(|(requests, errors, latency)| arm("release 1", requests, errors, latency)),
        span_ms: 4000,
    }
}

fn check(
    limits: Thresholds,
    candidate: Side,
    baseline: Option<Side>,
    decision: Decision,
    sentence: &str,
) {
    let finding = limits.judge(&arms(candidate, baseline));
    assert_eq!(finding.sentence, sentence);
    assert_eq!(finding.decision, decision, "{sentence}");
}

const NONE: [u64; 4] = [0; 4];

#[test]
fn errors_above_the_limit_fail() {
    check(
        ERRORS_ONLY,
        (480, 98, NONE),
        Some((480, 0, NONE)),
        Decision::Fail,
        "release 2 answers 20.4 % of requests with an error (release 1: 0 %), more than the 1 % allowed; seen on 98 of \
         480 requests in 4 s",
    );
    check(
        ERRORS_ONLY,
        (100, 2, NONE),
        None,
        Decision::Fail,
        "release 2 answers 2 % of requests with an error, more than the 1 % allowed; seen on 2 of 100 requests in 4 s",
    );
}

#[test]
fn the_limit_itself_is_allowed() {
    check(
        ERRORS_ONLY,
        (100, 1, NONE),
        Some((0, 0, NONE)),
        Decision::Pass,
        "release 2 answers 1 % of requests with an error (release 1: no requests), within the 1 % allowed; seen on 100 \
         requests in 4 s",
    );
}

#[test]
fn too_few_requests_decide_nothing() {
    check(
        ERRORS_ONLY,
        (12, 12, NONE),
        Some((500, 0, NONE)),
        Decision::Undecided,
        "release 2 answered only 12 requests in 4 s; 50 are needed",
    );
    let none_needed = Thresholds {
        min_requests: 0,
        ..ERRORS_ONLY
    };
    check(
        none_needed,
        (0, 0, NONE),
        None,
        Decision::Undecided,
        "release 2 answered no request in 4 s; 1 is needed",
    );
}

#[test]
fn a_release_is_not_blamed_for_what_the_other_does_as_well() {
    check(
        ERRORS_ONLY,
        (500, 105, NONE),
        Some((500, 100, NONE)),
        Decision::Undecided,
        "release 2 answers 21 % of requests with an error, but release 1 is as bad (20 %), so the release is neither to \
         blame nor proved",
    );
}

#[test]
fn clearly_worse_than_a_bad_release_fails() {
    check(
        ERRORS_ONLY,
        (500, 250, NONE),
        Some((500, 100, NONE)),
        Decision::Fail,
        "release 2 answers 50 % of requests with an error (release 1: 20 %), more than the 1 % allowed; seen on 250 of \
         500 requests in 4 s",
    );
}

#[test]
fn too_few_requests_of_a_bad_release_excuse_nothing() {
    check(
        ERRORS_ONLY,
        (500, 105, NONE),
        Some((49, 20, NONE)),
        Decision::Fail,
        "release 2 answers 21 % of requests with an error (release 1: 40.8 %), more than the 1 % allowed; seen on 105 \
         of 500 requests in 4 s",
    );
}

#[test]
fn slower_is_told_by_the_95th_percentile() {
    let fast = (100, 0, [100, 0, 0, 0]);
    check(
        LIMITS,
        (100, 0, [0, 100, 0, 0]),
        Some(fast),
        Decision::Fail,
        "release 2 takes 96 ms (95th percentile; release 1: 9.5 ms), more than the 2 times allowed; seen on 100 \
         requests in 4 s",
    );
    check(
        LIMITS,
        fast,
        Some(fast),
        Decision::Pass,
        "release 2 answers 0 % of requests with an error (release 1: 0 %), within the 1 % allowed, and release 2 takes \
         9.5 ms (95th percentile; release 1: 9.5 ms), within the 2 times allowed; seen on 100 requests in 4 s",
    );
}

#[test]
fn what_cannot_be_compared_is_undecided() {
    let slow = (100, 0, [0, 0, 0, 100]);
    check(
        LIMITS,
        slow,
        Some(slow),
        Decision::Undecided,
        "release 2 takes more than 1 s (95th percentile; release 1: more than 1 s): both are too slow to be measured",
    );
    check(
        LIMITS,
        slow,
        Some((100, 0, [0, 0, 100, 0])),
        Decision::Undecided,
        "release 2 takes more than 1 s (95th percentile; release 1: 955 ms): too slow to be measured",
    );
    check(
        LIMITS,
        (100, 0, [100, 0, 0, 0]),
        Some((3, 0, [3, 0, 0, 0])),
        Decision::Undecided,
        "how long release 1 takes is known of only 3 requests; 50 are needed to compare",
    );
    let speed_only = Thresholds {
        max_errors: None,
        ..LIMITS
    };
    check(
        speed_only,
        slow,
        None,
        Decision::Undecided,
        "there is no earlier release whose speed could be compared",
    );
}

fn side() -> impl Strategy<Value = Side> {
    let number = prop_oneof![0..200u64, any::<u64>(), Just(u64::MAX)];
    let buckets = prop::array::uniform4(prop_oneof![0..100u64, any::<u64>()]);
    (number.clone(), number, buckets)
}

fn limits() -> impl Strategy<Value = Thresholds> {
    let errors = prop::option::of(0.0..=1.0f64);
    let slower = prop::option::of(1.0..10.0f64);
    (errors, slower, prop_oneof![0..200u64, any::<u64>()]).prop_map(
        |(max_errors, max_slower, min_requests)| Thresholds {
            max_errors,
            max_slower,
            min_requests,
        },
    )
}

proptest! {
    #[test]
    fn any_numbers_have_a_finding(limits in limits(), candidate in side(), baseline in prop::option::of(side())) {
        let finding = limits.judge(&arms(candidate, baseline));
        prop_assert!(!finding.sentence.is_empty());
        prop_assert!(finding.numbers.values().all(|number| number.is_finite()));
    }

    #[test]
    fn too_few_requests_are_always_undecided(
        limits in limits(), candidate in side(), baseline in prop::option::of(side())
    ) {
        prop_assume!(candidate.0 < limits.min_requests.max(1));
        prop_assert_eq!(limits.judge(&arms(candidate, baseline)).decision, Decision::Undecided);
    }

    #[test]
    fn more_errors_never_excuse(
        requests in 1..2000u64, errors in 0..2000u64, more in 0..2000u64, limit in 0.0..0.5f64,
        baseline in prop::option::of((0..2000u64, 0..2000u64))
    ) {
        let limits = Thresholds { max_errors: Some(limit), max_slower: None, min_requests: 50 };
        let baseline = baseline.map(|(requests, errors)| (requests, errors, NONE));
        let badness = |errors| match limits.judge(&arms((requests, errors, NONE), baseline)).decision {
            Decision::Pass => 0,
            Decision::Undecided => 1,
            Decision::Fail => 2,
        };
        prop_assert!(badness(errors) <= badness(errors.saturating_add(more)));
    }

    #[test]
    fn a_pass_is_within_every_limit(limits in limits(), candidate in side(), baseline in prop::option::of(side())) {
        let arms = arms(candidate, baseline);
        let finding = limits.judge(&arms);
        // Passes are too rare to be assumed: most of what is drawn is no pass and proves nothing here.
        if finding.decision != Decision::Pass {
            return Ok(());
        }
        if let Some(limit) = limits.max_errors {
            prop_assert!(finding.numbers["candidate_error_rate"] <= limit);
        }
        if let (Some(limit), Some(_)) = (limits.max_slower, &arms.baseline) {
            prop_assert!(finding.numbers["slower_factor"] <= limit);
        }
    }
}
