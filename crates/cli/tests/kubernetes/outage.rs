//! A control plane that goes away while releases are under way: nobody goes back for that, and nobody has to be asked. These have
//! one of their own, as its servers are killed.

use crate::shop::{Shop, until};
use belay_testbed::ControlPlane;
use std::time::{Duration, Instant};

fn plane() -> &'static ControlPlane {
    // Dropped by nobody: it goes with this process.
    Box::leak(Box::new(ControlPlane::start().expect("a control plane")))
}

/// Release 1 is there.
fn shop(plane: &'static ControlPlane, strategy: &str) -> Shop {
    let mut shop = Shop::on(plane);
    let points = shop.project.path().join("points").display().to_string();
    shop.configure("info", &format!("    strategy: {strategy}\n"));
    shop.project.json(0, &["deploy"]);
    // The next command starts a worker that writes down where it is.
    shop.project.kill_worker();
    shop.project
        .env
        .push(("BELAY_CRASH_POINTS".to_owned(), points));
    shop
}

/// How many steps have begun.
fn steps(shop: &Shop) -> usize {
    let points = std::fs::read_to_string(shop.project.path().join("points"));
    let points = points.unwrap_or_default();
    points
        .lines()
        .filter(|line| line.starts_with("apply.before "))
        .count()
}

/// The images of all pods that are ready.
fn images(shop: &Shop) -> Vec<String> {
    let pods = shop.get(&["pods"]);
    let pods = pods["items"].as_array().expect("a list");
    let image = |pod: &serde_json::Value| {
        pod["spec"]["containers"][0]["image"]
            .as_str()
            .map(str::to_owned)
    };
    let mut images: Vec<String> = pods.iter().filter_map(image).collect();
    images.dedup();
    images
}

#[test]
fn the_api_server_is_killed_at_each_step() {
    let plane = plane();
    let strategies = [
        "rolling",
        "{ canary: [{ to: 50%, for: 1s }] }",
        "blue_green",
    ];
    let shops = strategies.map(|strategy| shop(plane, strategy));
    let ended = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for shop in &shops {
            let ended = &ended;
            scope.spawn(move || {
                let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    shop.project.json(0, &["deploy", "--image", "shop/api:2"])
                }));
                ended.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                done.expect("deployed, and neither gone back nor stuck");
            });
        }
        let mut seen = [0; 3];
        let mut kills = 0;
        while ended.load(std::sync::atomic::Ordering::SeqCst) < shops.len() {
            let now = [&shops[0], &shops[1], &shops[2]].map(steps);
            if now != seen {
                seen = now;
                kills += 1;
                plane.kill_api_server().expect("killed");
                plane.start_api_server().expect("started");
                plane.answers().expect("it is back");
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        // Where the machine is slow several steps are done until it is seen.
        assert!(kills >= 3, "killed {kills} times: {seen:?}");
    });
    for shop in &shops {
        until("release 2 alone serves, or its old group stands by", || {
            images(shop).contains(&"shop/api:2".to_owned())
        });
        shop.project.json(0, &["rollback", "--yes"]);
    }
}

#[test]
fn etcd_stands_still_for_a_while() {
    let plane = plane();
    let shop = shop(plane, "rolling");
    let deploying = shop.project.beside(&["deploy", "--image", "shop/api:2"]);
    until("it has begun", || steps(&shop) > 0);
    plane.stop_etcd().expect("stopped");
    // So long is the outage.
    let end = Instant::now() + Duration::from_secs(20);
    while let Some(rest) = end.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(rest);
    }
    plane.continue_etcd().expect("goes on");
    deploying.succeeds();
    assert_eq!(shop.image(), "shop/api:2");
}
