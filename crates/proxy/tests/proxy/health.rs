use std::sync::atomic::Ordering;

use belay_proxy_api::HealthCheck;

use crate::support::{Backend, Proxy, Raw, free_address, route, until};

#[tokio::test]
async fn an_unhealthy_upstream_is_skipped_but_never_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (Backend::start("one").await, Backend::start("two").await);
    let proxy = Proxy::start(dir.path()).await;
    let at = free_address().await;
    let mut checked = route(at, &[("blue", 1000, &[&one, &two])]);
    checked.groups.get_mut("blue").unwrap().health = Some(HealthCheck {
        path: "/healthz".into(),
        interval_ms: 10,
        timeout_ms: 1000,
        unhealthy_after: 2,
        healthy_after: 2,
    });
    proxy.put(&checked).await;
    let mut raw = Raw::connect(at).await;
    let mut bodies = async || {
        let mut bodies = std::collections::BTreeSet::new();
        for _ in 0..10 {
            let answer = raw.get("/").await.unwrap();
            assert_eq!(answer.status, 200);
            bodies.insert(answer.body);
        }
        bodies.into_iter().collect::<Vec<_>>().join(" ")
    };
    let marked = |id: &'static str, wanted: bool| {
        let proxy = &proxy;
        async move { proxy.group("blue").await.upstreams[id].healthy == wanted }
    };
    assert_eq!(bodies().await, "one two");
    one.state.healthy.store(false, Ordering::SeqCst);
    until("one is unhealthy", || marked("u0", false)).await;
    assert_eq!(bodies().await, "two");
    two.state.healthy.store(false, Ordering::SeqCst);
    until("two is unhealthy", || marked("u1", false)).await;
    assert_eq!(bodies().await, "one two", "all unhealthy is none unhealthy");
    one.state.healthy.store(true, Ordering::SeqCst);
    until("one is healthy", || marked("u0", true)).await;
    assert_eq!(bodies().await, "one");
}
