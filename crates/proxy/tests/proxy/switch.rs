use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::support::{Backend, Proxy, Raw, free_address, route, until};

/// Kept-alive and new connections, a client that never retries, and a switch every few hundred
/// requests: nothing fails, and after each acknowledged switch nothing starts on the old group.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn switches_under_load_fail_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (blue, green) = (Backend::start("blue").await, Backend::start("green").await);
    let proxy = Proxy::start(dir.path()).await;
    let at = free_address().await;
    let all_to = |blue_weight: u32| {
        route(
            at,
            &[
                ("blue", blue_weight, &[&blue]),
                ("green", 1000 - blue_weight, &[&green]),
            ],
        )
    };
    proxy.put(&all_to(1000)).await;

    let done = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..8)
        .map(|n| {
            let (done, stop) = (done.clone(), stop.clone());
            tokio::spawn(async move {
                let keeps_alive = n % 2 == 0;
                let mut raw = Raw::connect(at).await;
                while !stop.load(Ordering::Relaxed) {
                    if !keeps_alive {
                        raw = Raw::connect(at).await;
                    }
                    let answer = raw.get("/").await.unwrap();
                    assert_eq!(answer.status, 200, "{}", answer.body);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for switch in 1..=20u64 {
        let goal = switch * 300;
        until("requests were answered", || async {
            done.load(Ordering::Relaxed) >= goal
        })
        .await;
        let (left, blue_weight) = if switch % 2 == 1 {
            ("blue", 0)
        } else {
            ("green", 1000)
        };
        let applied = proxy.put(&all_to(blue_weight)).await;
        assert_eq!(applied.number, switch + 1);
        assert_eq!(proxy.drain(left, 10_000).await.in_flight, 0);
        let last = proxy.group(left).await.times.last_started_us.unwrap();
        assert!(
            last <= applied.swapped_us,
            "started {last} after {}",
            applied.swapped_us
        );
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let counted =
        blue.state.requests.load(Ordering::SeqCst) + green.state.requests.load(Ordering::SeqCst);
    assert_eq!(
        counted,
        done.load(Ordering::Relaxed),
        "no request was sent twice"
    );
}
