//! A control plane that goes away while releases are under way: nobody goes back for that, and nobody has to be asked. These have
//! one of their own, as its servers are killed.

use crate::shop::{Shop, until};
use crate::support::project::is_paused;
use belay_testbed::ControlPlane;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn plane() -> &'static ControlPlane {
    // Dropped by nobody: it goes with this process.
    Box::leak(Box::new(ControlPlane::start().expect("a control plane")))
}

/// Release 1 is there. `at`: where the worker of the next one stands still until it is continued.
fn shop(plane: &'static ControlPlane, strategy: &str, at: Option<&str>) -> Shop {
    let mut shop = Shop::on(plane);
    let points = shop.project.path().join("points").display().to_string();
    shop.configure("info", &format!("    strategy: {strategy}\n"));
    shop.project.json(0, &["deploy"]);
    // The next command starts a worker that writes down where it is.
    shop.project.kill_worker();
    let env = &mut shop.project.env;
    env.push(("BELAY_CRASH_POINTS".to_owned(), points));
    env.extend(at.map(|at| ("BELAY_CRASH_AT".to_owned(), at.to_owned())));
    shop
}

/// The steps that have begun, each as often as it was tried.
fn steps(shop: &Shop) -> Vec<String> {
    let points = std::fs::read_to_string(shop.project.path().join("points"));
    let points = points.unwrap_or_default();
    let steps = points.lines().filter_map(|line| {
        let (_, title) = line.strip_prefix("apply.before ")?.split_once(' ')?;
        Some(title.to_owned())
    });
    steps.collect()
}

/// The titles of the steps of release 2 that change the cluster.
fn planned(shop: &Shop) -> Vec<String> {
    let plan = shop.project.json(0, &["plan", "--image", "shop/api:2"]);
    let steps = plan["plan"]["steps"].as_array().expect("steps").iter();
    let changing = steps.filter(|it| !it["wave"].is_null());
    let titles = changing.map(|it| it["title"].as_str().expect("a title").to_owned());
    titles.collect()
}

/// The worker, where it stands still before a step that is not among the first `passed`.
fn stands(shop: &Shop, passed: usize) -> Option<i32> {
    let worker = || shop.project.find(" worker --detached ");
    (steps(shop).len() > passed)
        .then(worker)?
        .filter(|it| is_paused(*it))
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

/// Deploys release 2, and kills the API server once at each of its steps, in turns before its first request and when it has begun;
/// a step that was cut off is tried again, and is spared then. Answers the steps it was killed at.
fn deploy_through_kills(shop: &Shop) -> Vec<String> {
    let ended = AtomicBool::new(false);
    let (mut passed, mut killed_at) = (0, Vec::new());
    std::thread::scope(|scope| {
        let deploying = scope.spawn(|| {
            let deploy = || shop.project.json(0, &["deploy", "--image", "shop/api:2"]);
            let done = catch_unwind(AssertUnwindSafe(deploy));
            ended.store(true, Ordering::SeqCst);
            done.expect("deployed, and neither gone back nor stuck");
        });
        while !ended.load(Ordering::SeqCst) {
            std::thread::park_timeout(Duration::from_millis(5));
            let Some(worker) = stands(shop, passed) else {
                continue;
            };
            let step = steps(shop).swap_remove(passed);
            passed += 1;
            if killed_at.contains(&step) {
                shop.project.go_on(worker);
                continue;
            }
            killed_at.push(step);
            let is_begun = killed_at.len() % 2 == 0;
            if is_begun {
                shop.project.go_on(worker);
            }
            shop.plane.kill_api_server().expect("killed");
            if !is_begun {
                shop.project.go_on(worker);
            }
            shop.plane.start_api_server().expect("started");
            shop.plane.answers().expect("it is back");
        }
        deploying.join().expect("no panic");
    });
    killed_at
}

#[test]
fn the_api_server_is_killed_at_each_step() {
    let plane = plane();
    let mut kills = 0;
    for strategy in [
        "rolling",
        "{ canary: [{ to: 50%, for: 1s }] }",
        "blue_green",
    ] {
        let mut shop = shop(plane, strategy, Some("apply.before"));
        let planned = planned(&shop);
        let killed_at = deploy_through_kills(&shop);
        let is_spared = |it: &&String| !killed_at.contains(it);
        let spared: Vec<&String> = planned.iter().filter(is_spared).collect();
        assert!(
            spared.is_empty(),
            "nothing was killed at {spared:?}, but at {killed_at:?}"
        );
        kills += killed_at.len();
        until("release 2 alone serves, or its old group stands by", || {
            images(&shop).contains(&"shop/api:2".to_owned())
        });
        shop.project.kill_worker();
        let env = &mut shop.project.env;
        env.retain(|(name, _)| name != "BELAY_CRASH_AT");
        shop.project.json(0, &["rollback", "--yes"]);
    }
    assert!(kills >= 5, "killed {kills} times");
}

#[test]
fn etcd_stands_still_for_a_while() {
    let plane = plane();
    let shop = shop(plane, "rolling", None);
    let deploying = shop.project.beside(&["deploy", "--image", "shop/api:2"]);
    until("it has begun", || !steps(&shop).is_empty());
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
