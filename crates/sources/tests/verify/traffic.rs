use crate::support::*;
use belay_engine::ports::Question;
use belay_model::config::Check;
use belay_model::plan::Look;
use belay_model::verdict::Outcome::{Fail, Inconclusive, Pass};
use belay_sources::{Bucket, Reading};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// Requests per second and errors among them, of release 2 and release 1.
fn proxy(two: (u64, u64), one: (u64, u64)) -> World {
    World::counting(move |now_us| {
        let groups = [
            (2, buckets(now_us, two.0, two.1)),
            (1, buckets(now_us, one.0, one.1)),
        ];
        Ok(reading(now_us, &groups))
    })
}

fn held(look: Look, hold_ms: u64) -> Question {
    Question {
        hold_ms,
        ..question(look, vec![traffic()])
    }
}

#[tokio::test]
async fn errors_fail_at_once() {
    let world = proxy((120, 24), (120, 0));
    let sentence = "release 2 answers 20 % of requests with an error (release 1: 0 %), more than the 1 % allowed; seen on \
                    12 of 60 requests in 0.5 s";
    let verdict = world.check(&held(Look::Live, 60_000), Fail, sentence).await;
    assert_eq!(verdict.check, "traffic");
    assert_eq!(world.elapsed_ms(), 500);
    let seen = &verdict.evidence["checks"][0]["seen"];
    assert_eq!(seen["numbers"]["candidate_errors"], 12.0);
    assert_eq!(seen["candidate"], record(2).group());
    assert_eq!(seen["baseline"], record(1).group());
}

#[tokio::test]
async fn without_a_hold_enough_requests_suffice() {
    let world = proxy((10, 0), (90, 0));
    let sentence = "release 2 answers 0 % of requests with an error (release 1: 0 %), within the 1 % allowed; seen on 50 \
                    requests in 5 s";
    world.check(&held(Look::Live, 0), Pass, sentence).await;
    assert_eq!(world.elapsed_ms(), 5000);
}

#[tokio::test]
async fn a_hold_is_watched_to_its_end() {
    let world = proxy((100, 0), (100, 0));
    let verdict = world.verify(&held(Look::Live, 60_000)).await;
    assert_eq!((verdict.outcome, world.elapsed_ms()), (Pass, 60_000));
    let late = World::counting(|now_us| {
        let mut buckets = buckets(now_us, 100, 0);
        for bucket in &mut buckets {
            bucket.errors = if bucket.second >= START + 40 {
                bucket.requests
            } else {
                0
            };
        }
        Ok(reading(now_us, &[(2, buckets)]))
    });
    let verdict = late.verify(&held(Look::Bake, 60_000)).await;
    assert_eq!((verdict.outcome, late.elapsed_ms()), (Fail, 40_500));
}

#[tokio::test]
async fn too_few_requests_are_inconclusive() {
    let world = proxy((1, 1), (100, 0));
    let sentence = "release 2 answered only 30 requests in 30 s; 50 are needed";
    world
        .check(&held(Look::Live, 0), Inconclusive, sentence)
        .await;
    assert_eq!(world.elapsed_ms(), 30_000);
    // A short hold does not shorten what the check asks for, but a bake ends when it ends.
    let world = proxy((1, 0), (100, 0));
    let verdict = world.verify(&held(Look::Live, 10_000)).await;
    assert_eq!(
        (verdict.outcome, world.elapsed_ms()),
        (Inconclusive, 30_000)
    );
    let world = proxy((1, 0), (100, 0));
    let sentence = "release 2 answered only 10 requests in 10 s; 50 are needed";
    world
        .check(&held(Look::Bake, 10_000), Inconclusive, sentence)
        .await;
    assert_eq!(world.elapsed_ms(), 10_000);
    let world = World::new();
    let sentence = "release 2 answered no request in 30 s; 50 are needed";
    world
        .check(&held(Look::Live, 0), Inconclusive, sentence)
        .await;
}

