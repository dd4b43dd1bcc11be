//! Releases that do not get there: told within seconds, with what the platform says, and taken back.

use crate::place::place;
use crate::way::{FORWARD, shop};
use belay_driver::Error;
use belay_model::error::{Class, Effect};
use belay_model::state::State;

/// From a release that works to this one; what was there, and how it failed.
async fn fails(place: &crate::place::Place, manifest: &str) -> (State, String, Error) {
    let (_, before) = place.deploy(&shop("app:1", 1)).await;
    let target = place.target(manifest);
    let gone = place.go(&target, &place.goal(&target), FORWARD).await;
    let (title, error) = gone.expect_err("it does not get there");
    assert_eq!(error.effect, Effect::MaybeApplied, "{error:?}");
    (before, title, error)
}

async fn is_told(manifest: &str, class: Class, words: &str, details: &[&str]) {
    let place = place();
    let (before, title, error) = fails(&place, manifest).await;
    assert!(title.starts_with("roll deployment.apps/api"), "{title}");
    assert_eq!(error.class, class, "{error:?}");
    assert!(error.message.contains(words), "{error:?}");
    let told = error.detail.join("\n");
    for detail in details {
        assert!(told.contains(detail), "{error:?}");
    }
    place.back(&place.target(&shop("app:1", 1)), &before).await;
}

#[tokio::test]
async fn an_image_that_cannot_be_pulled() {
    let words = "its image cannot be pulled";
    is_told(
        &shop("bad:2", 1),
        Class::Application,
        words,
        &["Failed to pull"],
    )
    .await;
}

#[tokio::test]
async fn a_crash_loop() {
    let words = "it ends again and again";
    is_told(
        &shop("crash:2", 1),
        Class::Application,
        words,
        &["Back-off", "wrote: ", "cannot reach the database"],
    )
    .await;
}

#[tokio::test]
async fn never_ready() {
    let soon = "replicas: 2\n  progressDeadlineSeconds: 2";
    let manifest = shop("manual:2", 1).replace("replicas: 2", soon);
    let words = "the platform has given up on it";
    is_told(&manifest, Class::Timeout, words, &[]).await;
}

#[tokio::test]
async fn a_quota_that_is_exceeded() {
    let place = place();
    let (target, before) = place.deploy(&shop("app:1", 1)).await;
    place.kubectl(&["create", "quota", "few", "--hard=pods=2"]);
    // It is counted a moment later.
    for _ in 0..600 {
        let used = ["get", "quota/few", "-o", "jsonpath={.status.used.pods}"];
        if place.kubectl(&used) == "2" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let next = place.target(&shop("app:2", 1));
    let gone = place.go(&next, &place.goal(&next), FORWARD).await;
    let (_, error) = gone.expect_err("there is no room");
    assert_eq!(error.class, Class::Quota, "{error:?}");
    assert!(error.message.contains("exceeded quota: few"), "{error:?}");
    place.back(&target, &before).await;
}

#[tokio::test]
async fn no_room_on_any_node() {
    let nowhere = "spec:\n      nodeSelector: {nowhere: here}\n      containers:";
    let manifest = shop("app:2", 1).replace("spec:\n      containers:", nowhere);
    is_told(
        &manifest,
        Class::Quota,
        "no node has room for it",
        &["FailedScheduling"],
    )
    .await;
}

#[tokio::test]
async fn a_pod_of_a_stateful_set_that_is_refused() {
    let place = place();
    place.kubectl(&["create", "quota", "few", "--hard=pods=1"]);
    let used = ["get", "quota/few", "-o", "jsonpath={.status.hard.pods}"];
    for _ in 0..600 {
        if place.kubectl(&used) == "1" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let target = place.target(
        &shop("app:1", 1)
            .replace("kind: Deployment", "kind: StatefulSet")
            .replace("replicas: 2", "replicas: 2\n  serviceName: api"),
    );
    let gone = place.go(&target, &place.goal(&target), FORWARD).await;
    let (_, error) = gone.expect_err("there is no room");
    assert_eq!(error.class, Class::Quota, "{error:?}");
    assert!(error.message.contains("exceeded quota: few"), "{error:?}");
}

#[tokio::test]
async fn a_stateful_set_with_a_broken_pod() {
    let of = |image: &str| {
        shop(image, 1)
            .replace("kind: Deployment", "kind: StatefulSet")
            .replace("replicas: 2", "replicas: 2\n  serviceName: api")
    };
    let place = place();
    let (target, before) = place.deploy(&of("app:1")).await;
    let bad = place.target(&of("bad:2"));
    let gone = place.go(&bad, &place.goal(&bad), FORWARD).await;
    let (_, error) = gone.expect_err("it does not get there");
    assert!(error.message.contains("cannot be pulled"), "{error:?}");
    let titles = place.back(&target, &before).await;
    let told = ["roll statefulset.apps/api to app:1, and delete pods that are stuck"];
    assert_eq!(titles, told);
}

#[tokio::test]
async fn the_second_of_two_workloads_fails_and_both_go_back_in_reverse() {
    let of = |api: &str, web: &str| {
        let other = shop(web, 1);
        let other = other.split("---").last().expect("a workload");
        let other = other
            .replace("name: api", "name: web")
            .replace("app: api", "app: web");
        format!("{}---{other}", shop(api, 1))
    };
    let place = place();
    let (target, before) = place.deploy(&of("app:1", "app:1")).await;
    let next = place.target(&of("app:2", "bad:2"));
    let titles: Vec<String> = place
        .planned(&next, &place.goal(&next), FORWARD)
        .await
        .into_iter()
        .map(|effect| effect.title)
        .collect();
    let roll = |name: &str, image: &str| format!("roll deployment.apps/{name} to {image}");
    assert_eq!(titles, [roll("api", "app:2"), roll("web", "bad:2")]);
    let gone = place.go(&next, &place.goal(&next), FORWARD).await;
    let (title, _) = gone.expect_err("the second does not get there");
    assert_eq!(title, roll("web", "bad:2"));
    let titles = place.back(&target, &before).await;
    assert_eq!(titles, [roll("web", "app:1"), roll("api", "app:1")]);
}
