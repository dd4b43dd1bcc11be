//! Belay killed with SIGKILL at calls of the driver, while a release goes out beside the one before it: the next command goes on,
//! and nobody has to be asked. `make test` kills it at each call that changes something, before, inside and after;
//! `make test-kubernetes-crash` (`BELAY_KUBERNETES_CRASH=all`) at each other call and each journal append, too.
//! `BELAY_KUBERNETES_CRASH=apply.inside:3` repeats one.

use crate::shop::Shop;
use crate::support::project::{Role, until};
use belay_testbed::ControlPlane;
use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

/// Runs at once: a run mostly waits for pods.
const LANES: usize = 3;

#[test]
fn a_canary_killed_at_each_call() {
    at_each_point(
        "a_canary_killed_at_each_call",
        "{ canary: [{ to: 50%, for: 200ms }] }",
    );
}

#[test]
fn a_blue_green_release_killed_at_each_call() {
    at_each_point("a_blue_green_release_killed_at_each_call", "blue_green");
}

/// One that no users ask: its pods need no servers.
fn plane() -> &'static ControlPlane {
    static PLANE: OnceLock<ControlPlane> = OnceLock::new();
    PLANE.get_or_init(|| ControlPlane::start().expect("a control plane"))
}

fn at_each_point(name: &str, strategy: &str) {
    let began = Instant::now();
    let all = run(strategy, None);
    let only = std::env::var("BELAY_KUBERNETES_CRASH").unwrap_or_else(|_| "apply.".to_owned());
    let is_meant = |point: &&String| only == "all" || point.starts_with(&only);
    let points: Vec<&String> = all.iter().filter(is_meant).collect();
    assert!(!points.is_empty(), "{only} is none of {all:?}");
    let (rest, failed) = (Mutex::new(points.iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                loop {
                    let next = rest.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(point) = next else { return };
                    if catch_unwind(AssertUnwindSafe(|| run(strategy, Some(point)))).is_err() {
                        failed
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push((*point).clone());
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    let took = began.elapsed().as_secs();
    eprintln!("{name}: {} of {} points, {took} s", points.len(), all.len());
    assert!(
        failed.is_empty(),
        "{} of {} runs failed, see above: {failed:?}\n  BELAY_KUBERNETES_CRASH={} cargo test -p belay-cli --test kubernetes {name}",
        failed.len(),
        points.len(),
        failed.first().map_or("", |it| it.as_str()),
    );
}

/// From release 1 to release 2, killed at a point or not at all; the points that were passed.
fn run(strategy: &str, at: Option<&String>) -> Vec<String> {
    let mut shop = Shop::on(plane());
    // What is kept is removed soon, as that is part of it.
    shop.configure("info", &format!("    strategy: {strategy}\n"));
    shop.edit("belay.yaml", "bake: 0s", "bake: 0s, warm: 200ms");
    shop.project.json(0, &["deploy"]);
    shop.project.kill_worker();
    let points = shop.project.path().join("points");
    shop.project.env.push((
        "BELAY_CRASH_POINTS".to_owned(),
        points.display().to_string(),
    ));
    let deploy = ["deploy", "--image", "shop/api:2"];
    let mut command = shop.project.command(&deploy);
    if let Some(at) = at {
        command.env("BELAY_CRASH_AT", at);
    }
    let log = std::fs::File::create(shop.project.path().join("command.log")).expect("a log");
    let mut child = command
        .stdout(log.try_clone().expect("a log"))
        .stderr(log)
        .spawn()
        .expect("belay runs");
    let read = || std::fs::read_to_string(&points).unwrap_or_default();
    let is_working = || shop.project.find(" worker --detached ").is_some();
    let stands = until("the command ends or Belay stands still", || {
        if read().ends_with("stopped\n") {
            return Some(true);
        }
        let ended = child.try_wait().expect("our child").is_some();
        (ended && !is_working()).then(|| read().ends_with("stopped\n"))
    });
    // A look at what moves is not made as often each time.
    let is_by_time = |at: &String| ["observe.", "settle."].iter().any(|it| at.starts_with(it));
    assert!(
        stands || at.is_none_or(is_by_time),
        "{at:?} was not reached"
    );
    if stands {
        shop.project.kill_all(&[Role::Control]);
        let _ = child.kill();
        let _ = child.wait();
        shop.project
            .env
            .retain(|(name, _)| name != "BELAY_CRASH_POINTS");
        let status = shop.project.json(0, &["status"]);
        match status
            .pointer("/services/0/open/0/id")
            .and_then(Value::as_str)
        {
            Some(id) => drop(shop.project.json(0, &["watch", id])),
            // Nothing was taken down, or it is over.
            None => drop(shop.project.json(0, &deploy)),
        }
    }
    serves(&shop);
    read().lines().filter_map(point).collect()
}

fn point(line: &str) -> Option<String> {
    let mut words = line.split(' ');
    let (name, number) = (words.next()?, words.next()?);
    Some(format!("{name}:{number}"))
}

/// Release 2 has the traffic, with as many pods as it shall have; the other is on its way out, or gone.
fn serves(shop: &Shop) {
    until("release 2 serves, and it alone", || {
        let slices = shop.get(&["endpointslices", "-l", "kubernetes.io/service-name=api"]);
        let slices = slices["items"].as_array()?.clone();
        let endpoints = slices
            .iter()
            .flat_map(|it| it["endpoints"].as_array().cloned().unwrap_or_default());
        let names: Vec<String> = endpoints
            .filter_map(|it| it["targetRef"]["name"].as_str().map(str::to_owned))
            .collect();
        (names.len() == 2 && names.iter().all(|it| it.starts_with("api-r2-"))).then_some(())
    });
}
