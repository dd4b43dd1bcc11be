use std::time::{SystemTime, UNIX_EPOCH};

use belay_proxy_api::{Second, StatsRequest};

use crate::support::{Backend, Proxy, ROUTE, Raw, free_address, route};

fn now_us() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_micros()
        .try_into()
        .unwrap()
}

fn sum(seconds: &[Second], of: impl Fn(&Second) -> u64) -> u64 {
    seconds.iter().map(of).sum()
}

#[tokio::test]
async fn requests_errors_and_times_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let blue = Backend::start("blue").await;
    let proxy = Proxy::start(dir.path()).await;
    let at = free_address().await;
    proxy.put(&route(at, &[("blue", 1000, &[&blue])])).await;
    assert_eq!(
        proxy.group("blue").await.times,
        belay_proxy_api::Times::default()
    );

    let mut raw = Raw::connect(at).await;
    let t0 = now_us();
    raw.get("/").await.unwrap();
    let t1 = now_us();
    assert_eq!(raw.get("/status/404").await.unwrap().status, 404);
    let t2 = now_us();
    assert_eq!(raw.get("/status/503").await.unwrap().status, 503);
    let t3 = now_us();
    assert_eq!(raw.get("/status/500").await.unwrap().status, 500);
    let t4 = now_us();
    raw.get("/").await.unwrap();
    let t5 = now_us();

    let group = proxy.group("blue").await;
    let times = group.times;
    let between = |time: Option<u64>, from: u64, to: u64| {
        assert!(
            (from..=to).contains(&time.unwrap()),
            "{time:?} is not in {from}..={to}"
        );
    };
    between(times.first_started_us, t0, t1);
    between(times.first_error_us, t2, t3);
    between(times.last_error_us, t3, t4);
    between(times.last_started_us, t4, t5);
    let seconds = &group.seconds;
    assert_eq!(sum(seconds, |s| s.requests), 5);
    assert_eq!(sum(seconds, |s| s.errors.status_5xx), 2);
    assert_eq!(sum(seconds, |s| s.errors.total()), 2);
    assert_eq!(sum(seconds, |s| s.status_4xx), 1);
    assert_eq!(sum(seconds, |s| s.latency.iter().sum()), 5);
}

#[tokio::test]
async fn a_cursor_brings_what_changed_also_in_seconds_that_are_over() {
    let dir = tempfile::tempdir().unwrap();
    let blue = Backend::start("blue").await;
    let proxy = Proxy::start(dir.path()).await;
    let at = free_address().await;
    proxy.put(&route(at, &[("blue", 1000, &[&blue])])).await;
    let mut raw = Raw::connect(at).await;
    raw.send("GET /breaks HTTP/1.1\r\nhost: a\r\n\r\n").await;
    raw.head().await.unwrap();
    let first = proxy.client.stats(&StatsRequest::default()).await.unwrap();
    let seconds = &first.routes[ROUTE].groups["blue"].seconds;
    assert_eq!(
        (
            seconds.len(),
            seconds[0].requests,
            seconds[0].errors.aborted
        ),
        (1, 1, 0)
    );

    let since = StatsRequest {
        route: Some(ROUTE.into()),
        since: Some(first.cursor),
    };
    let nothing = proxy.client.stats(&since).await.unwrap();
    assert!(nothing.routes[ROUTE].groups["blue"].seconds.is_empty());
    blue.state.release.notify_one();
    while matches!(raw.chunk().await, Ok(Some(_))) {}
    proxy.in_flight_is("blue", 0).await;
    let then = proxy.client.stats(&since).await.unwrap();
    let changed = &then.routes[ROUTE].groups["blue"].seconds;
    assert_eq!(changed.len(), 1);
    assert_eq!(
        changed[0].second, seconds[0].second,
        "counted when it started"
    );
    assert_eq!((changed[0].requests, changed[0].errors.aborted), (1, 1));
}