#[tokio::test]
async fn both_as_bad_is_inconclusive() {
    let world = proxy((100, 20), (100, 20));
    let sentence = "release 2 answers 20 % of requests with an error, but release 1 is as bad (20 %), so the release is \
                    neither to blame nor proved";
    world
        .check(&held(Look::Live, 0), Inconclusive, sentence)
        .await;
}

fn bucket(second: i64, requests: u64, errors: u64) -> Bucket {
    Bucket {
        second,
        requests,
        errors,
        ..Bucket::default()
    }
}

#[tokio::test]
async fn what_was_before_does_not_count() {
    let world = World::counting(|now_us| {
        let buckets = vec![
            bucket(START - 1, 100, 100),
            bucket(START, 100, 100),
            bucket(START + 1, 100, 0),
        ];
        Ok(reading(now_us, &[(2, buckets)]))
    });
    // The second in which the watching began is before it, in part.
    let question = Question {
        since_us: START * SECOND_US + 1,
        against: None,
        ..held(Look::Live, 0)
    };
    let verdict = world.verify(&question).await;
    assert_eq!(verdict.outcome, Pass, "{}", verdict.sentence);
    assert_eq!(
        verdict.evidence["checks"][0]["seen"]["numbers"]["candidate_requests"],
        100.0
    );
}

#[tokio::test]
async fn a_second_that_comes_again_counts_once() {
    let calls = AtomicUsize::new(0);
    let world = World::counting(move |now_us| {
        // The third reading is from a proxy that was restarted within the second.
        let requests = [10, 30, 4][calls.fetch_add(1, Ordering::SeqCst).min(2)];
        Ok(reading(now_us, &[(2, vec![bucket(START, requests, 0)])]))
    });
    let sentence = "release 2 answered only 30 requests in 30 s; 50 are needed";
    world
        .check(&held(Look::Live, 0), Inconclusive, sentence)
        .await;
}

#[tokio::test]
async fn the_bake_is_compared_with_the_old_rates() {
    let old = |requests: u64, errors: u64| {
        World::counting(move |now_us| {
            let before = [
                bucket(START - 301, 1_000_000, 0),
                bucket(START - 300, requests, errors),
                bucket(START - 1, requests, errors),
                bucket(START, 1_000_000, 0),
            ];
            let groups = [(2, buckets(now_us, 100, 20)), (1, before.to_vec())];
            Ok(reading(now_us, &groups))
        })
    };
    let verdict = old(100, 20).verify(&held(Look::Bake, 2000)).await;
    assert_eq!(verdict.outcome, Inconclusive, "{}", verdict.sentence);
    assert_eq!(
        verdict.evidence["checks"][0]["seen"]["numbers"]["baseline_requests"],
        200.0
    );
    let verdict = old(100, 0).verify(&held(Look::Bake, 2000)).await;
    assert_eq!(verdict.outcome, Fail, "{}", verdict.sentence);
}

#[tokio::test]
async fn the_old_rates_are_those_before_the_bake() {
    let world = World::counting(|now_us| {
        let old = vec![bucket(START + 1, 100, 100)];
        let groups = [(2, buckets(now_us, 100, 20)), (1, old)];
        Ok(reading(now_us, &groups))
    });
    let sentence = "release 2 answers 20 % of requests with an error (release 1: no requests), more than the 1 % allowed; \
                    seen on 10 of 50 requests in 0.5 s";
    world.check(&held(Look::Bake, 60_000), Fail, sentence).await;
}

#[tokio::test]
async fn counters_that_cannot_be_read_are_never_a_pass() {
    let world = World::counting(|_| Err("connection refused".to_owned()));
    let sentence = "the proxy's counters could not be read for 5.2 s (connection refused), so nothing is known about \
                    release 2";
    world
        .check(&held(Look::Bake, 600_000), Inconclusive, sentence)
        .await;
    // What was seen before they went silent is not enough, either.
    let world = World::counting(|now_us| match now_us < (START + 8) * SECOND_US {
        true => Ok(reading(now_us, &[(2, buckets(now_us, 100, 0))])),
        false => Err("connection refused".to_owned()),
    });
    let verdict = world.verify(&held(Look::Bake, 9000)).await;
    assert_eq!(verdict.outcome, Inconclusive, "{}", verdict.sentence);
    assert!(
        verdict.sentence.contains("could not be read"),
        "{}",
        verdict.sentence
    );
}

