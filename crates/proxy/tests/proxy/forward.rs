use std::sync::atomic::Ordering;
use std::time::Duration;

use belay_proxy::Options;

use crate::support::{Backend, Proxy, Raw, free_address, group, route};

#[tokio::test]
async fn headers_of_one_hop_end_here_and_the_client_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let blue = Backend::start("blue").await;
    let proxy = Proxy::start(dir.path()).await;
    let at = free_address().await;
    proxy.put(&route(at, &[("blue", 1000, &[&blue])])).await;
    let headers = "connection: x-mine\r\nx-mine: 1\r\nx-yours: 2\r\nx-forwarded-for: 9.9.9.9\r\n";
    let answer = Raw::connect(at)
        .await
        .get_with("/headers?a=b", headers)
        .await
        .unwrap();
    assert!(answer.body.starts_with("/headers?a=b "), "{}", answer.body);
    for there in [
        r#""host": "front.example""#,
        r#""x-yours": "2""#,
        r#""x-forwarded-for": "9.9.9.9, 127.0.0.1""#,
        r#""x-forwarded-proto": "http""#,
        r#""x-forwarded-host": "front.example""#,
    ] {
        assert!(answer.body.contains(there), "no {there} in {}", answer.body);
    }
    assert!(!answer.body.contains("x-mine"), "{}", answer.body);
}

/// Upstreams that close kept-alive connections without a word fail no request, and get none
/// twice: not of those that must not be sent twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silently_closed_connections_fail_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let blue = Backend::start_closing("blue", 3).await;
    let proxy = Proxy::start(dir.path()).await;
    let at = free_address().await;
    proxy.put(&route(at, &[("blue", 1000, &[&blue])])).await;
    let mut raw = Raw::connect(at).await;
    for _ in 0..300 {
        assert_eq!(raw.get("/").await.unwrap().status, 200);
    }
    assert_eq!(blue.state.requests.load(Ordering::SeqCst), 300);
}

#[tokio::test]
async fn a_dead_upstream_is_passed_over_within_its_group() {
    let dir = tempfile::tempdir().unwrap();
    let (blue, green) = (Backend::start("blue").await, Backend::start("green").await);
    let dead = free_address().await;
    let proxy = Proxy::start(dir.path()).await;
    let at = free_address().await;
    let mut mixed = route(at, &[("blue", 500, &[&blue]), ("green", 500, &[&green])]);
    mixed
        .groups
        .insert("blue".into(), group(500, &[dead, blue.address]));
    proxy.put(&mixed).await;
    let mut raw = Raw::connect(at).await;
    for _ in 0..20 {
        assert_eq!(raw.get("/").await.unwrap().status, 200);
    }
    assert_eq!(
        proxy
            .group("blue")
            .await
            .seconds
            .iter()
            .map(|s| s.errors.total())
            .sum::<u64>(),
        0
    );

    // With nobody left in its group a request fails; it does not go to another group.
    mixed.groups.insert("blue".into(), group(500, &[dead]));
    proxy.put(&mixed).await;
    let mut failed = 0;
    for _ in 0..1000 {
        failed += u32::from(raw.get("/").await.unwrap().status == 502);
    }
    assert_eq!(failed, 500);
    let errors = proxy.group("blue").await;
    assert_eq!(
        errors.seconds.iter().map(|s| s.errors.connect).sum::<u64>(),
        500
    );
}

#[tokio::test]
async fn a_silent_upstream_times_out() {
    let dir = tempfile::tempdir().unwrap();
    let blue = Backend::start("blue").await;
    let mut options = Options::new(dir.path());
    options.response_timeout = Duration::from_millis(50);
    let proxy = Proxy::start_with(options).await;
    let at = free_address().await;
    proxy.put(&route(at, &[("blue", 1000, &[&blue])])).await;
    let mut raw = Raw::connect(at).await;
    assert_eq!(raw.get("/held").await.unwrap().status, 504);
    assert_eq!(proxy.group("blue").await.seconds[0].errors.timeout, 1);
    // The rest of an upload that stalls is the client's fault.
    raw.send("POST /upload HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n12345")
        .await;
    assert_eq!(raw.answer().await.unwrap().status, 408);
    proxy.in_flight_is("blue", 0).await;
    let group = proxy.group("blue").await;
    assert_eq!(
        group.seconds.iter().map(|s| s.errors.total()).sum::<u64>(),
        1
    );
}

#[tokio::test]
async fn a_slow_head_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let blue = Backend::start("blue").await;
    let mut options = Options::new(dir.path());
    options.header_timeout = Duration::from_millis(50);
    let proxy = Proxy::start_with(options).await;
    let at = free_address().await;
    proxy.put(&route(at, &[("blue", 1000, &[&blue])])).await;
    let mut raw = Raw::connect(at).await;
    raw.send("GET / HTTP/1.1\r\nhost: ").await;
    assert!(raw.head().await.is_err() || raw.is_closed().await);
}