#[tokio::test]
async fn a_short_silence_is_borne() {
    let world = World::counting(|now_us| match (now_us / SECOND_US - START) % 6 {
        0 | 5 => Ok(reading(now_us, &[(2, buckets(now_us, 100, 0))])),
        _ => Err("connection refused".to_owned()),
    });
    let verdict = world.verify(&held(Look::Bake, 60_000)).await;
    assert_eq!(verdict.outcome, Pass, "{}", verdict.sentence);
}

#[tokio::test]
async fn counters_that_hang_are_not_waited_for() {
    let world = World::gated(Some(Arc::new(Notify::new())), |_| Ok(Reading::default()));
    let question = held(Look::Live, 0);
    let turn_time = async {
        tokio::task::yield_now().await;
        world.clock.advance_ms(6000);
    };
    let (verdict, ()) = tokio::join!(world.verify(&question), turn_time);
    assert_eq!(verdict.outcome, Inconclusive);
    assert!(
        verdict.sentence.contains("for 6 s (no answer)"),
        "{}",
        verdict.sentence
    );
}

#[tokio::test]
async fn after_a_crash_the_watch_goes_on_where_it_was() {
    let world = proxy((100, 0), (100, 0));
    world.clock.advance_ms(55_000);
    let verdict = world.verify(&held(Look::Live, 60_000)).await;
    assert_eq!((verdict.outcome, world.elapsed_ms()), (Pass, 60_000));
    assert_eq!(
        verdict.evidence["checks"][0]["seen"]["numbers"]["candidate_requests"],
        6000.0
    );
    // When its time ran out meanwhile, it still looks.
    let world = proxy((100, 50), (100, 0));
    world.clock.advance_ms(90_000);
    assert_eq!(world.verify(&held(Look::Live, 60_000)).await.outcome, Fail);
}

#[tokio::test]
async fn evidence_is_kept_once_a_second() {
    let world = proxy((100, 0), (100, 0));
    world.verify(&held(Look::Live, 10_000)).await;
    let evidence = world.notes.evidence.lock().unwrap();
    let times: Vec<i64> = evidence
        .iter()
        .map(|evidence| evidence.at_us / SECOND_US - START)
        .collect();
    assert_eq!(times, (0..=10).collect::<Vec<i64>>());
    let last = evidence.last().unwrap();
    assert_eq!(last.cursor, ((START + 10) * SECOND_US).to_string());
    assert_eq!(
        last.counts["checks"][0]["numbers"]["candidate_requests"],
        1000.0
    );
}

#[tokio::test]
async fn the_first_bad_request_is_dated() {
    let first = |first_us: i64| {
        World::counting(move |now_us| {
            let mut reading = reading(now_us, &[(2, buckets(now_us, 100, 20))]);
            reading.first_error_us.insert(record(2).group(), first_us);
            Ok(reading)
        })
    };
    let exact = START * SECOND_US + 41_234;
    let verdict = first(exact).verify(&held(Look::Live, 0)).await;
    assert_eq!(verdict.first_bad_us, Some(exact));
    // The first error of the group's whole life was long ago.
    let verdict = first(5).verify(&held(Look::Live, 0)).await;
    assert_eq!(verdict.first_bad_us, Some(START * SECOND_US));
}

#[tokio::test]
async fn traffic_is_none_while_staged() {
    let check = Check {
        at: Some(belay_model::config::At::Staged),
        ..traffic()
    };
    let sentence = "`traffic` cannot be checked: a release that is only staged has no traffic";
    World::new()
        .check(&staged(vec![check], &[1]), Inconclusive, sentence)
        .await;
}
